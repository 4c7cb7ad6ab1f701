/** The visitor's motions, with undo: a newer one makes the drawing of an older one void. */
import type { Trajectory } from '@dwm/renderer';
import { onGrid } from '../export/link.ts';
import { type History, push, redo, undo } from '../scene-editor/history.ts';
import type { Engine } from './engine.ts';
import type { Notice } from './notice.ts';
import type { Queue } from './queue.ts';
import type { Room } from './room.ts';
import type { Run } from './run.ts';
import { fitted } from './trajectories.ts';

type Change = (history: History<Trajectory>) => History<Trajectory>;

export function createMotions(engine: Engine, queue: Queue, notice: Notice, room: Room, run: Run) {
  let drawing: AbortController | undefined;

  /** @returns whether the clips of the motion are there. */
  async function change(by: Change, asSaid?: boolean): Promise<boolean> {
    const before = room.now().motions;
    if (!before || run.state.progress || engine.state.phase !== 'ready') return false;
    let after: History<Trajectory>;
    try {
      after = by(before);
    } catch (error) {
      notice.show(error);
      return false;
    }
    if (after.present === before.present) return false;
    room.ask(after);
    drawing?.abort();
    const mine = new AbortController();
    drawing = mine;
    return queue.attempt(
      'stage',
      async (task) => {
        // Another room came in the meantime.
        if (room.now().motions !== after) return;
        await room.follow(task, asSaid);
        await run.plan(task);
      },
      mine.signal,
    );
  }

  return {
    /** @param asSaid it does what the room's own words say. */
    use: (trajectory: Trajectory, asSaid?: boolean) =>
      change((history) => push(history, onGrid(fitted(trajectory, run.now().settings!))), asSaid),
    undo: () => change(undo),
    redo: () => change(redo),
  };
}
