/**
 * Clips decoded in threads of their own, so that neither demuxing nor colour conversion holds up the thread that
 * feeds the device. Each thread decodes one clip at a time; who asks decides how many may be under way. Signals
 * reach the main thread only, and `close` lets threads finish the clip at hand: a native decoder that is cut off
 * in its work may take the process with it.
 */
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { DwmError } from '@dwm/core-tensor';
import { onceEach } from '@dwm/dwm-model';
import type { Frames } from '@dwm/media/node';

export type ToWorker =
  | { readonly kind: 'count'; readonly path: string }
  | { readonly kind: 'read'; readonly path: string; readonly indices: readonly number[] }
  | { readonly kind: 'end' };

export type FromWorker =
  | { readonly kind: 'frames'; readonly frames: number }
  | { readonly kind: 'clip'; readonly clip: Frames; readonly remark?: string }
  | {
      readonly kind: 'error';
      readonly message: string;
      readonly code: string | undefined;
      readonly details: Readonly<Record<string, unknown>> | undefined;
    };

/** Threads at most: the decoder itself uses several. */
const THREADS = Math.max(1, Math.min(4, availableParallelism() - 1));

const closed = () => new DOMException('decoding was stopped', 'AbortError');

export class ClipReader {
  readonly #idle: Worker[] = [];
  readonly #waiting: ((worker: Worker | undefined) => void)[] = [];
  readonly #busy = new Set<Promise<unknown>>();
  readonly #warn: (line: string) => void;
  #started = 0;
  #closed = false;

  /** @param warn is told once of each video whose pixels are not square. */
  constructor(warn: (line: string) => void) {
    this.#warn = onceEach(warn);
  }

  /**
   * Frames of the video at `path` that `choose` picks, given how many there are.
   * @throws what decoding throws, naming the file; an AbortError after `close`.
   */
  async read(path: string, choose: (frames: number) => readonly number[]): Promise<Frames> {
    const worker = await this.#take();
    const reading = decode(worker, path, choose);
    const settled = reading.then(
      () => true,
      (error) => !(error instanceof ThreadEndedError),
    );
    this.#busy.add(settled);
    const alive = await settled;
    this.#busy.delete(settled);
    if (alive) this.#giveBack(worker);
    else this.#started--;
    const { clip, remark } = await reading;
    if (remark) this.#warn(remark);
    return clip;
  }

  /** Ends the threads, after the clips they are at. Who still waits for a thread gets an AbortError. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const give of this.#waiting.splice(0)) give(undefined);
    await Promise.all(this.#busy);
    const ended = this.#idle.splice(0).map((worker) => {
      const exit = once(worker, 'exit');
      worker.postMessage({ kind: 'end' } satisfies ToWorker);
      return exit;
    });
    await Promise.all(ended);
  }

  async #take(): Promise<Worker> {
    if (this.#closed) throw closed();
    const idle = this.#idle.pop();
    if (idle) return idle;
    if (this.#started < THREADS) {
      this.#started++;
      return new Worker(new URL('./decode-worker.js', import.meta.url));
    }
    const given = await new Promise<Worker | undefined>((give) => this.#waiting.push(give));
    if (!given) throw closed();
    return given;
  }

  #giveBack(worker: Worker): void {
    const next = this.#waiting.shift();
    if (next) next(worker);
    else this.#idle.push(worker);
  }
}

/** A thread that will not answer any more. */
class ThreadEndedError extends DwmError {
  constructor(path: string, reason: string) {
    super('decoder-ended', `${path}: the thread that decoded it ended (${reason})`, { file: path });
  }
}

async function decode(
  worker: Worker,
  path: string,
  choose: (frames: number) => readonly number[],
): Promise<Extract<FromWorker, { kind: 'clip' }>> {
  const count = await ask(worker, { kind: 'count', path });
  const reply =
    count.kind === 'frames'
      ? await ask(worker, { kind: 'read', path, indices: choose(count.frames) })
      : count;
  if (reply.kind === 'clip') return reply;
  if (reply.kind === 'frames') throw new ThreadEndedError(path, 'answers out of step');
  const { message, code, details } = reply;
  if (code !== undefined) throw new DwmError(code, message, { ...details });
  throw new Error(`${path}: ${message}`);
}

function ask(worker: Worker, question: Exclude<ToWorker, { kind: 'end' }>): Promise<FromWorker> {
  return new Promise((done, fail) => {
    const forget = () => {
      worker.off('message', onMessage);
      worker.off('error', onError);
      worker.off('exit', onExit);
    };
    const onMessage = (message: FromWorker) => {
      forget();
      done(message);
    };
    const onError = (error: Error) => {
      forget();
      fail(new ThreadEndedError(question.path, error.message));
    };
    const onExit = (code: number) => {
      forget();
      fail(new ThreadEndedError(question.path, `code ${code}`));
    };
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.on('exit', onExit);
    worker.postMessage(question);
  });
}
