/** Scalars of a run for TensorBoard: a file of its own for every start, which it shows as one curve. */
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { writeProblem } from '@dwm/core-tensor/node';
import { fileHeader, scalarEvent } from '../../training/tensorboard.ts';

export class EventLog {
  readonly #path: string;
  readonly #handle: FileHandle;

  private constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  static async open(folder: string): Promise<EventLog> {
    await mkdir(folder, { recursive: true });
    const now = Date.now() / 1000;
    const name = `events.out.tfevents.${Math.floor(now)}.${hostname()}.${process.pid}`;
    const path = join(folder, name);
    const log = new EventLog(path, await open(path, 'a'));
    await log.#append(fileHeader(now));
    return log;
  }

  async scalars(step: number, values: Readonly<Record<string, number>>): Promise<void> {
    await this.#append(scalarEvent(Date.now() / 1000, step, values));
  }

  /** @throws WriteError for a full disk. */
  async #append(bytes: Uint8Array): Promise<void> {
    await this.#handle.writeFile(bytes).catch((error) => {
      throw writeProblem(error, this.#path);
    });
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
