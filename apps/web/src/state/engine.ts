/** The engine's worker with the device in it, one at a time: a lost or hung one gives way to a new one. */
import { createStore } from 'solid-js/store';
import { EngineClient } from '../worker/client.ts';
import type { DeviceInfo } from '../worker/protocol.ts';
import type { Notice } from './notice.ts';

interface State {
  /** `lost`: the device is gone, and nothing is computed until the engine starts again. */
  readonly phase: 'starting' | 'ready' | 'lost' | 'failed';
  readonly device?: DeviceInfo;
  /** Counts the engines there were: each needs a canvas of its own. */
  readonly count: number;
}

export function createEngine(notice: Notice) {
  const [state, set] = createStore<State>({ phase: 'starting', count: 1 });
  const opened = () => {
    const next = new EngineClient();
    next.lost.then((reason) => {
      if (next !== client) return;
      renew('lost');
      console.warn(reason);
      notice.show(new Error('The graphics device was lost. What you made is still here.'));
    });
    return next;
  };
  let client = opened();
  /** An engine that has no device yet: it can write files. Nothing else is asked of it in its phase. */
  function renew(phase: State['phase']): void {
    client.close();
    client = opened();
    set({ count: state.count + 1, phase });
  }
  return {
    state,
    client: () => client,
    renew,
    enter: (phase: State['phase']) => set({ phase }),
    use: (device: DeviceInfo) => set({ device }),
  };
}

export type Engine = ReturnType<typeof createEngine>;
