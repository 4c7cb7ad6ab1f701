/**
 * N clips from a first seed on, made by several processes. Seeds are handed out in order and only as many as may
 * still be needed, so the clips are the first N good seeds whatever the number of workers; what is on the disk
 * already is kept, and `dataset.txt` lists what there is.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DwmError, InvalidArgumentError } from '@dwm/core-tensor';
import { readJsonFile, writeFileAtomic } from '@dwm/core-tensor/node';
import { SHORTEST_ACT } from '../episode.ts';
import { Random } from '../random.ts';
import { type Action, type ClipSettings, FIRST_TEST_SEED } from '../types.ts';
import { GENERATOR_VERSION } from '../version.ts';
import { clipPaths, firstSeed, listLine, type Split } from './clip-files.ts';
import { type ClipRequest, type ClipResult, readRejection, readStateLog } from './make-clip.ts';
import { readParts } from './read-parts.ts';
import type { WorkerAnswer } from './worker.ts';

/** Options of `writeDataset`. */
export interface DatasetOptions {
  readonly root: string;
  readonly split: Split;
  /** First seed, counted from the split's first one. */
  readonly seed: number;
  /** How many clips there are to be. */
  readonly count: number;
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  readonly fps: number;
  /** Only these; all, as the simulation mixes them, by default. */
  readonly actions?: readonly Action[];
  /** What rooms are made for, where that is not what the hands do: folders of the same rooms and seeds match. */
  readonly rooms?: readonly Action[];
  /** Actions of a clip, one after the other; one by default. */
  readonly acts?: number;
  /** Share of clips with a fixed camera; the simulation's own by default. */
  readonly fixedCamera?: number;
  /** Folder of .glb files that may stand in the rooms beside our own things. */
  readonly parts?: string;
  /** Takes a line for each thing of a part that is not drawn; the console by default. */
  readonly warn?: (line: string) => void;
  /** Processes; one a core by default. */
  readonly workers?: number;
  /** Deals seeds out, a seed at a time, to runs on several machines that share the folder. */
  readonly each?: EachSeed;
  readonly signal?: AbortSignal;
  readonly onAdapter?: (adapter: string) => void;
  readonly onClip?: (progress: DatasetProgress) => void;
}

/**
 * Makes every seed of a list, here or elsewhere, and returns when all are made.
 * @param concurrency seeds at a time.
 */
export type EachSeed = (
  seeds: readonly number[],
  make: (seed: number) => Promise<void>,
  concurrency: number,
) => Promise<void>;

/** How far a dataset is. */
export interface DatasetProgress {
  /** Clips there are, of `count`; `kept` were there before. */
  readonly clips: number;
  readonly kept: number;
  readonly count: number;
  readonly seconds: number;
  readonly rejected: number;
}

/** What was written. */
export interface DatasetReport {
  readonly list: string;
  readonly clips: number;
  readonly kept: number;
  /** Of all seeds tried now and before. */
  readonly rejected: number;
  readonly rejectionRate: number;
  readonly reasons: Readonly<Record<string, number>>;
  readonly actions: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly clipsPerSecond: number;
  /** Lowest PSNR of written videos that were measured, dB. */
  readonly codecPsnr?: number;
  /** Seeds of the clips, ascending. */
  readonly seeds: readonly number[];
}

/** More in a row than bad luck explains. */
const HOPELESS = 200;
/** Every so many seeds the codec is measured. */
const MEASURED = 64;

/**
 * @throws InvalidArgumentError for a seed range that leaves its split, a folder that was made with other options, and
 * one of another version of the generator that lacks clips; InvalidFileError for a part that cannot be used; DwmError
 * where a worker fails; AbortError when stopped, with all finished clips listed.
 */
export async function writeDataset(options: DatasetOptions): Promise<DatasetReport> {
  const { root, split, count, signal } = options;
  const first = firstSeed(split) + options.seed;
  const end = split === 'train' ? FIRST_TEST_SEED : Number.MAX_SAFE_INTEGER;
  if (first + count > end) {
    throw new InvalidArgumentError(
      'seed',
      `${count} clips from ${options.seed} on pass the last training seed, ${FIRST_TEST_SEED - 1}; start lower`,
    );
  }
  const { acts = 1, frames } = options;
  if (frames < acts * SHORTEST_ACT && acts > 1)
    throw new InvalidArgumentError(
      'acts',
      `${acts} acts need ${acts * SHORTEST_ACT} frames or more, got ${frames}; ask for fewer acts or more frames`,
    );
  const version = await checkSettings(root, options);
  const known = await knownResults(root);
  if (version !== GENERATOR_VERSION && !isWhole(known, first, count)) {
    throw new InvalidArgumentError(
      'version',
      `${root} was made by version ${version} of the generator, expected ${GENERATOR_VERSION} to add clips; choose another folder`,
    );
  }
  const results = new Map<number, ClipResult>();
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  let next = first;
  let [good, kept, inWork, inARow] = [0, 0, 0, 0];
  const take = (result: ClipResult, before: boolean) => {
    results.set(result.seed, result);
    inARow = result.rejected ? inARow + 1 : 0;
    if (result.rejected) return;
    good++;
    if (before) kept++;
  };
  /** The next seed to work on; undefined when those in work may be enough. */
  const nextSeed = (): number | undefined => {
    for (; good + inWork < count && next < end; next++) {
      const old = known.get(next);
      if (!old) return next++;
      take(old, true);
    }
    return undefined;
  };
  const request = (seed: number): ClipRequest => ({
    seed,
    settings: clipSettings(seed, options),
    measureCodec: seed % MEASURED === 0,
  });
  const list = join(root, 'dataset.txt');
  const seeds = () =>
    [...results.values()]
      .filter(({ rejected }) => !rejected)
      .map(({ seed }) => seed)
      .sort((a, b) => a - b);

  const team = new Team(options);
  try {
    if (options.each) {
      await team.serve(async (make) => {
        // As many seeds as may be needed at least, until they are enough: the same ones that one run takes.
        while (good < count && next < end) {
          const missing = Array.from({ length: Math.min(count - good, end - next) }, (_, i) => next + i);
          next += missing.length;
          const unknown = missing.filter((seed) => !known.has(seed));
          await options.each!(unknown, async (seed) => void (await make(request(seed))), team.size);
          for (const seed of missing) take(known.get(seed) ?? (await resultOf(root, seed)), known.has(seed));
          if (inARow >= HOPELESS) throw hopeless(results);
        }
      });
    } else
      await team.run(
        () => {
          if (signal?.aborted) return undefined;
          if (inARow >= HOPELESS) throw hopeless(results);
          const seed = nextSeed();
          if (seed === undefined) return undefined;
          inWork++;
          return request(seed);
        },
        (result) => {
          inWork--;
          take(result, false);
          options.onClip?.({ clips: good, kept, count, seconds: seconds(), rejected: results.size - good });
        },
      );
  } finally {
    team.stop();
    if (results.size > 0)
      await writeFileAtomic(
        list,
        seeds()
          .map((seed) => `${listLine(seed)}\n`)
          .join(''),
      );
  }
  signal?.throwIfAborted();
  return report(list, [...results.values()], kept, seconds(), seeds());
}

function report(
  list: string,
  results: readonly ClipResult[],
  kept: number,
  seconds: number,
  seeds: readonly number[],
): DatasetReport {
  const tally = (values: readonly (string | undefined)[]) => {
    const counts: Record<string, number> = {};
    for (const value of values) if (value) counts[value] = (counts[value] ?? 0) + 1;
    return counts;
  };
  const good = results.filter(({ rejected }) => !rejected);
  const measured = good.flatMap(({ codecPsnr }) => (codecPsnr === undefined ? [] : [codecPsnr]));
  const rejected = results.length - good.length;
  return {
    list,
    clips: good.length,
    kept,
    rejected,
    rejectionRate: results.length > 0 ? rejected / results.length : 0,
    reasons: tally(results.map(({ rejected, action }) => rejected && `${rejected} (${action})`)),
    actions: tally(good.map(({ action }) => action)),
    seconds,
    clipsPerSecond: (good.length - kept) / Math.max(seconds, 1e-3),
    ...(measured.length > 0 && { codecPsnr: Math.min(...measured) }),
    seeds,
  };
}

function hopeless(results: ReadonlyMap<number, ClipResult>): DwmError {
  const reason = [...results.values()].at(-1)?.rejected;
  return new DwmError(
    'synth-rejected',
    `actions: the last ${HOPELESS} seeds were all rejected (${reason}); ask for other actions or a larger picture`,
  );
}

/** What a seed is asked for: its action and camera are the same whatever is made beside it. */
export function clipSettings(
  seed: number,
  {
    width,
    height,
    frames,
    fps,
    actions,
    rooms,
    acts,
    fixedCamera,
  }: Omit<DatasetOptions, 'root' | 'split' | 'seed' | 'count'>,
): ClipSettings {
  const random = Random.fork(seed, 'dataset');
  const [action, fixed] = [actions && random.pick(actions), random.next()];
  return {
    width,
    height,
    frames,
    fps,
    ...(action && { action }),
    ...(rooms && { room: Random.fork(seed, 'room').pick(rooms) }),
    ...(acts !== undefined && { acts }),
    ...(fixedCamera !== undefined && { fixedCamera: fixed < fixedCamera }),
  };
}

/** Whether `count` clips from a seed on are there. */
function isWhole(known: ReadonlyMap<number, ClipResult>, first: number, count: number): boolean {
  let good = 0;
  for (let seed = first; good < count; seed++) {
    const result = known.get(seed);
    if (!result) return false;
    if (!result.rejected) good++;
  }
  return true;
}

/**
 * Clips of one folder are alike; its first run says in what.
 * @returns the version of the generator that made the folder.
 */
async function checkSettings(root: string, options: DatasetOptions): Promise<number> {
  const { split, width, height, frames, fps, actions, rooms, acts = 1, fixedCamera } = options;
  const path = join(root, 'synth.json');
  const parts = options.parts === undefined ? undefined : await readParts(options.parts, options.warn);
  const now = {
    split,
    width,
    height,
    frames,
    fps,
    actions: actions ?? 'all',
    rooms: rooms ?? 'own',
    acts,
    fixedCamera: fixedCamera ?? 'default',
    parts: parts ? Object.fromEntries(parts.map(({ name, sha256 }) => [name, sha256])) : 'none',
  };
  // Folders of version 1 do not say so.
  const before: Record<string, unknown> | undefined = existsSync(path)
    ? {
        version: 1,
        parts: 'none',
        rooms: 'own',
        acts: 1,
        ...(await readJsonFile(path, 'description of the clips')),
      }
    : undefined;
  if (!before) {
    await writeFileAtomic(path, `${JSON.stringify({ version: GENERATOR_VERSION, ...now }, null, 2)}\n`);
    return GENERATOR_VERSION;
  }
  for (const [field, value] of Object.entries(now)) {
    if (JSON.stringify(before[field]) === JSON.stringify(value)) continue;
    throw new InvalidArgumentError(
      field,
      `${root} was made with ${JSON.stringify(before[field])}, expected the same, got ${JSON.stringify(value)}; choose another folder`,
    );
  }
  return Number(before.version);
}

/** What earlier runs left below `root`, by seed. */
async function knownResults(root: string): Promise<Map<number, ClipResult>> {
  const known = new Map<number, ClipResult>();
  const names = async (folder: string) =>
    (await readdir(folder).catch(() => [])).filter((name) => /^\d+\.json$/.test(name));
  const samples = (await readdir(root).catch(() => [])).filter((name) => /^(train|test)-\d+$/.test(name));
  for (const folder of ['rejected', ...samples.map((sample) => join(sample, 'states'))]) {
    for (const name of await names(join(root, folder))) {
      const seed = Number.parseInt(name, 10);
      known.set(seed, await resultOf(root, seed));
    }
  }
  return known;
}

/** What became of a seed that is done. */
async function resultOf(root: string, seed: number): Promise<ClipResult> {
  if (!existsSync(clipPaths(root, seed).state)) return readRejection(root, seed);
  const { action } = await readStateLog(root, seed);
  return { seed, action: action as Action };
}

/** Worker processes that take requests as long as there are some. */
class Team {
  readonly #arguments: readonly string[];
  readonly #size: number;
  readonly #options: DatasetOptions;
  readonly #members: ChildProcess[] = [];
  #feed: () => void = () => {};

  constructor(options: DatasetOptions) {
    this.#arguments = [options.root, ...(options.parts === undefined ? [] : [options.parts])];
    this.#options = options;
    this.#size = Math.min(options.workers ?? availableParallelism(), Math.max(1, options.count));
  }

  get size(): number {
    return this.#size;
  }

  /** Runs `work`, whose requests the workers answer. */
  async serve(work: (make: (request: ClipRequest) => Promise<ClipResult>) => Promise<void>): Promise<void> {
    const queue: ClipRequest[] = [];
    const waiting = new Map<number, (result: ClipResult) => void>();
    const running = this.run(
      () => queue.shift(),
      (result) => waiting.get(result.seed)?.(result),
      true,
    );
    const make = (request: ClipRequest) =>
      new Promise<ClipResult>((resolve) => {
        waiting.set(request.seed, resolve);
        queue.push(request);
        this.#feed();
      });
    await Promise.race([running, work(make)]);
  }

  /**
   * @param next gives a request, or undefined for none now.
   * @param done takes each result.
   * @param endless goes on where there is none now and no worker is busy: until `stop`.
   */
  run(
    next: () => ClipRequest | undefined,
    done: (result: ClipResult) => void,
    endless = false,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const idle: ChildProcess[] = [];
      let busy = 0;
      let adapter: string | undefined;
      const feed = () => {
        try {
          while (idle.length > 0) {
            const request = next();
            if (!request) break;
            busy++;
            idle.pop()!.send(request);
          }
        } catch (error) {
          reject(error);
          return;
        }
        if (busy === 0 && idle.length > 0 && !endless) resolve();
      };
      this.#feed = feed;
      const member = () => {
        const cores = availableParallelism();
        const child = fork(fileURLToPath(new URL('./worker.js', import.meta.url)), this.#arguments, {
          execArgv: [],
          // Mesa's software driver starts a thread a core in every process otherwise.
          env: { LP_NUM_THREADS: String(Math.max(1, Math.floor(cores / this.#size))), ...process.env },
          // A group of its own: Ctrl-C is for the parent, which lets the clips in work be finished.
          detached: true,
          // Dawn's warnings are the parent's already.
          stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
        });
        let complaint = '';
        child.stderr?.on('data', (text) => {
          complaint = `${complaint}${text}`.slice(-2000);
        });
        this.#members.push(child);
        child.on('message', ({ result, error, adapter: name }: WorkerAnswer) => {
          if (error) {
            reject(new DwmError('synth-failed', error));
            return;
          }
          if (name && !adapter) this.#options.onAdapter?.(name);
          adapter ??= name;
          if (result) {
            busy--;
            done(result);
          }
          idle.push(child);
          feed();
        });
        child.on('exit', (code, signal) => {
          const last = complaint.trim().split('\n').at(-1);
          reject(
            new DwmError(
              'synth-failed',
              `a worker process ended (${signal ?? `exit code ${code}`})${last ? `: ${last}` : ''}`,
            ),
          );
        });
      };
      for (let i = 0; i < this.#size; i++) member();
    });
  }

  stop(): void {
    for (const child of this.#members) {
      child.removeAllListeners('exit');
      child.kill('SIGKILL');
    }
  }
}
