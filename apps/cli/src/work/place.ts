/**
 * Where a process stands among those that were started with it: from a flag, or from what the scheduler has put into
 * the environment. One contract for all of them, and each place says where it was got from.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';

export interface Place {
  /** From 0 up. */
  readonly rank: number;
  /** How many there are; undefined where the scheduler does not say. */
  readonly worldSize: number | undefined;
  /** Place among those of this machine, for choosing a device; undefined where each machine has one. */
  readonly localRank: number | undefined;
  /** For the log, e.g. `Slurm (SLURM_PROCID, SLURM_STEP_NUM_TASKS)`. */
  readonly source: string;
  /** Variables that the original reads too, and cuts lists by. */
  readonly original: boolean;
  /** The processes are one job, which this can make one training of; undefined where each is a job of its own. */
  readonly joinedBy: 'MPI' | 'nothing' | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** What starts processes, by the variables that it gives them. */
interface Scheduler {
  readonly name: string;
  readonly rank: string;
  readonly worldSize: string;
  /** The first one that is set. */
  readonly localRank?: readonly string[];
  /** Its processes are one job, of which an array may have many, and not jobs of their own. */
  readonly joinedBy?: 'MPI' | 'nothing';
  /** Where the number of processes is not said: the place is one among any number, or of one process that starts others. */
  readonly uncounted?: 'any number' | 'one process';
  readonly original?: true;
}

const TORCHRUN = {
  name: 'torchrun',
  worldSize: 'WORLD_SIZE',
  localRank: ['LOCAL_RANK'],
  joinedBy: 'nothing',
  original: true,
} as const;

/**
 * In this order: whoever started the process itself comes before what started its starter. A Slurm batch script has the
 * variables of its job, not of a step, and is not one of several.
 */
const SCHEDULERS: readonly Scheduler[] = [
  {
    name: 'OpenMPI',
    rank: 'OMPI_COMM_WORLD_RANK',
    worldSize: 'OMPI_COMM_WORLD_SIZE',
    localRank: ['OMPI_COMM_WORLD_LOCAL_RANK'],
    joinedBy: 'MPI',
  },
  {
    name: 'PMI',
    rank: 'PMI_RANK',
    worldSize: 'PMI_SIZE',
    // By mpirun, and by srun --mpi=pmi2.
    localRank: ['MPI_LOCALRANKID', 'SLURM_LOCALID'],
    joinedBy: 'MPI',
  },
  { ...TORCHRUN, rank: 'RANK' },
  // All that the original reads of it.
  { ...TORCHRUN, rank: 'LOCAL_RANK' },
  {
    name: 'Slurm',
    rank: 'SLURM_PROCID',
    worldSize: 'SLURM_STEP_NUM_TASKS',
    localRank: ['SLURM_LOCALID'],
    joinedBy: 'MPI',
    uncounted: 'one process',
  },
  {
    name: 'a Slurm array',
    rank: 'SLURM_ARRAY_TASK_ID',
    worldSize: 'SLURM_ARRAY_TASK_COUNT',
    original: true,
  },
  { name: 'an AWS Batch array', rank: 'AWS_BATCH_JOB_ARRAY_INDEX', worldSize: 'AWS_BATCH_JOB_ARRAY_SIZE' },
  {
    name: 'AWS Batch nodes',
    rank: 'AWS_BATCH_JOB_NODE_INDEX',
    worldSize: 'AWS_BATCH_JOB_NUM_NODES',
    joinedBy: 'nothing',
  },
  {
    name: 'a Kubernetes Indexed Job',
    rank: 'JOB_COMPLETION_INDEX',
    worldSize: 'JOB_COMPLETIONS',
    uncounted: 'any number',
  },
  {
    name: 'SkyPilot',
    rank: 'SKYPILOT_NODE_RANK',
    worldSize: 'SKYPILOT_NUM_NODES',
    joinedBy: 'nothing',
  },
];

/** Alone. */
const ONE: Place = {
  rank: 0,
  worldSize: 1,
  localRank: undefined,
  source: 'one process',
  original: false,
  joinedBy: undefined,
};

const isSet = (env: Environment, name: string): boolean => env[name] !== undefined && env[name] !== '';

/** @returns undefined where it is not set, or empty. @throws InvalidArgumentError for what is no such number. */
export function whole(env: Environment, name: string, least = 0): number | undefined {
  if (!isSet(env, name)) return undefined;
  const text = env[name]!;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < least)
    throw new InvalidArgumentError(name, `expected a whole number from ${least} up, got "${text}"`);
  return value;
}

const ID = 'SLURM_ARRAY_TASK_ID';
const COUNT = 'SLURM_ARRAY_TASK_COUNT';

/**
 * An array may begin anywhere and count in steps: its tasks are ranks in their order. One that lists its tasks (3,7,9) has
 * numbers that are no ranks.
 */
function ofTasks(env: Environment): { rank: number; worldSize: number | undefined } {
  const id = whole(env, ID)!;
  const worldSize = whole(env, COUNT, 1)!;
  const first = whole(env, 'SLURM_ARRAY_TASK_MIN') ?? 0;
  const last = whole(env, 'SLURM_ARRAY_TASK_MAX') ?? Number.POSITIVE_INFINITY;
  if (id < first || id > last) {
    const range = Number.isFinite(last) ? `${first} to ${last}` : `${first} and more`;
    throw new InvalidArgumentError(ID, `expected ${range}, which the array has, got ${id}`);
  }
  const rank = (id - first) / (whole(env, 'SLURM_ARRAY_TASK_STEP', 1) ?? 1);
  return Number.isInteger(rank) && rank < worldSize
    ? { rank, worldSize }
    : { rank: id, worldSize: undefined };
}

/** The array that a job is in has many such jobs. */
function ofArray(env: Environment, place: Place): Place {
  const { rank, worldSize } = place;
  if (worldSize === undefined || !isBoth(env, ID, COUNT)) return place;
  const tasks = ofTasks(env);
  return {
    ...place,
    rank: tasks.rank * worldSize + rank,
    worldSize: tasks.worldSize && tasks.worldSize * worldSize,
    source: `${place.source} of an array (${ID}, ${COUNT})`,
  };
}

/** @throws InvalidArgumentError where one of two that belong together is not set. */
function isBoth(env: Environment, rank: string, worldSize: string): boolean {
  const [one, other] = [isSet(env, rank), isSet(env, worldSize)];
  if (one === other) return one;
  const [there, missing] = one ? [rank, worldSize] : [worldSize, rank];
  throw new InvalidArgumentError(
    missing,
    `is not set, and ${there} is "${env[there]}"; set both, or neither`,
  );
}

/** @returns undefined where the scheduler has not started this process. */
function placeBy(scheduler: Scheduler, env: Environment): Place | undefined {
  const { name, rank: variable, worldSize, localRank = [], original = false, joinedBy } = scheduler;
  const uncounted = isSet(env, variable) && !isSet(env, worldSize) && scheduler.uncounted;
  if (uncounted === 'one process' && whole(env, variable) === 0) return undefined;
  if (uncounted !== 'any number' && !isBoth(env, variable, worldSize)) return undefined;
  const of = whole(env, worldSize, 1);
  const local = localRank.find((one) => isSet(env, one));
  const place = {
    ...(variable === ID ? ofTasks(env) : { rank: whole(env, variable)!, worldSize: of }),
    localRank: local === undefined ? undefined : whole(env, local),
    source: `${name} (${[variable, ...(of === undefined ? [] : [worldSize])].join(', ')})`,
    original,
    joinedBy,
  };
  checkRank(variable, place.rank, place.worldSize);
  if (local !== undefined) checkRank(local, place.localRank!, place.worldSize);
  return place;
}

/**
 * @param given `2/8`, the third of eight; `true` where the variables that the original reads count like all others, and
 * must be whole.
 * @throws InvalidArgumentError for a rank that is not below its count, numbers that are none, and one variable of two.
 */
export function placeFrom(given?: string | true, env: Environment = process.env): Place {
  if (typeof given === 'string') {
    const [, rank, of] = /^(\d+)\/(\d+)$/.exec(given) ?? [];
    if (rank === undefined || Number(of) < 1)
      throw new InvalidArgumentError('worker', `expected <rank>/<count>, e.g. 0/4, got "${given}"`);
    checkRank('--worker', Number(rank), Number(of));
    return { ...ONE, rank: Number(rank), worldSize: Number(of), source: '--worker' };
  }
  let half: Scheduler | undefined;
  for (const scheduler of SCHEDULERS) {
    const { original, rank, worldSize, joinedBy } = scheduler;
    // Such names are anyone's, unless both are there.
    if (original && isSet(env, rank) !== isSet(env, worldSize)) {
      half ??= scheduler;
      continue;
    }
    const place = placeBy(scheduler, env);
    if (place) return joinedBy ? ofArray(env, place) : place;
  }
  if (given && half) isBoth(env, half.rank, half.worldSize);
  return ONE;
}

/** The place among the processes that MPI can join: those of one job, whatever array it is in. */
export function placeInJob(env: Environment = process.env): Place | undefined {
  for (const scheduler of SCHEDULERS) {
    const place = scheduler.joinedBy === 'MPI' ? placeBy(scheduler, env) : undefined;
    if (place) return place;
  }
  return undefined;
}

function checkRank(name: string, rank: number, worldSize: number | undefined): void {
  if (worldSize === undefined || rank < worldSize) return;
  throw new InvalidArgumentError(
    name,
    `expected a rank from 0 to ${worldSize - 1}, got ${rank}; ranks count from 0`,
  );
}

/** `process 2 of 8, by Slurm (…)`. Ranks count from 0. */
export const placeText = ({ rank, worldSize, source }: Place): string =>
  `process ${rank}${worldSize === undefined ? '' : ` of ${worldSize}`}, by ${source}`;
