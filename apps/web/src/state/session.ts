/**
 * The page's stores, and what a visitor can do with them. Each of these leaves the page as it was when it fails or is
 * cancelled, with one line that says why.
 */
import type { Trajectory } from '@dwm/renderer';
import { unwrap } from 'solid-js/store';
import { readLink, type Shared } from '../export/link.ts';
import type { ModelFiles, ModelRef } from '../model-store/sources.ts';
import { beginning } from '../scene-editor/beginning.ts';
import { begin } from '../scene-editor/history.ts';
import { frameOf } from '../scene-editor/recorder.ts';
import { done } from '../stage/run-words.ts';
import type { ModelInfo, RoomRef, Settings } from '../worker/protocol.ts';
import { createEngine } from './engine.ts';
import { checkNumber, checkSettings, LIMITS, MEMORY, MOST_PROMPT, ROOM_NUMBER } from './limits.ts';
import { createLive } from './live.ts';
import { memoryLimit } from './memory-limit.ts';
import { CLIPS, createModel } from './model.ts';
import { createMotions } from './motions.ts';
import { createNotice, isSaidElsewhere, lineOf } from './notice.ts';
import { createQueue } from './queue.ts';
import { createRoom, type OwnVideos } from './room.ts';
import { createRun } from './run.ts';
import { createTasks, type Task } from './tasks.ts';

const whenIdle = (work: () => void) =>
  'requestIdleCallback' in window ? requestIdleCallback(work, { timeout: 2000 }) : setTimeout(work, 500);

/** A link's run that is as large as this plays when it is opened; a larger one waits for its visitor. */
const playsAtOnce = (asked: Settings, { settings: own, live }: ModelInfo) => {
  const volume = ({ width, height, frames }: Settings) => width * height * frames;
  return asked.steps <= Math.max(50, own.steps) && (live || volume(asked) <= 2 * volume(own));
};

const cannotLive = (error: unknown) =>
  `The live model cannot be used here, so the answer comes after the hand is let go: ${lineOf(error)}`;

export function createSession() {
  const notice = createNotice();
  const engine = createEngine(notice);
  const tasks = createTasks(engine, () => {
    const { phase } = engine.state;
    engine.renew(phase === 'ready' ? 'starting' : phase);
    // What never came up stays down until it is asked for again.
    if (phase === 'ready') void start();
  });
  const queue = createQueue(engine, tasks, notice);
  const run = createRun();
  const model = createModel(() => run.state.memoryLimit * 1e9);
  const room = createRoom(run, model);
  /** A live model that cannot be used gives way to the one that makes whole clips. */
  async function makeClips(task: Task, error: unknown): Promise<never> {
    const info = await model.load(task, CLIPS, undefined);
    const { seed, prompt } = run.now().settings!;
    await room.remake(task, { ...info.settings, seed, prompt });
    await run.plan(task);
    throw new Error(cannotLive(error));
  }
  const live = createLive(engine, queue, model, room, run, makeClips);
  const motions = createMotions(engine, queue, notice, room, run);

  /** On the stage, followed by a plan for the next run. */
  const attempt = (work: (task: Task) => Promise<void>) =>
    queue
      .attempt('stage', async (task) => {
        await work(task);
        await run.plan(task);
      })
      .finally(() => live.able() && whenIdle(warmUp));

  /** Runs with what the visitor has changed by now; not at all where that failed. */
  function generate(): Promise<void> {
    const changing = queue.waiting() > 0;
    return queue.inTurn(async (before) => {
      const { scene, hands } = room.now();
      if ((changing && !before) || !scene || !hands || engine.state.phase !== 'ready') return;
      if (!run.state.settings || !run.state.plan?.fits) return;
      notice.dismiss();
      await tasks.run('stage', (task) => run.make(task, { scene, hands })).catch(notice.show);
    });
  }

  /** A run whose picture nobody sees: the first one makes the shaders, which takes far longer than to run them. */
  function warmUp(): void {
    const { scene, hands } = room.now();
    const { settings, plan } = run.now();
    if (live.able()) {
      const { roomMotion, info, motions: history } = room.now();
      const lens = history!.present.frames[0].intrinsics;
      queue.inIdle('under', (task) => live.prepare(task, frameOf(beginning(roomMotion!, info!), lens)));
      return;
    }
    // In software the run itself takes longest, and takes the processor from the page.
    if (engine.state.device?.software || !scene || !hands || !settings || !plan?.fits) return;
    queue.inIdle('under', (task) => {
      const what = 'Getting the model ready, the first time only …';
      task.say(what);
      const given = { scene, hands, settings: { ...settings, steps: 1 } };
      return task.call('generate', given, (progress) => task.say(what, done(progress)));
    });
  }

  /** What a link asks for. A broken link leaves the page to begin as without one. */
  const sharedNow = () =>
    readLink(location.hash).catch((error) => {
      notice.show(error);
      return undefined;
    });

  /** Opens device, model and room. What was made before the device was lost stays. */
  async function load(task: Task): Promise<void> {
    const again = room.state.info !== undefined;
    task.say('Starting …');
    const device = await task.call('open', undefined);
    engine.use(device);
    if (!again) run.allow(memoryLimit(device.software));
    const shared = again ? undefined : await sharedNow();
    // A link says its size, so its scene is there before the model is: there is something to see.
    if (shared) await openShared(task, shared);
    const info = await model.again(task).catch(async (error) => {
      if (!model.hasSpare() || isSaidElsewhere(error)) throw error;
      const spare = await model.load(task, CLIPS, undefined);
      notice.show(new Error(cannotLive(error)));
      return spare;
    });
    if (again) await room.again(task);
    else if (!shared) await room.open(task, room.now().ref, info.settings);
    await run.plan(task);
    engine.enter('ready');
    if (shared && run.state.plan?.fits && playsAtOnce(shared.settings, info)) void generate();
    else if (!again) whenIdle(warmUp);
  }

  function openShared(task: Task, { room: seed, settings, typed, trajectory }: Shared): Promise<void> {
    run.use(settings, { text: settings.prompt, from: typed ? 'typed' : 'none' });
    return room.open(
      task,
      { kind: 'synthetic', seed, exact: true },
      settings,
      trajectory && begin(trajectory),
    );
  }

  function start(): Promise<boolean> {
    notice.dismiss();
    return queue.inTurn(() =>
      tasks.run('stage', async (task) => {
        try {
          await load(task);
          return true;
        } catch (error) {
          if (engine.state.phase !== 'lost') {
            engine.enter('failed');
            notice.show(
              task.signal.aborted
                ? new Error('The page was stopped while it loaded.')
                : new Error(lineOf(error)),
            );
          }
          return false;
        }
      }),
    );
  }

  return {
    engine,
    tasks,
    queue,
    notice,
    model,
    run,
    room,
    motions,
    live,
    start,
    generate,
    /** Nothing can be asked for at the moment. */
    busy: () => engine.state.phase !== 'ready' || !!tasks.at('stage') || !!tasks.at('beside'),
    restart(): Promise<boolean> {
      engine.renew('starting');
      return start();
    },
    useRoom: (ref: RoomRef) =>
      attempt(async (task) => {
        if (ref.kind === 'synthetic') checkNumber(ROOM_NUMBER, ref.seed);
        await room.open(task, ref, run.now().settings!);
      }),
    leaveVideos: () => attempt(room.leaveVideos),
    useVideos: (videos: OwnVideos) => attempt((task) => room.openVideos(task, videos, run.now().settings!)),
    useModel: (ref: ModelRef) =>
      attempt(async (task) => {
        const info = await model.load(task, ref, undefined);
        run.forget();
        const { seed, prompt } = run.now().settings!;
        await room.remake(task, { ...info.settings, seed, prompt });
      }),
    /** Fine-tuned weights over the model that is there; undefined takes them off. */
    useLora: (files: ModelFiles | undefined) =>
      attempt(async (task) => {
        await model.tune(task, files);
        run.forget();
      }),
    /** What the model makes of a motion, drawn at once. @param asSaid it does what the room's words say. */
    answer: async (trajectory: Trajectory, asSaid = false): Promise<boolean> => {
      if (!(await motions.use(trajectory, asSaid))) return false;
      await generate();
      return run.state.generated !== undefined;
    },
    /** Another size or rate draws what is shown anew; the rest only changes the next run. */
    change: (changed: Partial<Settings>) =>
      queue.attempt('stage', async (task) => {
        const before = run.now().settings!;
        const after = { ...before, ...changed };
        const redraws = (['width', 'height', 'frames', 'fps'] as const).some(
          (key) => after[key] !== before[key],
        );
        checkSettings(redraws ? after : changed);
        const plan = await run.planFor(task, after);
        if (redraws) await room.remake(task, after);
        else run.use(after);
        run.planned(plan);
      }),
    /** The visitor's own words; undefined gives the page's back. */
    say: (text: string | undefined) =>
      queue.attempt('stage', async (task) => {
        if (text !== undefined) checkSettings({ prompt: text.slice(0, MOST_PROMPT + 1) });
        const told = text === undefined ? await room.words(task) : { text, from: 'typed' as const };
        run.use(run.now().settings!, told);
      }),
    limitMemory: (gigabytes: number) =>
      queue.attempt('stage', async (task) => {
        checkNumber(MEMORY, gigabytes);
        const plan = await run.planFor(task, run.now().settings!, gigabytes);
        run.allow(gigabytes);
        run.planned(plan);
      }),
    shared(): Shared | undefined {
      const { ref, motions: history, roomMotion, videos } = room.state;
      const { settings, wordsFrom } = run.state;
      if (ref.kind !== 'synthetic' || videos || !settings || !history) return undefined;
      // What was made live is as long as it was held.
      const frames = history.present.frames.length;
      if (frames > LIMITS.frames.max) return undefined;
      return {
        room: ref.seed,
        settings: { ...unwrap(settings), frames },
        typed: wordsFrom === 'typed',
        ...(history.present !== roomMotion && { trajectory: unwrap(history.present) }),
      };
    },
  };
}

export type Session = ReturnType<typeof createSession>;
