/**
 * Everything the page knows: the engine's state, the room, the motion, and the clips made of them. The functions are
 * what a visitor can do; each leaves the page working when it fails, with one line that says why.
 */
import type { Trajectory } from '@dwm/renderer';
import { batch } from 'solid-js';
import { createStore, unwrap } from 'solid-js/store';
import example from '../example.mp4';
import { onGrid, readLink, type Shared } from '../export/link.ts';
import type { ModelRef } from '../model-store/sources.ts';
import { lastThird } from '../panes/picture.ts';
import { begin, type History, push, redo, undo } from '../scene-editor/history.ts';
import { EngineClient, EngineError } from '../worker/client.ts';
import type {
  Clip,
  DeviceInfo,
  GenerateProgress,
  MemoryPlan,
  ModelInfo,
  ModelProgress,
  RoomInfo,
  RoomRef,
  Settings,
} from '../worker/protocol.ts';
import { memoryLimit } from './memory-limit.ts';
import { fitted, startingTrajectory } from './trajectories.ts';

export const DEFAULT_ROOM = 1_000_000;

export interface State {
  /** `lost`: the device is gone and nothing works until `restart`. */
  readonly phase: 'starting' | 'ready' | 'lost' | 'failed';
  /** What the engine does at the moment, in words, and how much of it is done, 0 to 1. */
  readonly task?: { readonly what: string; readonly done: number };
  readonly error?: string;
  readonly device?: DeviceInfo;
  readonly model?: ModelInfo;
  readonly settings?: Settings;
  /** GB that a run may take on the device. */
  readonly memoryLimit: number;
  readonly plan?: MemoryPlan;
  readonly roomRef: RoomRef;
  readonly room?: RoomInfo;
  readonly motions?: History<Trajectory>;
  readonly scene?: Clip;
  readonly hands?: Clip;
  /** Where the clips above come from: drawn here, or the visitor's videos. */
  readonly source: 'drawn' | 'videos';
  readonly run?: GenerateProgress;
  readonly preview?: Clip;
  /** A run from the build, of the motion that the page begins with. */
  readonly recorded?: { readonly of: Trajectory; readonly video: Clip };
  readonly generated?: { readonly video: Clip; readonly seconds: number; readonly of: Settings };
}

const words = (error: unknown) => (error instanceof Error ? error.message : String(error));
const isCancelled = (error: unknown) => error instanceof EngineError && error.code === 'cancelled';

export function createSession() {
  const [state, set] = createStore<State>({
    phase: 'starting',
    memoryLimit: memoryLimit(true),
    roomRef: { kind: 'synthetic', seed: DEFAULT_ROOM },
    source: 'drawn',
  });
  let engine = new EngineClient();
  let modelRef: ModelRef = { kind: 'default', base: new URL('models/default/', document.baseURI).href };
  let stop: AbortController | undefined;
  let conditioned = 0;
  /** The motion that the room began with: another size or model has it planned anew. The visitor's own is kept. */
  let planned: Trajectory | undefined;

  /** The state without the store's proxies, which cannot be sent to the engine. */
  const now = () => unwrap(state);
  const busy = (what: string, done = 0) => set({ task: { what, done } });
  const idle = () => set({ task: undefined });
  const fail = (error: unknown) => {
    if (!isCancelled(error)) set({ error: words(error) });
  };

  /** Runs what a visitor asked for; an error becomes the page's one line. */
  async function attempt(work: () => Promise<void>): Promise<boolean> {
    set({ error: undefined });
    try {
      await work();
      return true;
    } catch (error) {
      fail(error);
      return false;
    } finally {
      idle();
    }
  }

  function watch(client: EngineClient): void {
    client.lost.then((reason) => {
      if (client !== engine) return;
      set({
        phase: 'lost',
        run: undefined,
        task: undefined,
        error: `The graphics device was lost (${reason}). What you made is still here.`,
      });
    });
  }

  async function loadModel(ref: ModelRef): Promise<void> {
    stop = new AbortController();
    busy('Loading the model');
    const model = await engine.call('loadModel', ref, {
      signal: stop.signal,
      onProgress: ({ part, done, total }: ModelProgress) =>
        busy(part === 'files' ? 'Fetching the model' : `Loading ${part}`, done / Math.max(1, total)),
    });
    modelRef = ref;
    batch(() => {
      set({ model, generated: undefined, preview: undefined });
      set({ settings: { ...model.settings, seed: state.settings?.seed ?? model.settings.seed } });
    });
  }

  async function openRoom(ref: RoomRef, given?: Trajectory): Promise<void> {
    const settings = now().settings!;
    busy('Building the room');
    const room = await engine.call('openRoom', { room: ref, settings });
    const trajectory = onGrid(fitted(given ?? startingTrajectory(room, settings), settings));
    planned = given ? undefined : trajectory;
    // Models that read are told what the planned motion is, until the visitor says otherwise.
    const prompt = given ? settings.prompt : room.caption;
    batch(() =>
      set({
        roomRef: room.seed === undefined ? ref : { kind: 'synthetic', seed: room.seed, exact: true },
        room,
        motions: begin(trajectory),
        source: 'drawn',
        settings: { ...settings, prompt },
      }),
    );
    await condition();
  }

  const reopenRoom = () => {
    const { roomRef, motions } = now();
    return openRoom(roomRef, motions?.present === planned ? undefined : motions?.present);
  };

  /** Draws the conditioning videos of the present motion; a newer motion makes an older drawing void. */
  async function condition(): Promise<void> {
    const trajectory = now().motions!.present;
    const turn = ++conditioned;
    busy('Drawing the scene and the hands');
    const clips = await engine.call(
      'condition',
      { trajectory, settings: now().settings! },
      { onProgress: ({ done }) => turn === conditioned && busy('Drawing the scene and the hands', done) },
    );
    if (turn === conditioned) set({ ...clips, source: 'drawn', generated: undefined, preview: undefined });
  }

  /** The recorded run of the first room stands in until the visitor makes one. */
  async function showRecorded(): Promise<void> {
    const file = new File([await (await fetch(example)).blob()], 'example.mp4');
    const all = await engine.call('readVideo', { file, settings: now().settings! });
    set({ recorded: { of: now().motions!.present, video: lastThird(all) } });
  }

  async function planRun(): Promise<void> {
    const limit = state.memoryLimit * 1e9;
    // Nothing can be generated with settings that no plan could be made for.
    set({ plan: undefined });
    set({ plan: await engine.call('plan', { settings: now().settings!, limit }) });
  }

  const changeMotion = (change: (history: History<Trajectory>) => History<Trajectory>) =>
    attempt(async () => {
      const before = now().motions;
      if (!before) return;
      const after = change(before);
      if (after.present === before.present) return;
      set({ motions: after });
      await condition();
      await planRun();
    });

  /** Opens device, model and room; `again` brings back what was there before the device was lost. */
  async function start(again = false): Promise<void> {
    set({ phase: 'starting', error: undefined });
    watch(engine);
    try {
      busy('Opening the graphics device');
      const device = await engine.call('open', undefined);
      set({ device, memoryLimit: again ? state.memoryLimit : memoryLimit(device.software) });
      const shared = again ? undefined : await readLink(location.hash).catch((error) => fail(error));
      const kept = again ? now().settings : shared?.settings;
      await loadModel(modelRef);
      if (kept) set({ settings: kept });
      const motion = again ? now().motions?.present : shared?.trajectory;
      const ref = shared ? ({ kind: 'synthetic', seed: shared.room, exact: true } as const) : now().roomRef;
      await openRoom(ref, motion);
      await planRun();
      set({ phase: 'ready' });
      if (!again && !shared) await showRecorded();
    } catch (error) {
      if (state.phase !== 'lost') set({ phase: 'failed', error: words(error) });
    } finally {
      idle();
    }
  }

  return {
    state,
    start,
    /** The engine of now; a new one after each restart. */
    engine: () => engine,
    restart(): Promise<void> {
      engine.close();
      engine = new EngineClient();
      return start(true);
    },
    dismiss: () => set({ error: undefined }),
    complain: fail,
    useRoom: (ref: RoomRef) =>
      attempt(async () => {
        await openRoom(ref);
        await planRun();
      }),
    useModel: (ref: ModelRef) =>
      attempt(async () => {
        await loadModel(ref);
        await reopenRoom();
        await planRun();
      }),
    useVideos: (scene: File, hands: File) =>
      attempt(async () => {
        const settings = now().settings!;
        const read = (file: File, what: string) =>
          engine.call(
            'readVideo',
            { file, settings },
            { onProgress: ({ done }) => busy(`Reading ${what}`, done) },
          );
        const clips = { scene: await read(scene, scene.name), hands: await read(hands, hands.name) };
        conditioned++;
        set({ ...clips, source: 'videos', generated: undefined, preview: undefined });
      }),
    useMotion: (trajectory: Trajectory) =>
      changeMotion((history) => push(history, onGrid(fitted(trajectory, now().settings!)))),
    undo: () => changeMotion(undo),
    redo: () => changeMotion(redo),
    /** Another size or rate draws the room anew; the rest only changes the next run. */
    change: (change: Partial<Settings>) =>
      attempt(async () => {
        const before = now().settings!;
        const after = { ...before, ...change };
        set({ settings: after });
        const redraws = (['width', 'height', 'frames', 'fps'] as const).some(
          (key) => after[key] !== before[key],
        );
        if (redraws) await reopenRoom();
        await planRun();
      }),
    limitMemory: (gigabytes: number) =>
      attempt(async () => {
        set({ memoryLimit: gigabytes });
        await planRun();
      }),
    async generate(): Promise<void> {
      const { scene, hands, settings } = now();
      if (!scene || !hands || !settings) return;
      stop = new AbortController();
      set({ error: undefined, generated: undefined, preview: undefined });
      set({ run: { stage: 'encode', done: 0, step: 0, steps: settings.steps } });
      try {
        // The page keeps its clips: what is sent is copied.
        const { video, seconds } = await engine.call(
          'generate',
          { scene, hands, settings },
          {
            signal: stop.signal,
            onProgress: (progress) =>
              batch(() => {
                if (progress.preview) set({ preview: progress.preview });
                set({ run: progress });
              }),
          },
        );
        set({ generated: { video, seconds, of: settings } });
      } catch (error) {
        fail(error);
        set({ preview: undefined });
      } finally {
        set({ run: undefined });
      }
    },
    cancel: () => stop?.abort(),
    shared: (): Shared | undefined => {
      const { roomRef, settings, motions, source } = now();
      if (roomRef.kind !== 'synthetic' || source !== 'drawn' || !settings || !motions) return undefined;
      return { room: roomRef.seed, settings: { ...settings }, trajectory: motions.present };
    },
  };
}

export type Session = ReturnType<typeof createSession>;
