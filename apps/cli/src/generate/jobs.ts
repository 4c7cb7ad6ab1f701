/**
 * Which clips to make, from the flags: one clip from its files, one clip of a data root, or every clip of a
 * dataset list (this shard's share of it). A list may not reach outside its root.
 */
import { readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';

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
}

const PROBLEM = 'expected <sample>/videos/<stem>.mp4 relative to the data root';

/** The files that belong to `<sample>/videos/<stem>.mp4`. */
export function jobOfVideo(video: string, promptSubdir: string, index: number, name: string): Job {
  const sample = dirname(dirname(video));
  const file = basename(video);
  const stem = file.replace(/\.[^.]+$/, '');
  return {
    name,
    staticVideo: join(sample, 'videos_static', file),
    handVideo: join(sample, 'videos_hands', file),
    truth: video,
    promptFile: join(sample, promptSubdir, `${stem}.txt`),
    index,
  };
}

export interface ListOptions {
  readonly dataRoot: string;
  readonly promptSubdir: string;
  readonly layout: 'flat' | 'per_sample';
  readonly maxSamples?: number;
}

/** @throws InvalidFileError naming list and line, before any clip is made. */
export async function readDatasetList(file: string, options: ListOptions): Promise<Job[]> {
  let text: string;
  let root: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new InvalidFileError(
      file,
      `cannot be read (${(error as NodeJS.ErrnoException).code}); check --dataset-file`,
    );
  }
  try {
    root = await realpath(options.dataRoot);
  } catch {
    throw new InvalidArgumentError('data-root', `no folder ${options.dataRoot}`);
  }
  const jobs: Job[] = [];
  const names = new Map<string, number>();
  for (const [number, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const where = `line ${number + 1} "${line}"`;
    const video = resolve(root, line);
    if (!inside(root, video)) {
      throw new InvalidFileError(file, `${where}: leads outside the data root ${root}; ${PROBLEM}`, {
        line: number + 1,
      });
    }
    if (basename(dirname(video)) !== 'videos') {
      throw new InvalidFileError(file, `${where}: ${PROBLEM}`, { line: number + 1 });
    }
    const real = await realpath(video).catch(() => video);
    if (!inside(root, real)) {
      throw new InvalidFileError(file, `${where}: links outside the data root ${root}`, { line: number + 1 });
    }
    const stem = basename(video).replace(/\.[^.]+$/, '');
    const sample = relative(root, dirname(dirname(video)));
    const name = options.layout === 'flat' ? stem : join(sample, stem, stem);
    const earlier = names.get(name);
    if (earlier !== undefined) {
      throw new InvalidFileError(
        file,
        `${where}: would overwrite the output of line ${earlier}; use --dataset-output-layout per_sample`,
        { line: number + 1 },
      );
    }
    names.set(name, number + 1);
    jobs.push(jobOfVideo(video, options.promptSubdir, jobs.length, name));
  }
  if (jobs.length === 0) throw new InvalidFileError(file, `lists no clips; ${PROBLEM}, one a line`);
  return jobs.slice(0, options.maxSamples ?? jobs.length);
}

function inside(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

export interface Shard {
  readonly rank: number;
  readonly of: number;
}

/**
 * This process's share. Flags win over the environment: `--shard-rank/--num-shards` or LOCAL_RANK/WORLD_SIZE
 * deal the clips out in turn; `--chunk-id/--num-chunks` or SLURM_ARRAY_TASK_ID/COUNT first cut the list into
 * runs of neighbours.
 */
export function shardsFromEnvironment(
  flags: { shardRank?: number; numShards?: number; chunkId?: number; numChunks?: number },
  env: Readonly<Record<string, string | undefined>>,
): { shard: Shard; chunk: Shard } {
  const pick = (
    rank: number | undefined,
    of: number | undefined,
    rankName: string,
    ofName: string,
    flag: string,
  ) => {
    const number = (name: string) => {
      if (env[name] === undefined || env[name] === '') return undefined;
      const value = Number(env[name]);
      if (!Number.isInteger(value))
        throw new InvalidArgumentError(name, `expected a whole number, got "${env[name]}"`);
      return value;
    };
    if (rank !== undefined && of === undefined) {
      throw new InvalidArgumentError(flag, 'was given without the count that goes with it');
    }
    const result =
      of !== undefined ? { rank: rank ?? 0, of } : { rank: number(rankName) ?? 0, of: number(ofName) ?? 1 };
    if (result.of < 1 || result.rank < 0 || result.rank >= result.of) {
      throw new InvalidArgumentError(flag, `expected 0 to ${result.of - 1}, got ${result.rank}`);
    }
    return result;
  };
  return {
    shard: pick(flags.shardRank, flags.numShards, 'LOCAL_RANK', 'WORLD_SIZE', 'shard-rank'),
    chunk: pick(flags.chunkId, flags.numChunks, 'SLURM_ARRAY_TASK_ID', 'SLURM_ARRAY_TASK_COUNT', 'chunk-id'),
  };
}

/** The jobs of one chunk and shard, in order. */
export function shareOf(jobs: readonly Job[], { shard, chunk }: { shard: Shard; chunk: Shard }): Job[] {
  const length = Math.ceil(jobs.length / chunk.of);
  const run = jobs.slice(chunk.rank * length, (chunk.rank + 1) * length);
  return run.filter((_, i) => i % shard.of === shard.rank);
}
