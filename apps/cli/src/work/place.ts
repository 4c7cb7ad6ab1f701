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
}

type Environment = Readonly<Record<string, string | undefined>>;

interface Scheduler {
  readonly name: string;
  readonly rank: string;
  readonly worldSize?: string;
  readonly localRank?: string;
  readonly original?: true;
}

/**
 * In this order: whoever started the process itself comes before what started its starter. A Slurm batch script has the
 * variables of its job, not of a step, and is not one of several.
 */
const SCHEDULERS: readonly Scheduler[] = [
  {
    name: 'OpenMPI',
    rank: 'OMPI_COMM_WORLD_RANK',
    worldSize: 'OMPI_COMM_WORLD_SIZE',
    localRank: 'OMPI_COMM_WORLD_LOCAL_RANK',
  },
  { name: 'PMI', rank: 'PMI_RANK', worldSize: 'PMI_SIZE', localRank: 'MPI_LOCALRANKID' },
  { name: 'torchrun', rank: 'RANK', worldSize: 'WORLD_SIZE', localRank: 'LOCAL_RANK', original: true },
  {
    name: 'Slurm',
    rank: 'SLURM_PROCID',
    worldSize: 'SLURM_STEP_NUM_TASKS',
    localRank: 'SLURM_LOCALID',
  },
  {
    name: 'a Slurm array',
    rank: 'SLURM_ARRAY_TASK_ID',
    worldSize: 'SLURM_ARRAY_TASK_COUNT',
    original: true,
  },
  { name: 'an AWS Batch array', rank: 'AWS_BATCH_JOB_ARRAY_INDEX', worldSize: 'AWS_BATCH_JOB_ARRAY_SIZE' },
  { name: 'AWS Batch nodes', rank: 'AWS_BATCH_JOB_NODE_INDEX', worldSize: 'AWS_BATCH_JOB_NUM_NODES' },
  { name: 'a Kubernetes Indexed Job', rank: 'JOB_COMPLETION_INDEX', worldSize: 'JOB_COMPLETIONS' },
  { name: 'SkyPilot', rank: 'SKYPILOT_NODE_RANK', worldSize: 'SKYPILOT_NUM_NODES' },
];

/** Alone. */
const ONE: Place = {
  rank: 0,
  worldSize: 1,
  localRank: undefined,
  source: 'one process',
  original: false,
};

function whole(env: Environment, name: string | undefined): number | undefined {
  const text = name === undefined ? undefined : env[name];
  if (name === undefined || text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError(name, `expected a whole number from 0 up, got "${text}"`);
  return value;
}

/**
 * An array may begin anywhere and count in steps: its tasks are ranks in their order. One that lists its tasks (3,7,9) has
 * numbers that are no ranks.
 */
function ofTasks(
  env: Environment,
  id: number,
  count: number,
): { rank: number; worldSize: number | undefined } {
  const first = whole(env, 'SLURM_ARRAY_TASK_MIN') ?? 0;
  const rank = (id - first) / (whole(env, 'SLURM_ARRAY_TASK_STEP') || 1);
  return Number.isInteger(rank) && rank >= 0 && rank < count
    ? { rank, worldSize: count }
    : { rank: id, worldSize: undefined };
}

/** The array that a Slurm step is in has many such steps. */
function ofArray(env: Environment, { rank, worldSize, ...place }: Place): Place {
  const id = whole(env, 'SLURM_ARRAY_TASK_ID');
  const count = whole(env, 'SLURM_ARRAY_TASK_COUNT');
  if (id === undefined || count === undefined || worldSize === undefined)
    return { rank, worldSize, ...place };
  const tasks = ofTasks(env, id, count);
  return {
    ...place,
    rank: tasks.rank * worldSize + rank,
    worldSize: tasks.worldSize && tasks.worldSize * worldSize,
    source: `${place.source} of an array (SLURM_ARRAY_TASK_ID, SLURM_ARRAY_TASK_COUNT)`,
  };
}

/**
 * @param given `2/8`, the third of eight.
 * @throws InvalidArgumentError for a rank that is not below its count, or numbers that are none.
 */
export function placeFrom(given: string | undefined, env: Environment = process.env): Place {
  if (given !== undefined) {
    const [, rank, of] = /^(\d+)\/(\d+)$/.exec(given) ?? [];
    if (rank === undefined)
      throw new InvalidArgumentError('worker', `expected <rank>/<count>, e.g. 0/4, got "${given}"`);
    return checked({ ...ONE, rank: Number(rank), worldSize: Number(of), source: '--worker' }, '--worker');
  }
  for (const { name, rank: variable, worldSize, localRank, original = false } of SCHEDULERS) {
    const rank = whole(env, variable);
    if (rank === undefined) continue;
    // The original's launchers are told by both; a lone RANK is anyone's.
    const of = whole(env, worldSize);
    if (of === undefined && name !== 'a Kubernetes Indexed Job') continue;
    const said = [variable, ...(of === undefined ? [] : [worldSize])].join(', ');
    const place = {
      ...(name === 'a Slurm array' ? ofTasks(env, rank, of!) : { rank, worldSize: of }),
      localRank: whole(env, localRank),
      source: `${name} (${said})`,
      original,
    };
    return checked(name === 'Slurm' ? ofArray(env, place) : place, variable);
  }
  return ONE;
}

function checked(place: Place, name: string): Place {
  const { rank, worldSize } = place;
  if (worldSize === undefined || (Number.isInteger(rank) && rank < worldSize)) return place;
  throw new InvalidArgumentError(
    name,
    `expected a rank from 0 to ${worldSize - 1}, got ${rank}; ranks count from 0`,
  );
}

/** `process 2 of 8, by Slurm (…)`. Ranks count from 0. */
export const placeText = ({ rank, worldSize, source }: Place): string =>
  `process ${rank}${worldSize === undefined ? '' : ` of ${worldSize}`}, by ${source}`;
