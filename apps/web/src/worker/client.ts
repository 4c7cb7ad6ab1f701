/** The page's end of the protocol: calls as promises, with progress and cancelling by signal. */
import type { CallName, Calls, Failure, FromWorker, ToWorker } from './protocol.ts';

/** An error of the engine's, in one line meant for the visitor. */
export class EngineError extends Error {
  readonly code: string;

  constructor({ code, message }: Failure) {
    super(message);
    this.name = 'EngineError';
    this.code = code;
  }
}

export interface CallOptions<P> {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: P) => void;
  readonly transfer?: Transferable[];
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
  onProgress?(progress: never): void;
}

export class EngineClient {
  /** Resolves with the reason when the device is lost or the worker dies. */
  readonly lost: Promise<string>;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #gone = '';

  constructor() {
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'engine' });
    this.lost = new Promise((resolve) => {
      this.#worker.addEventListener('error', (event) => {
        event.preventDefault();
        resolve(event.message || 'the engine stopped');
      });
      this.#worker.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => {
        if ('lost' in data) resolve(data.lost);
        else this.#receive(data);
      });
    });
    this.lost.then((message) => this.#fail(message));
  }

  call<N extends CallName>(
    name: N,
    argument: Calls[N]['argument'],
    { signal, onProgress, transfer = [] }: CallOptions<Calls[N]['progress']> = {},
  ): Promise<Calls[N]['result']> {
    if (this.#gone) return Promise.reject(new EngineError({ code: 'device-lost', message: this.#gone }));
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (result: unknown) => void, reject, onProgress });
      this.#worker.postMessage({ id, name, argument } satisfies ToWorker, transfer);
      const cancel = () => this.#worker.postMessage({ cancel: id } satisfies ToWorker);
      if (signal?.aborted) cancel();
      else signal?.addEventListener('abort', cancel, { once: true });
    });
  }

  /** Ends the worker and with it everything on the device. */
  close(): void {
    this.#worker.terminate();
    this.#fail('the engine was closed');
  }

  #receive(message: Exclude<FromWorker, { lost: string }>): void {
    const waiting = this.#waiting.get(message.id);
    if (!waiting) return;
    if ('progress' in message) {
      waiting.onProgress?.(message.progress as never);
      return;
    }
    this.#waiting.delete(message.id);
    if ('failure' in message) waiting.reject(new EngineError(message.failure));
    else waiting.resolve(message.result);
  }

  #fail(message: string): void {
    this.#gone = message;
    for (const { reject } of this.#waiting.values())
      reject(new EngineError({ code: 'device-lost', message }));
    this.#waiting.clear();
  }
}
