/** Scalars of a run for TensorBoard: a file of its own for every start, which it shows as one curve. */
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileHeader, scalarEvent } from '../../training/tensorboard.ts';

export class EventLog {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  static async open(folder: string): Promise<EventLog> {
    await mkdir(folder, { recursive: true });
    const now = Date.now() / 1000;
    const name = `events.out.tfevents.${Math.floor(now)}.${hostname()}.${process.pid}`;
    const handle = await open(join(folder, name), 'a');
    await handle.writeFile(fileHeader(now));
    return new EventLog(handle);
  }

  async scalars(step: number, values: Readonly<Record<string, number>>): Promise<void> {
    await this.#handle.writeFile(scalarEvent(Date.now() / 1000, step, values));
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
