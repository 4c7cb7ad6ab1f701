/**
 * What visitors ask for, one after the other: nothing runs with what it is about to change. Work that nobody waits for
 * is done in between, and gives way.
 */
import { createSignal } from 'solid-js';
import type { Engine } from './engine.ts';
import type { Notice } from './notice.ts';
import type { Place, Task, Tasks } from './tasks.ts';

export function createQueue(engine: Engine, tasks: Tasks, notice: Notice) {
  /** Of what was asked for, how much is not done yet. */
  const [waiting, setWaiting] = createSignal(0);
  let last: Promise<unknown> = Promise.resolve();
  let idle: AbortController | undefined;

  /** @param work is told whether what came before it succeeded. */
  function inTurn<T>(work: (before: boolean) => Promise<T>): Promise<T> {
    idle?.abort();
    setWaiting(waiting() + 1);
    const turn = last.then((before) => work(before !== false)).finally(() => setWaiting(waiting() - 1));
    last = turn.catch(() => false);
    return turn;
  }

  return {
    waiting,
    inTurn,
    /** All that was asked for is done. */
    settled: () => (waiting() === 0 ? Promise.resolve() : inTurn(async (before) => before)),
    /**
     * A task whose error becomes the page's one line, and which leaves the page as it was then.
     * @param until a newer wish makes it void.
     * @returns whether it was done.
     */
    attempt: (place: Place, work: (task: Task) => Promise<void>, until?: AbortSignal): Promise<boolean> =>
      inTurn(async () => {
        if (engine.state.phase !== 'ready' || until?.aborted) return false;
        notice.dismiss();
        try {
          await tasks.run(place, work, until);
          return true;
        } catch (error) {
          notice.show(error);
          return false;
        }
      }),
    /** What fails here fails again where somebody waits for it. */
    inIdle(place: Place, work: (task: Task) => Promise<unknown>): void {
      if (waiting() > 0 || engine.state.phase !== 'ready') return;
      idle = new AbortController();
      last = tasks.run(place, work, idle.signal).then(
        () => true,
        () => true,
      );
    },
  };
}

export type Queue = ReturnType<typeof createQueue>;
