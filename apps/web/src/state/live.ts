/**
 * The live mode: while the hand is held, its frames go to the model at the run's rate, and what it makes of them is
 * shown as it comes. What was made stays, as a clip like any other, and the room goes on from there.
 */
import type { TrajectoryFrame } from '@dwm/renderer';
import { batch, createEffect, createMemo, on } from 'solid-js';
import { createStore } from 'solid-js/store';
import { gridded } from '../export/link.ts';
import { Player, type Shown } from '../live/player.ts';
import { Pump } from '../live/pump.ts';
import { type Block, Take } from '../live/take.ts';
import { fittedTo } from '../scene-editor/guide.ts';
import { EngineError } from '../worker/client.ts';
import type { Calls } from '../worker/protocol.ts';
import type { Engine } from './engine.ts';
import type { Model } from './model.ts';
import type { Queue } from './queue.ts';
import type { Room } from './room.ts';
import type { Run } from './run.ts';
import type { Task } from './tasks.ts';

/** Frames of a drag that was over before the model was there; a longer one is played faster. */
const MOST_MISSED = 48;

interface State {
  /** The hand is held. */
  readonly moving: boolean;
  readonly shown?: Shown;
  /** Frames a second, of the last block. */
  readonly rate?: number;
  /** Blocks of this run, and the most that were under way together. */
  readonly blocks: number;
  readonly together: number;
  /** Bytes on the device after the last block. */
  readonly held: number;
}

interface Opened {
  readonly blocks: Calls['openLive']['result'];
  take: Take;
  pushed: number;
}

const nothing = (): State => ({
  moving: false,
  shown: undefined,
  rate: undefined,
  blocks: 0,
  together: 0,
  held: 0,
});

/** It says what is to be changed, and works then: nothing is wrong with the model. */
const isForVisitor = (error: unknown) =>
  error instanceof EngineError && ['cancelled', 'device-lost', 'invalid-argument'].includes(error.code);

/** @param fallBack another model takes its place; throws the line that says so. */
export function createLive(
  engine: Engine,
  queue: Queue,
  model: Model,
  room: Room,
  run: Run,
  fallBack: (task: Task, error: unknown) => Promise<never>,
) {
  const [state, set] = createStore<State>(nothing());
  let opened: Opened | undefined;
  let release: (() => void) | undefined;
  /** What the hand did in vain, where it was let go by now. */
  let missed: readonly TrajectoryFrame[] | undefined;
  /** Milliseconds from frame to frame, of a model that is given as much as it can do. */
  let pace = 0;

  const fps = () => run.state.settings?.fps ?? 8;
  const interval = () => Math.max(1000 / fps(), pace);
  const player = new Player((shown) => set({ shown }), interval);

  /** What is open in the worker is of another room, model or size. */
  const forget = () => {
    opened = undefined;
    player.stop();
    set(nothing());
  };
  const settings = createMemo(() => JSON.stringify(run.state.settings));
  const others = [() => room.state.info, () => model.state.info, () => engine.state.count, settings];
  createEffect(on(others, forget, { defer: true }));

  async function open(task: Task, frame: TrajectoryFrame): Promise<Opened> {
    if (opened) return opened;
    task.say('Preparing the live model …');
    const blocks = await task.call('openLive', { frame, settings: run.now().settings! });
    opened = { blocks, take: new Take(blocks.scene), pushed: 0 };
    return opened;
  }

  async function follow(
    task: Task,
    approach: readonly TrajectoryFrame[],
    now: () => TrajectoryFrame,
    released: Promise<void>,
  ): Promise<void> {
    const going = await open(task, gridded(now())).catch((error) => {
      if (isForVisitor(error)) throw error;
      return fallBack(task, error);
    });
    task.say(undefined);
    const { blocks, take } = going;
    pace = 0;
    let underWay = 0;
    let came: number | undefined;
    const push = async (frames: readonly TrajectoryFrame[]) => {
      set({ together: Math.max(state.together, ++underWay) });
      return task.call('pushLive', { frames }).finally(() => underWay--);
    };
    const pump = new Pump<TrajectoryFrame, Block>(blocks, going.pushed, push, (block, frames) => {
      const apart = came === undefined ? undefined : (performance.now() - came) / frames.length;
      came = performance.now();
      // A model that waits for the hand is as fast as the hand.
      pace = apart !== undefined && pump.isFull ? apart : 0;
      take.add(block, frames);
      going.pushed++;
      set({ rate: apart && 1000 / apart, blocks: state.blocks + 1, held: block.held });
      player.add(block.video);
    });
    if (going.pushed === 0) pump.begin(approach.map(gridded));
    // It was let go before anything could follow it: all of the drag comes now.
    if (missed) pump.begin(fittedTo(missed, Math.min(missed.length, MOST_MISSED)).map(gridded));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const beat = () => {
      pump.offer(gridded(now()));
      if (pump.hasFailed) release?.();
      timer = setTimeout(beat, interval());
    };
    beat();
    try {
      await released;
      clearTimeout(timer);
      pump.offer(gridded(now()));
      await pump.end();
    } catch (error) {
      forget();
      throw error;
    } finally {
      clearTimeout(timer);
    }
    const { trajectory, video, seconds, ...clips } = take.joined();
    batch(() => {
      room.adopt(clips, trajectory);
      run.adopt({ video, seconds, warnings: [] }, video.frames);
    });
  }

  return {
    state,
    /** The model answers while the hand moves. */
    able: () => !!model.state.info?.live && !room.state.videos,
    /** In idle time: the first run makes the shaders. */
    prepare: (task: Task, frame: TrajectoryFrame) => open(task, gridded(frame)),
    /** The hand is held from now on. @param approach how it came to hold what it holds, where that is not shown yet. */
    take(approach: readonly TrajectoryFrame[], now: () => TrajectoryFrame): void {
      if (release) return;
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      missed = undefined;
      set({ moving: true });
      void queue
        .attempt('stage', (task) => {
          task.signal.addEventListener('abort', () => release?.());
          return follow(task, approach, now, released);
        })
        .finally(() => {
          release = undefined;
          set({ moving: false });
        });
    },
    /** @param drag all that the hand did since it was taken. */
    letGo(drag: readonly TrajectoryFrame[]): void {
      missed = drag;
      release?.();
    },
    /** The room as it was, in the same engine. */
    restart: () =>
      queue.attempt('stage', async (task) => {
        if (opened) {
          await task.call('resetLive', undefined);
          opened = { blocks: opened.blocks, take: new Take(opened.blocks.scene), pushed: 0 };
        }
        player.stop();
        set(nothing());
        run.forget();
      }),
  };
}
