/**
 * Work that several processes share, an item at a time: each takes what nobody has, under a lease in the output folder,
 * so a slow process delays nothing, and what a dead one had is taken over. What comes out does not depend on who makes
 * it, or how many there are.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { deserialize, serialize } from 'node:v8';
import { DeviceLostError, DwmError, InvalidArgumentError } from '@dwm/core-tensor';
import { isDiskFull, WriteError, withSharedOutput, writeFileAtomic } from '@dwm/core-tensor/node';
import { Option } from 'commander';
import { clock, type Reporter } from '../report.ts';
import { type Place, placeFrom, placeText } from './place.ts';
import { type Item, WorkFolder } from './work-folder.ts';

/** How often a failed item is tried, all processes together. */
const TRIES = 3;
/** Between looks at what others have. */
const POLL_MS = 1000;

export interface ClaimOptions<T extends Item, Tools> {
  readonly items: readonly T[];
  /** Whether an item needs no work; whether its file is there by default. */
  readonly isDone?: (item: T) => Promise<boolean>;
  /** What the work takes, opened when there is something to do. Its faults are no item's. */
  readonly open: () => Promise<Tools>;
  readonly work: (item: T, tools: Tools) => Promise<void>;
  /** Items at a time. */
  readonly concurrency?: number;
  /** There are others of the same command beside these. */
  readonly more?: boolean;
  readonly signal: AbortSignal;
}

/** One of several processes that share the work of one folder. */
export class Worker {
  readonly place: Place;
  readonly #work: WorkFolder;
  readonly #reporter: Reporter;
  #told = false;

  constructor(folder: string, command: string, place: Place, reporter: Reporter) {
    this.place = place;
    this.#work = new WorkFolder(folder, command);
    this.#reporter = reporter;
  }

  /** Runs `work` beside other processes that write to the folder. */
  beside<T>(work: () => Promise<T>): Promise<T> {
    return withSharedOutput(this.#work.folder, work);
  }

  /**
   * Until every item is done, by whichever process.
   * @returns how many were made here.
   * @throws DwmError naming the items that were given up after three tries; at once what is no item's fault: a lost
   * device, a full disk, the signal.
   */
  async each<T extends Item, Tools>(options: ClaimOptions<T, Tools>): Promise<number> {
    const { items, open, work, signal, concurrency = 1 } = options;
    const isDone = options.isDone ?? ((item: T) => this.#work.isThere(item));
    const { folder } = this.#work;
    await this.#work.begin(
      items.map(({ name, file }) => ({ name, file })),
      options.more,
    );
    if (!this.#told)
      this.#reporter.say(`${placeText(this.place)}: the work in ${folder} is taken an item at a time`);
    this.#told = true;
    const pending = new Set(startAt(items, this.place.rank));
    const givenUp = new Set<T>();
    let tools: Promise<Tools> | undefined;
    let made = 0;
    const since = performance.now();

    /** @returns whether something has changed. */
    const attempt = async (item: T): Promise<boolean> => {
      if (await isDone(item)) return pending.delete(item);
      if ((await this.#work.triesOf(item)).length >= TRIES) {
        givenUp.add(item);
        return pending.delete(item);
      }
      const lease = await this.#work.take(item);
      if (!lease) return false;
      try {
        // Its owner may have finished it, or given it up, since.
        if ((await isDone(item)) || (await this.#work.triesOf(item)).length >= TRIES) return true;
        tools ??= open();
        const opened = await tools;
        const begun = performance.now();
        try {
          await work(item, opened);
        } catch (error) {
          if (signal.aborted || isNobodysFault(error)) throw error;
          const message = error instanceof Error ? error.message : String(error);
          await this.#work.failed(item, message);
          this.#reporter.warn(message.includes(item.name) ? message : `${item.name}: ${message}`);
          return true;
        }
        await this.#work.finished(item, (performance.now() - begun) / 1000, placeText(this.place));
        pending.delete(item);
        made++;
        const left = ((performance.now() - since) / 1000 / made) * pending.size;
        this.#reporter.progress(
          `${items.length - pending.size} of ${items.length} done, ${made} here, ${clock(left)} left or less  ${item.name}`,
          pending.size === 0,
        );
        return true;
      } finally {
        await lease.release();
      }
    };

    const loop = async () => {
      while (pending.size > 0) {
        let changed = false;
        for (const item of [...pending]) {
          signal.throwIfAborted();
          if (pending.has(item) && (await attempt(item))) changed = true;
        }
        if (!changed) await sleep(POLL_MS, undefined, { signal });
      }
    };
    const loops = Array.from({ length: concurrency }, loop);
    await Promise.all(loops).catch(async (error) => {
      // Others finish what they have, and find nothing more.
      pending.clear();
      await Promise.allSettled(loops);
      throw error;
    });
    await this.#work.sweep(items);
    if (givenUp.size > 0) throw await this.#failed([...givenUp], items.length);
    return made;
  }

  /**
   * What is made of each name, by whichever process, in the order of the names: for results that go into one file.
   * @param settings all that they depend on beside their names; a folder may hold those of other settings.
   * @param files that making one also writes, below the folder; without them it is made again.
   */
  async parts<T>(
    names: readonly string[],
    settings: unknown,
    signal: AbortSignal,
    make: (index: number) => Promise<T>,
    files: readonly string[] = [],
  ): Promise<T[]> {
    const key = JSON.stringify(settings);
    const items = names.map((name, index) => ({ ...this.#work.part(name, key), index }));
    const path = ({ file }: Item) => join(this.#work.folder, file);
    await this.each({
      items,
      signal,
      more: true,
      isDone: async ({ name, file }) => {
        for (const one of [file, ...files])
          if (!(await this.#work.isThere({ name, file: one }))) return false;
        return true;
      },
      open: async () => undefined,
      work: async (item) => writeFileAtomic(path(item), serialize(await make(item.index))),
    });
    const found: T[] = [];
    for (const item of items) found.push(deserialize(await readFile(path(item))));
    return found;
  }

  async #failed(items: readonly Item[], total: number): Promise<DwmError> {
    const failures = await this.#work.failures();
    const reason = failures.find(({ file }) => file === items[0].file)?.tries.at(-1)?.message;
    const others = items.length > 1 ? `, and ${items.length - 1} more` : '';
    return new DwmError(
      'work-failed',
      `${items.length} of ${total} failed ${TRIES} times: ${items[0].name} (${reason})${others}; dwm status ${this.#work.folder} lists them, with --retry they are tried again`,
      { failures },
    );
  }
}

const isNobodysFault = (error: unknown): boolean =>
  error instanceof DeviceLostError || error instanceof WriteError || isDiskFull(error);

/** Processes begin far from each other, however many there are: steps of the golden section. */
function startAt<T>(items: readonly T[], rank: number): T[] {
  const start = Math.floor(((rank * 0.6180339887498949) % 1) * items.length);
  return [...items.slice(start), ...items.slice(0, start)];
}

export interface WorkerFlags {
  readonly worker?: string | true;
}

export const workerOption = (): Option =>
  new Option(
    '--worker [rank/count]',
    'one of several processes that share the work, an item at a time; the scheduler says which, unless this does',
  );

/**
 * The worker that this process is: by `--worker`, or by a scheduler that has started several processes. The original's own
 * variables do not count without the flag, as it cuts lists by them.
 * @param cuts flags that cut the work beforehand, and how the original does it.
 * @throws InvalidArgumentError for both.
 */
export function workerFrom(
  { worker }: WorkerFlags,
  folder: string,
  command: string,
  reporter: Reporter,
  cuts: readonly (string | undefined)[] = [],
): Worker | undefined {
  const cut = cuts.find((flag) => flag !== undefined);
  if (worker !== undefined && cut !== undefined)
    throw new InvalidArgumentError(
      'worker',
      `shares all of the work, and ${cut} does not; leave one of them out`,
    );
  if (cut !== undefined) return undefined;
  const place = placeFrom(worker);
  const several = !place.original && place.worldSize !== 1;
  return worker !== undefined || several ? new Worker(folder, command, place, reporter) : undefined;
}
