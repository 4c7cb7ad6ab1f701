/**
 * Which clips to make, from the flags: one clip from its files, one clip of a data root, or every clip of a
 * dataset list (this shard's share of it). A list may not reach outside its root.
 */
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { quote } from '@dwm/core-tensor/files';
import { fileProblem, reach, readRegularText } from '@dwm/core-tensor/node';
import { whole } from '../work/place.ts';
import { numpyOrder } from './numpy-order.ts';

/** One clip to generate. */
export interface Job {
  /** Path without extension that its outputs are named by, below the output folder. */
  readonly name: string;
  readonly staticVideo: string;
  readonly handVideo: string;
  /** What really happened, for comparisons. */
  readonly truth?: string;
  /** File that holds the caption. */
  readonly promptFile?: string;
  /** Place in the whole list, which a dataset run adds to the seed. */
  readonly index: number;
  /** As the list has it. */
  readonly line?: string;
}

const PROBLEM = 'expected <sample>/videos/<stem>.mp4 relative to the data root';

/** Folders beside `videos/`. */
export interface Folders {
  readonly promptSubdir: string;
  readonly staticSubdir?: string;
  readonly handSubdir?: string;
}

/** The files that belong to `<sample>/videos/<stem>.mp4`. */
export function jobOfVideo(video: string, folders: Folders, index: number, name: string): Job {
  const { promptSubdir, staticSubdir = 'videos_static', handSubdir = 'videos_hands' } = folders;
  const sample = dirname(dirname(video));
  const file = basename(video);
  const stem = file.replace(/\.[^.]+$/, '');
  return {
    name,
    staticVideo: join(sample, staticSubdir, file),
    handVideo: join(sample, handSubdir, file),
    truth: video,
    promptFile: join(sample, promptSubdir, `${stem}.txt`),
    index,
  };
}

/** A path from the command line that counts from the data root, as in the original; else from where we are. */
export async function belowRoot(path: string, dataRoot: string | undefined): Promise<string> {
  if (isAbsolute(path) || dataRoot === undefined) return path;
  const below = join(dataRoot, path);
  const is = async (file: string) => (await stat(file).catch(() => undefined)) !== undefined;
  return (await is(below)) || !(await is(path)) ? below : path;
}

export interface ListOptions extends Folders {
  readonly dataRoot: string;
  readonly layout: 'flat' | 'per_sample';
  readonly maxSamples?: number;
  /** Clips in NumPy's random order of this seed; as they stand where left out. A clip's `index` is its place then. */
  readonly shuffleSeed?: number;
  /** Links may lead out of the data root. */
  readonly followLinks?: boolean;
}

/**
 * With `per_sample` a clip's outputs are `<stem>/<stem>`, as in the original; where two clips have the same stem,
 * `<path>/<stem>/<stem>`, so that none is written over.
 * @param file list; a relative path counts from the data root or, where there is none, from the working directory.
 * @throws InvalidFileError naming list and line, before any clip is made.
 */
export async function readDatasetList(file: string, options: ListOptions): Promise<Job[]> {
  const root = await realpath(options.dataRoot).catch(() => {
    throw new InvalidArgumentError('data-root', `no folder ${options.dataRoot}`);
  });
  const list = await belowRoot(file, options.dataRoot);
  const text = await readRegularText(list).catch((error: NodeJS.ErrnoException) => {
    throw new InvalidFileError(
      list,
      `${fileProblem(error)}; check --dataset-file, which counts from the data root or the working directory`,
    );
  });
  const lines = [...text.split(/\r?\n/).entries()]
    .map(([i, line]) => ({ number: i + 1, line: line.trim() }))
    .filter(({ line }) => line !== '' && !line.startsWith('#'));
  const stems = lines.map(({ line }) => basename(line).replace(/\.[^.]+$/, ''));
  const distinct = new Set(stems).size === stems.length;
  const jobs: Job[] = [];
  const names = new Map<string, { readonly number: number; readonly line: string }>();
  for (const [i, { number, line }] of lines.entries()) {
    const field = `line ${number}`;
    const where = `${field} ${quote(line)}`;
    const inRoot = (path: string) =>
      reach(path, {
        root,
        file: list,
        field,
        followLinks: options.followLinks,
        fix: 'copy the file into the data root, or pass --follow-links',
      });
    await inRoot(line);
    const video = join(root, line);
    if (basename(dirname(video)) !== 'videos') {
      throw new InvalidFileError(list, `${where}: ${PROBLEM}`, { line: number });
    }
    const sample = relative(root, dirname(dirname(video)));
    const perSample = distinct ? join(stems[i], stems[i]) : join(sample, stems[i], stems[i]);
    const name = options.layout === 'flat' ? stems[i] : perSample;
    const earlier = names.get(name);
    if (earlier !== undefined) {
      const problem =
        earlier.line === line
          ? `is line ${earlier.number} again; leave out one of them`
          : `would overwrite the output of line ${earlier.number}; use --dataset-output-layout per_sample`;
      throw new InvalidFileError(list, `${where}: ${problem}`, { line: number });
    }
    names.set(name, { number, line });
    const job = { ...jobOfVideo(video, options, jobs.length, name), line };
    for (const path of [job.staticVideo, job.handVideo, job.promptFile!])
      await inRoot(relative(root, path).replaceAll(sep, '/'));
    jobs.push(job);
  }
  if (jobs.length === 0) throw new InvalidFileError(list, `lists no clips; ${PROBLEM}, one a line`);
  const { shuffleSeed, maxSamples = jobs.length } = options;
  const order = shuffleSeed === undefined ? jobs : numpyOrder(shuffleSeed, jobs.length).map((i) => jobs[i]);
  return order.slice(0, maxSamples).map((job, index) => ({ ...job, index }));
}

export interface Shard {
  readonly rank: number;
  readonly of: number;
}

/** Which clips of a list are this process's: a run of neighbours (chunk), dealt out in turn (shard). */
export interface Share {
  readonly shard: Shard;
  readonly chunk: Shard;
}

export const WHOLE: Share = { shard: { rank: 0, of: 1 }, chunk: { rank: 0, of: 1 } };

/**
 * This process's share. Flags win over the environment: `--shard-rank/--num-shards` or RANK (else LOCAL_RANK)
 * and WORLD_SIZE deal the clips out in turn; `--chunk-id/--num-chunks` or SLURM_ARRAY_TASK_ID/COUNT first cut the list
 * into runs of neighbours.
 * @throws InvalidArgumentError for a rank without its count or outside it, since two processes would then make
 *   the same clips, or nobody some of them.
 */
export function shareFrom(
  flags: { shardRank?: number; numShards?: number; chunkId?: number; numChunks?: number },
  env: Readonly<Record<string, string | undefined>>,
): Share {
  const pick = (
    rank: { flag: string; value?: number; env: string; both?: true },
    count: { flag: string; value?: number; env: string },
  ): Shard => {
    const at = rank.value ?? whole(env, rank.env);
    const of = count.value ?? whole(env, count.env);
    const [rankName, countName] = [rank, count].map((x) => (x.value === undefined ? x.env : x.flag));
    if (at !== undefined && of === undefined && (rank.value !== undefined || rank.both))
      throw new InvalidArgumentError(rankName, `needs ${count.flag} (or ${count.env}) too`);
    if (at === undefined && of !== undefined && (of > 1 || count.value !== undefined || rank.both))
      throw new InvalidArgumentError(countName, `is ${of}, so ${rank.flag} (or ${rank.env}) is needed too`);
    const result = { rank: at ?? 0, of: of ?? 1 };
    if (result.of < 1) throw new InvalidArgumentError(countName, `expected at least 1, got ${result.of}`);
    if (result.rank < 0 || result.rank >= result.of) {
      const range = result.of === 1 ? '0, as there is one process' : `0 to ${result.of - 1}`;
      throw new InvalidArgumentError(rankName, `expected ${range}, got ${result.rank}; ranks count from 0`);
    }
    return result;
  };
  return {
    shard: pick(
      // On several machines LOCAL_RANK alone would give some clips to two processes, and others to none.
      {
        flag: '--shard-rank',
        value: flags.shardRank,
        env: env.RANK && env.WORLD_SIZE ? 'RANK' : 'LOCAL_RANK',
      },
      { flag: '--num-shards', value: flags.numShards, env: 'WORLD_SIZE' },
    ),
    chunk: pick(
      // A launcher's rank alone is that of the one process; a job array's is not.
      { flag: '--chunk-id', value: flags.chunkId, env: 'SLURM_ARRAY_TASK_ID', both: true },
      { flag: '--num-chunks', value: flags.numChunks, env: 'SLURM_ARRAY_TASK_COUNT' },
    ),
  };
}

/** Which chunks are one clip longer where they do not divide: the first ones, or some all along. */
type Remainder = 'first' | 'spread';

/** First clip of a chunk and the first after it: lengths differ by one at most. */
export function chunkBounds(
  count: number,
  { rank, of }: Shard,
  remainder: Remainder = 'spread',
): readonly [start: number, end: number] {
  const start = (n: number) =>
    remainder === 'first'
      ? n * Math.floor(count / of) + Math.min(n, count % of)
      : Math.floor((n * count) / of);
  return [start(rank), start(rank + 1)];
}

/** The jobs of one chunk and shard, in order. */
export function shareOf(jobs: readonly Job[], { shard, chunk }: Share, remainder?: Remainder): Job[] {
  const run = jobs.slice(...chunkBounds(jobs.length, chunk, remainder));
  return run.filter((_, i) => i % shard.of === shard.rank);
}
