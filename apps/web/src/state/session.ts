/**
 * Everything the page knows: the engine's state, the room, the motion, and the clips made of them. The functions are
 * what a visitor can do; each leaves the page as it was when it fails or is cancelled, with one line that says why.
 */
import type { Trajectory } from '@dwm/renderer';
import { batch } from 'solid-js';
import { createStore, unwrap } from 'solid-js/store';
import { onGrid, readLink, type Shared } from '../export/link.ts';
import { GALLERY } from '../gallery/rooms.ts';
import type { ModelFiles, ModelRef } from '../model-store/sources.ts';
import { begin, type History, push, redo, undo } from '../scene-editor/history.ts';
import { type CallOptions, EngineClient, EngineError } from '../worker/client.ts';
import type {
  CallName,
  Calls,
  Clip,
  Conditioning,
  DeviceInfo,
  GenerateProgress,
  MemoryPlan,
  ModelInfo,
  ModelProgress,
  RoomInfo,
  RoomRef,
  Settings,
} from '../worker/protocol.ts';
import { checkNumber, checkSettings, MEMORY, MOST_PROMPT, ROOM_NUMBER } from './limits.ts';
import { memoryLimit } from './memory-limit.ts';
import { fitted, startingTrajectory } from './trajectories.ts';
import type { WordsFrom } from './words.ts';

export const DEFAULT_ROOM = GALLERY[0].seed;

/** Videos of the visitor's, and what a text file beside them says of them. */
export interface OwnVideos {
  readonly scene: File;
  readonly hands: File;
  readonly caption?: string;
  /** What was taken of them, a line each. */
  readonly notes?: readonly string[];
}

export interface State {
  /** `lost`: the device is gone and nothing is computed until `restart`. */
  readonly phase: 'starting' | 'ready' | 'lost' | 'failed';
  /** What the engine does at the moment, in words, and how much of it is done, 0 to 1. */
  readonly task?: { readonly what: string; readonly done: number };
  readonly error?: string;
  readonly device?: DeviceInfo;
  readonly model?: ModelInfo;
  readonly settings?: Settings;
  /** Where `settings.prompt` comes from. */
  readonly wordsFrom: WordsFrom;
  /** GB that a run may take on the device. */
  readonly memoryLimit: number;
  /** Of what the visitor asked for, how much is not done yet. */
  readonly pending: number;
  readonly plan?: MemoryPlan;
  readonly roomRef: RoomRef;
  readonly room?: RoomInfo;
  readonly motions?: History<Trajectory>;
  /** The motion that the room began with: another size or model has it planned anew. The visitor's own is kept. */
  readonly planned?: Trajectory;
  readonly scene?: Clip;
  readonly hands?: Clip;
  /** Where the clips above come from, where they are not drawn here. */
  readonly videos?: OwnVideos;
  readonly run?: GenerateProgress;
  readonly preview?: Clip;
  /** The shaders of a first run are being made, while nothing else is asked for. */
  readonly warming: boolean;
  /** The room that is being opened. */
  readonly opening?: RoomRef;
  /** Counts the engines there were: each needs a canvas of its own. */
  readonly engines: number;
  readonly generated?: Calls['generate']['result'] & { readonly of: Settings };
}

const whenIdle = (work: () => void) =>
  'requestIdleCallback' in window ? requestIdleCallback(work, { timeout: 2000 }) : setTimeout(work, 500);

const words = (error: unknown) => (error instanceof Error ? error.message : String(error));
const hasCode = (error: unknown, code: string) => error instanceof EngineError && error.code === code;

/** What has no answer by then hangs: the engine is started anew. */
const PATIENCE = 10_000;

/** A link's run that is as large as this plays when it is opened; a larger one waits for its visitor. */
const playsAtOnce = (asked: Settings, own: Settings) => {
  const volume = ({ width, height, frames }: Settings) => width * height * frames;
  return asked.steps <= Math.max(50, own.steps) && volume(asked) <= 2 * volume(own);
};

export function createSession() {
  const [state, set] = createStore<State>({
    phase: 'starting',
    wordsFrom: 'none',
    memoryLimit: memoryLimit(true),
    pending: 0,
    warming: false,
    engines: 1,
    roomRef: { kind: 'synthetic', seed: DEFAULT_ROOM, exact: true },
  });
  let engine = new EngineClient();
  let modelRef: ModelRef = { kind: 'default', base: new URL('models/default/', document.baseURI).href };
  let lora: ModelFiles | undefined;
  /** Ends what is under way. */
  let stop = new AbortController();
  let queue: Promise<unknown> = Promise.resolve();
  let drawing: AbortController | undefined;
  let warming: AbortController | undefined;
  /** The motion whose clips are shown. */
  let drawn: History<Trajectory> | undefined;

  /** The state without the store's proxies, which cannot be sent to the engine. */
  const now = () => unwrap(state);
  const busy = (what: string, done = 0) => set({ task: { what, done } });
  const fail = (error: unknown) => {
    // The loss of the device has a line of its own.
    if (!hasCode(error, 'cancelled') && !hasCode(error, 'device-lost')) set({ error: words(error) });
  };

  /** A call that Cancel ends. */
  const call = <N extends CallName>(
    name: N,
    argument: Calls[N]['argument'],
    onProgress?: CallOptions<Calls[N]['progress']>['onProgress'],
  ) => engine.call(name, argument, { signal: stop.signal, onProgress });

  /** One after the other. What is asked for counts from now on, so nothing runs with what it is about to change. */
  function inTurn<T>(work: (before: boolean) => Promise<T>): Promise<T> {
    warming?.abort();
    set({ pending: state.pending + 1 });
    const turn = queue
      .then((before) => work(before !== false))
      .finally(() => set({ pending: state.pending - 1 }));
    queue = turn;
    return turn;
  }

  /** Runs what a visitor asked for, after what they asked for before; an error becomes the page's one line. */
  function attempt(work: () => Promise<void>): Promise<boolean> {
    return inTurn(async () => {
      if (state.phase !== 'ready' || state.run) return false;
      stop = new AbortController();
      set({ error: undefined });
      try {
        await work();
        return true;
      } catch (error) {
        fail(error);
        return false;
      } finally {
        set({ task: undefined });
      }
    });
  }

  function watch(client: EngineClient): void {
    client.lost.then((reason) => {
      if (client !== engine) return;
      renew();
      console.warn(reason);
      set({
        phase: 'lost',
        run: undefined,
        task: undefined,
        preview: undefined,
        error: 'The graphics device was lost. What you made is still here.',
      });
    });
  }

  /** An engine that has no device yet: it can write files. */
  function renew(): void {
    engine.close();
    engine = new EngineClient();
    set({ engines: state.engines + 1 });
    watch(engine);
  }
  watch(engine);

  function loadModel(ref: ModelRef, withLora: ModelFiles | undefined): Promise<ModelInfo> {
    busy('Loading the model');
    return call('loadModel', { base: ref, lora: withLora }, ({ part, done, total }: ModelProgress) =>
      busy(part === 'files' ? 'Fetching the model' : `Loading ${part}`, done / Math.max(1, total)),
    );
  }

  /** The conditioning videos of a motion, in the room that was opened last. */
  async function draw(trajectory: Trajectory): Promise<Conditioning> {
    busy('Drawing the scene and the hands');
    return call('condition', { trajectory }, ({ done }) => busy('Drawing the scene and the hands', done));
  }

  /** What the model is told, unless the visitor typed something: what is known of the hands. */
  async function wordsFor(
    trajectory: Trajectory,
    planned: Trajectory | undefined,
    room: RoomInfo,
    asPlanned = trajectory === planned,
  ): Promise<{ text: string; from: WordsFrom }> {
    if (state.wordsFrom === 'typed') return { text: now().settings!.prompt, from: 'typed' };
    if (asPlanned && room.caption) return { text: room.caption, from: 'room' };
    busy('Looking at what the hand does');
    const told = await call('describe', { trajectory });
    return told === undefined ? { text: '', from: 'none' } : { text: told, from: 'motion' };
  }

  /** A room with the motion it is given, or its own, at a size. The page changes once all of it is there. */
  async function openRoom(ref: RoomRef, settings: Settings, history?: History<Trajectory>): Promise<void> {
    busy('Building the room');
    set({ opening: ref });
    try {
      await build(ref, settings, history);
    } finally {
      set({ opening: undefined });
    }
  }

  async function build(ref: RoomRef, settings: Settings, history?: History<Trajectory>): Promise<void> {
    const room = await call('openRoom', { room: ref, settings });
    const own = onGrid(fitted(startingTrajectory(room, settings), settings));
    const given = history?.present;
    const trajectory = given ? onGrid(fitted(given, settings)) : own;
    const clips = await draw(trajectory);
    const told = await wordsFor(trajectory, own, room);
    const motions = history && given === trajectory ? history : begin(trajectory);
    drawn = motions;
    batch(() =>
      set({
        ...clips,
        roomRef: room.seed === undefined ? ref : { kind: 'synthetic', seed: room.seed, exact: true },
        room,
        planned: own,
        motions,
        videos: undefined,
        generated: undefined,
        preview: undefined,
        settings: { ...settings, prompt: told.text },
        wordsFrom: told.from,
      }),
    );
  }

  const ownMotions = () => {
    const { motions, planned } = now();
    return motions?.present === planned ? undefined : motions;
  };

  async function openVideos(videos: OwnVideos, settings: Settings): Promise<void> {
    const { scene: sceneFile, hands: handsFile } = videos;
    const { notes, ...clips } = await call(
      'readVideos',
      { scene: sceneFile, hands: handsFile, settings, model: now().model?.name },
      ({ name, done }) => busy(`Reading ${name}`, done),
    );
    const typed = state.wordsFrom === 'typed';
    const { caption = '' } = videos;
    set({
      ...clips,
      videos: { ...videos, notes },
      generated: undefined,
      preview: undefined,
      settings: { ...settings, prompt: typed ? settings.prompt : caption },
      wordsFrom: typed ? 'typed' : caption ? 'file' : 'none',
    });
  }

  /** Everything that is shown, made anew at a size: the visitor's videos, or the room. */
  const remake = (settings: Settings) => {
    const { videos, roomRef } = now();
    return videos ? openVideos(videos, settings) : openRoom(roomRef, settings, ownMotions());
  };

  const planFor = (settings: Settings, gigabytes = state.memoryLimit) =>
    call('plan', { settings, limit: gigabytes * 1e9 });

  const planRun = async () => {
    // Nothing can be generated with settings that no plan could be made for.
    set({ plan: undefined });
    set({ plan: await planFor(now().settings!) });
  };

  /** A newer motion makes an older drawing void; one that is not drawn is taken back. */
  function changeMotion(
    change: (history: History<Trajectory>) => History<Trajectory>,
    asPlanned?: boolean,
  ): Promise<boolean> {
    const before = now().motions;
    if (!before || state.run || state.phase !== 'ready') return Promise.resolve(false);
    let after: History<Trajectory>;
    try {
      after = change(before);
    } catch (error) {
      fail(error);
      return Promise.resolve(false);
    }
    if (after.present === before.present) return Promise.resolve(false);
    set({ motions: after });
    drawing?.abort();
    const mine = new AbortController();
    drawing = mine;
    return attempt(async () => {
      // Another motion, or another room, came in the meantime.
      if (mine.signal.aborted || now().motions !== after) return;
      const own = stop;
      mine.signal.addEventListener('abort', () => own.abort());
      const { planned, room } = now();
      try {
        const trajectory = after.present;
        const clips = await draw(trajectory);
        const told = await wordsFor(trajectory, planned, room!, asPlanned);
        drawn = after;
        set({
          ...clips,
          videos: undefined,
          generated: undefined,
          preview: undefined,
          settings: { ...now().settings!, prompt: told.text },
          wordsFrom: told.from,
        });
      } catch (error) {
        if (now().motions === after && state.phase === 'ready') set({ motions: drawn });
        throw error;
      }
      await planRun();
    });
  }

  /** Takes settings over once a plan could be made for them, and what they change is drawn. */
  const change = (changed: Partial<Settings>) =>
    attempt(async () => {
      const before = now().settings!;
      const after = { ...before, ...changed };
      const redraws = (['width', 'height', 'frames', 'fps'] as const).some(
        (key) => after[key] !== before[key],
      );
      checkSettings(redraws ? after : changed);
      const plan = await planFor(after);
      if (redraws) await remake(after);
      else set({ settings: after });
      set({ plan });
    });

  /** Runs with what the visitor has changed by now; not at all where that failed. */
  function generate(): Promise<void> {
    const changing = state.pending > 0;
    return inTurn(async (before) => {
      if (before || !changing) await run();
    });
  }

  async function run(): Promise<void> {
    const { scene, hands, settings, generated: before } = now();
    if (!scene || !hands || !settings || state.run || state.phase !== 'ready' || !state.plan?.fits) return;
    stop = new AbortController();
    set({ error: undefined, generated: undefined, preview: undefined });
    set({ run: { stage: 'encode', done: 0, step: 0, steps: settings.steps } });
    try {
      // The page keeps its clips: what is sent is copied.
      const made = await call('generate', { scene, hands, settings }, (progress) =>
        batch(() => {
          if (progress.preview) set({ preview: progress.preview });
          set({ run: progress });
        }),
      );
      set({ generated: { ...made, of: settings } });
    } catch (error) {
      fail(error);
      set({ preview: undefined, generated: before });
    } finally {
      set({ run: undefined });
    }
  }

  /** A run whose picture nobody sees: the first one makes the shaders, which takes far longer than to run them. */
  function warmUp(): void {
    const { scene, hands, settings, plan, device } = now();
    // In software the run itself takes longest, and takes the processor from the page.
    if (device?.software || state.pending > 0 || state.phase !== 'ready') return;
    if (!scene || !hands || !settings || !plan?.fits) return;
    const mine = new AbortController();
    warming = mine;
    set({ warming: true });
    queue = engine
      .call('generate', { scene, hands, settings: { ...settings, steps: 1 } }, { signal: mine.signal })
      // Whatever fails here fails again where somebody waits for it.
      .then(
        () => true,
        () => true,
      )
      .finally(() => set({ warming: false }));
  }

  /** What a link asks for. A broken link leaves the page to begin as without one. */
  const sharedNow = () =>
    readLink(location.hash).catch((error) => {
      fail(error);
      return undefined;
    });

  /** Opens device, model and room. What was made before the device was lost stays. */
  async function start(): Promise<void> {
    const again = state.room !== undefined;
    stop = new AbortController();
    const { signal } = stop;
    set({ phase: 'starting', error: undefined });
    try {
      busy('Opening the graphics device');
      const device = await call('open', undefined);
      set({ device, memoryLimit: again ? state.memoryLimit : memoryLimit(device.software) });
      const shared = again ? undefined : await sharedNow();
      // A link says its size, so its scene is there before the model is: there is something to see.
      if (shared) await openShared(shared);
      const model = await loadModel(modelRef, lora);
      set({ model });
      if (again) {
        const { roomRef, settings, motions } = now();
        await call('openRoom', { room: roomRef, settings: settings! });
        await draw(motions!.present);
      } else if (!shared) await openRoom(now().roomRef, model.settings);
      await planRun();
      set({ phase: 'ready', task: undefined });
      if (shared && state.plan?.fits && playsAtOnce(shared.settings, model.settings)) await generate();
      else if (!again) whenIdle(warmUp);
    } catch (error) {
      if (state.phase !== 'lost')
        set({
          phase: 'failed',
          error: signal.aborted ? 'The page was stopped while it loaded.' : words(error),
        });
    } finally {
      set({ task: undefined });
    }
  }

  function openShared({ room, settings, typed, trajectory }: Shared): Promise<void> {
    set({ settings, wordsFrom: typed ? 'typed' : 'none' });
    return openRoom(
      { kind: 'synthetic', seed: room, exact: true },
      settings,
      trajectory && begin(trajectory),
    );
  }

  return {
    state,
    start,
    /** The engine of now; a new one after each restart. */
    engine: () => engine,
    restart: (): Promise<void> => {
      renew();
      return start();
    },
    dismiss: () => set({ error: undefined }),
    complain: fail,
    useRoom: (ref: RoomRef) =>
      attempt(async () => {
        if (ref.kind === 'synthetic') checkNumber(ROOM_NUMBER, ref.seed);
        await openRoom(ref, now().settings!);
        await planRun();
      }),
    /** From the visitor's videos back to the room and its motion. */
    backToRoom: () =>
      attempt(async () => {
        await openRoom(now().roomRef, now().settings!, ownMotions());
        await planRun();
      }),
    useModel: (ref: ModelRef) =>
      attempt(async () => {
        const model = await loadModel(ref, undefined);
        [modelRef, lora] = [ref, undefined];
        const { seed, prompt } = now().settings!;
        set({ model, generated: undefined, preview: undefined });
        await remake({ ...model.settings, seed, prompt });
        await planRun();
      }),
    /** Fine-tuned weights over the model that is there; undefined takes them off. */
    useLora: (files: ModelFiles | undefined) =>
      attempt(async () => {
        const model = await loadModel(modelRef, files);
        lora = files;
        set({ model, generated: undefined, preview: undefined });
        await planRun();
      }),
    useVideos: (videos: OwnVideos) =>
      attempt(async () => {
        await openVideos(videos, now().settings!);
        await planRun();
      }),
    /** Work on the engine that changes nothing here; in turn with the rest, and ended by Cancel. */
    aside: async <T>(what: string, work: (engineCall: typeof call) => Promise<T>): Promise<T | undefined> => {
      let made: T | undefined;
      await attempt(async () => {
        busy(what);
        made = await work(call);
      });
      return made;
    },
    /** What the model makes of a motion, drawn at once. @param asPlanned it does what the room's words say. */
    answer: async (trajectory: Trajectory, asPlanned = false): Promise<boolean> => {
      const fits = (history: History<Trajectory>) =>
        push(history, onGrid(fitted(trajectory, now().settings!)));
      if (!(await changeMotion(fits, asPlanned))) return false;
      await generate();
      return state.generated !== undefined;
    },
    useMotion: (trajectory: Trajectory) =>
      changeMotion((history) => push(history, onGrid(fitted(trajectory, now().settings!)))),
    undo: () => changeMotion(undo),
    redo: () => changeMotion(redo),
    /** Another size or rate draws what is shown anew; the rest only changes the next run. */
    change,
    /** The visitor's own words; undefined gives the page's back. */
    say: (text: string | undefined) =>
      attempt(async () => {
        if (text !== undefined) {
          checkSettings({ prompt: text.slice(0, MOST_PROMPT + 1) });
          set({ settings: { ...now().settings!, prompt: text }, wordsFrom: 'typed' });
          return;
        }
        set({ wordsFrom: 'none' });
        const { videos, motions, planned, room, settings } = now();
        const told = videos
          ? { text: videos.caption ?? '', from: videos.caption ? ('file' as const) : ('none' as const) }
          : await wordsFor(motions!.present, planned, room!);
        set({ settings: { ...settings!, prompt: told.text }, wordsFrom: told.from });
      }),
    limitMemory: (gigabytes: number) =>
      attempt(async () => {
        checkNumber(MEMORY, gigabytes);
        const plan = await planFor(now().settings!, gigabytes);
        set({ memoryLimit: gigabytes, plan });
      }),
    generate,
    /** Ends a load or a run. An engine that does not answer is started anew, with everything that was made. */
    cancel(): void {
      const ending = stop;
      ending.abort();
      const client = engine;
      setTimeout(() => {
        if (stop !== ending || client !== engine || !(state.task || state.run)) return;
        // What never came up stays down until it is asked for again.
        const comesBack = state.phase === 'ready';
        renew();
        set({ run: undefined, task: undefined });
        if (comesBack) queue.then(start);
      }, PATIENCE);
    },
    shared: (): Shared | undefined => {
      const { roomRef, settings, motions, planned, videos, wordsFrom } = now();
      if (roomRef.kind !== 'synthetic' || videos || !settings || !motions) return undefined;
      return {
        room: roomRef.seed,
        settings: { ...settings },
        typed: wordsFrom === 'typed',
        ...(motions.present !== planned && { trajectory: motions.present }),
      };
    },
  };
}

export type Session = ReturnType<typeof createSession>;
