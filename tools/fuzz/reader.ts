/** Reads files in a child process, which is ended when one takes too much of the processor, and started again. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ask, Told } from './messages.ts';

/** Of the processor, for one small file. */
const LIMIT_SECONDS = 5;
/** Where the time of another process cannot be read, and against sleep without end. */
const LIMIT_WALL_SECONDS = 120;
const LOOK_MS = 200;
const TICKS_PER_SECOND = 100;

/** Seconds of processor time that a process has used; undefined where the system does not say. */
function processorSeconds(pid: number): number | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return undefined;
  }
}

export class Reader {
  #child: ChildProcess | undefined;
  #errors = '';

  /** How reading `bytes` as `target` ends. */
  async read(target: string, bytes: Uint8Array): Promise<Told> {
    this.#child ??= await this.#start();
    const child = this.#child;
    this.#errors = '';
    child.send({ target, bytes: Buffer.from(bytes).toString('base64') } satisfies Ask);
    const answer = await this.#answer(child);
    if (answer.ends === 'crash' || answer.ends === 'hang') this.#child = undefined;
    return answer;
  }

  close(): void {
    this.#child?.kill('SIGKILL');
  }

  async #start(): Promise<ChildProcess> {
    const child = fork(join(import.meta.dirname, 'child.ts'), {
      // A file of a few kilobytes has no business with more.
      execArgv: ['--max-old-space-size=1024', '--import', import.meta.resolve('tsx')],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    child.stderr!.on('data', (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk).slice(-4000);
    });
    await once(child, 'message');
    return child;
  }

  #answer(child: ChildProcess): Promise<Told> {
    const from = processorSeconds(child.pid!);
    const began = performance.now();
    return new Promise((resolve) => {
      const done = (answer: Told) => {
        clearInterval(watch);
        child.removeAllListeners('message');
        child.removeAllListeners('exit');
        resolve(answer);
      };
      const watch = setInterval(() => {
        const now = processorSeconds(child.pid!);
        const used = now === undefined || from === undefined ? 0 : now - from;
        const wall = (performance.now() - began) / 1000;
        if (used < LIMIT_SECONDS && wall < LIMIT_WALL_SECONDS) return;
        child.kill('SIGKILL');
        done({ ends: 'hang', detail: `${used.toFixed(1)} s of the processor, ${wall.toFixed(0)} s in all` });
      }, LOOK_MS);
      child.once('message', (answer: Told) => done(answer));
      child.once('exit', (code, signal) =>
        done({ ends: 'crash', detail: `${signal ?? `exit code ${code}`}\n${this.#errors}` }),
      );
    });
  }
}
