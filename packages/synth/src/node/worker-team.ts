/** Processes that make clips, each with a device of its own. */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { DwmError } from '@dwm/core-tensor';
import type { DatasetOptions } from './dataset-options.ts';
import type { ClipRequest, ClipResult } from './make-clip.ts';
import type { WorkerAnswer } from './worker.ts';

interface Wanted {
  readonly request: ClipRequest;
  readonly resolve: (result: ClipResult) => void;
  readonly reject: (error: unknown) => void;
}

/** The first error of a worker ends all of them: what is asked for then, and before, is refused with it. */
export class WorkerTeam {
  readonly size: number;
  readonly #options: DatasetOptions;
  readonly #members: ChildProcess[] = [];
  readonly #idle: ChildProcess[] = [];
  readonly #queue: Wanted[] = [];
  readonly #atWork = new Map<ChildProcess, Wanted>();
  #failure: DwmError | undefined;
  #adapter: string | undefined;

  constructor(options: DatasetOptions) {
    this.size = Math.min(options.workers ?? availableParallelism(), Math.max(1, options.count));
    this.#options = options;
    for (let i = 0; i < this.size; i++) this.#members.push(this.#member());
  }

  /** The clip of a request, made when a worker is free. */
  make(request: ClipRequest): Promise<ClipResult> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      this.#queue.push({ request, resolve, reject });
      this.#feed();
    });
  }

  stop(): void {
    for (const child of this.#members) {
      child.removeAllListeners('exit');
      child.kill('SIGKILL');
    }
  }

  #feed(): void {
    while (this.#idle.length > 0 && this.#queue.length > 0) {
      const [child, wanted] = [this.#idle.pop()!, this.#queue.shift()!];
      this.#atWork.set(child, wanted);
      child.send(wanted.request);
    }
  }

  #fail(message: string): void {
    this.#failure ??= new DwmError('synth-failed', message);
    for (const { reject } of [...this.#queue.splice(0), ...this.#atWork.values()]) reject(this.#failure);
    this.#atWork.clear();
  }

  #member(): ChildProcess {
    const { root, parts } = this.#options;
    const script = fileURLToPath(new URL('./worker.js', import.meta.url));
    const child = fork(script, [root, ...(parts === undefined ? [] : [parts])], {
      execArgv: [],
      // Mesa's software driver starts a thread a core in every process otherwise.
      env: {
        LP_NUM_THREADS: String(Math.max(1, Math.floor(availableParallelism() / this.size))),
        ...process.env,
      },
      // A group of its own: Ctrl-C is for the parent, which lets the clips in work be finished.
      detached: true,
      // Dawn's warnings are the parent's already.
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let complaint = '';
    child.stderr?.on('data', (text) => {
      complaint = `${complaint}${text}`.slice(-2000);
    });
    child.on('message', ({ result, error, adapter }: WorkerAnswer) => {
      if (error) {
        this.#fail(error);
        return;
      }
      if (adapter && !this.#adapter) this.#options.onAdapter?.(adapter);
      this.#adapter ??= adapter;
      if (result) {
        this.#atWork.get(child)?.resolve(result);
        this.#atWork.delete(child);
      }
      this.#idle.push(child);
      this.#feed();
    });
    child.on('exit', (code, signal) => {
      const last = complaint.trim().split('\n').at(-1);
      this.#fail(`a worker process ended (${signal ?? `exit code ${code}`})${last ? `: ${last}` : ''}`);
    });
    return child;
  }
}
