/** What the page is busy with. A task has a place on the screen, where it says what it does and can be cancelled. */
import { createSignal } from 'solid-js';
import type { CallOptions } from '../worker/client.ts';
import type { CallName, Calls } from '../worker/protocol.ts';
import type { Engine } from './engine.ts';

export type Place = 'stage' | 'under' | 'beside' | 'share';

/** A task as it is seen. */
interface Shown {
  readonly what: string;
  /** 0 to 1. */
  readonly done: number;
  cancel(): void;
}

/** A task as its work has it. */
export interface Task {
  readonly signal: AbortSignal;
  /** Nothing of the task is seen before it says something, nor when it has nothing more to say. */
  say(what: string | undefined, done?: number): void;
  /** A call that ends with the task. */
  call<N extends CallName>(
    name: N,
    argument: Calls[N]['argument'],
    onProgress?: CallOptions<Calls[N]['progress']>['onProgress'],
  ): Promise<Calls[N]['result']>;
}

/** Milliseconds: what goes on so long after it was cancelled hangs, and the engine with it. */
const PATIENCE = 10_000;

interface Entry {
  readonly place: Place;
  saying(): Omit<Shown, 'cancel'> | undefined;
  cancel(): void;
}

/** @param onHang a task did not end when it was cancelled, nor will its engine. */
export function createTasks(engine: Engine, onHang: () => void) {
  const [entries, setEntries] = createSignal<readonly Entry[]>([]);

  return {
    at(place: Place): Shown | undefined {
      for (const entry of entries()) {
        const said = entry.place === place ? entry.saying() : undefined;
        if (said) return { ...said, cancel: entry.cancel };
      }
      return undefined;
    },
    /** @param until ends the task too. */
    async run<T>(place: Place, work: (task: Task) => Promise<T>, until?: AbortSignal): Promise<T> {
      const [saying, setSaying] = createSignal<Omit<Shown, 'cancel'>>();
      const own = new AbortController();
      const signal = until ? AbortSignal.any([own.signal, until]) : own.signal;
      const client = engine.client();
      let ended = false;
      const cancel = () => {
        own.abort();
        setTimeout(() => {
          if (!ended && client === engine.client()) onHang();
        }, PATIENCE);
      };
      const entry = { place, saying, cancel };
      setEntries((before) => [...before, entry]);
      try {
        return await work({
          signal,
          say: (what, done = 0) => setSaying(what === undefined ? undefined : { what, done }),
          call: (name, argument, onProgress) => engine.client().call(name, argument, { signal, onProgress }),
        });
      } finally {
        ended = true;
        setEntries((before) => before.filter((other) => other !== entry));
      }
    },
  };
}

export type Tasks = ReturnType<typeof createTasks>;
