import { expect, test } from 'vitest';
import { placeFrom, placeInJob, placeText } from './place.ts';

type Variables = Record<string, string>;

test.each<[string, Variables, string, number | undefined]>([
  ['nobody', {}, 'process 0 of 1, by one process', undefined],
  [
    'mpirun of OpenMPI, in a Slurm step',
    {
      ...{ OMPI_COMM_WORLD_RANK: '3', OMPI_COMM_WORLD_SIZE: '4', OMPI_COMM_WORLD_LOCAL_RANK: '1' },
      ...{ SLURM_PROCID: '0', SLURM_STEP_NUM_TASKS: '1' },
    },
    'process 3 of 4, by OpenMPI (OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE)',
    1,
  ],
  [
    'mpirun of MPICH',
    { PMI_RANK: '1', PMI_SIZE: '2', MPI_LOCALRANKID: '0' },
    'process 1 of 2, by PMI (PMI_RANK, PMI_SIZE)',
    0,
  ],
  [
    'srun --mpi=pmi2',
    { PMI_RANK: '1', PMI_SIZE: '2', SLURM_PROCID: '1', SLURM_STEP_NUM_TASKS: '2', SLURM_LOCALID: '1' },
    'process 1 of 2, by PMI (PMI_RANK, PMI_SIZE)',
    1,
  ],
  [
    'the two that the original reads',
    { LOCAL_RANK: '2', WORLD_SIZE: '4' },
    'process 2 of 4, by torchrun (LOCAL_RANK, WORLD_SIZE)',
    2,
  ],
  [
    'torchrun',
    { RANK: '5', WORLD_SIZE: '8', LOCAL_RANK: '1' },
    'process 5 of 8, by torchrun (RANK, WORLD_SIZE)',
    1,
  ],
  [
    'srun',
    { SLURM_PROCID: '2', SLURM_STEP_NUM_TASKS: '4', SLURM_LOCALID: '2' },
    'process 2 of 4, by Slurm (SLURM_PROCID, SLURM_STEP_NUM_TASKS)',
    2,
  ],
  [
    'a batch script of four tasks, which is one process',
    { SLURM_PROCID: '0', SLURM_NTASKS: '4' },
    'process 0 of 1, by one process',
    undefined,
  ],
  [
    'an array that begins at 1',
    { SLURM_ARRAY_TASK_ID: '3', SLURM_ARRAY_TASK_MIN: '1', SLURM_ARRAY_TASK_COUNT: '4' },
    'process 2 of 4, by a Slurm array (SLURM_ARRAY_TASK_ID, SLURM_ARRAY_TASK_COUNT)',
    undefined,
  ],
  [
    'an array that lists its tasks',
    { SLURM_ARRAY_TASK_ID: '7', SLURM_ARRAY_TASK_MIN: '3', SLURM_ARRAY_TASK_COUNT: '2' },
    'process 7, by a Slurm array (SLURM_ARRAY_TASK_ID, SLURM_ARRAY_TASK_COUNT)',
    undefined,
  ],
  [
    'srun in an array',
    {
      ...{ SLURM_PROCID: '1', SLURM_STEP_NUM_TASKS: '2', SLURM_LOCALID: '1' },
      ...{ SLURM_ARRAY_TASK_ID: '8', SLURM_ARRAY_TASK_MIN: '4', SLURM_ARRAY_TASK_STEP: '2' },
      SLURM_ARRAY_TASK_COUNT: '3',
    },
    'process 5 of 6, by Slurm (SLURM_PROCID, SLURM_STEP_NUM_TASKS) of an array (SLURM_ARRAY_TASK_ID, SLURM_ARRAY_TASK_COUNT)',
    1,
  ],
  [
    'AWS Batch',
    { AWS_BATCH_JOB_ARRAY_INDEX: '7', AWS_BATCH_JOB_ARRAY_SIZE: '10' },
    'process 7 of 10, by an AWS Batch array (AWS_BATCH_JOB_ARRAY_INDEX, AWS_BATCH_JOB_ARRAY_SIZE)',
    undefined,
  ],
  [
    'Kubernetes, which does not say of how many',
    { JOB_COMPLETION_INDEX: '4' },
    'process 4, by a Kubernetes Indexed Job (JOB_COMPLETION_INDEX)',
    undefined,
  ],
  [
    'SkyPilot',
    { SKYPILOT_NODE_RANK: '0', SKYPILOT_NUM_NODES: '2' },
    'process 0 of 2, by SkyPilot (SKYPILOT_NODE_RANK, SKYPILOT_NUM_NODES)',
    undefined,
  ],
])('%s', (_, env, text, localRank) => {
  const place = placeFrom(undefined, env);
  expect(placeText(place)).toBe(text);
  expect(place.localRank).toBe(localRank);
});

test.each<[string, Variables, string]>([
  [
    'one of two',
    { OMPI_COMM_WORLD_RANK: '1' },
    'OMPI_COMM_WORLD_SIZE: is not set, and OMPI_COMM_WORLD_RANK is "1"',
  ],
  ['the other', { PMI_SIZE: '4' }, 'PMI_RANK: is not set, and PMI_SIZE is "4"; set both, or neither'],
  ['a step', { SLURM_PROCID: '1' }, 'SLURM_STEP_NUM_TASKS: is not set'],
  ['no index', { JOB_COMPLETIONS: '8' }, 'JOB_COMPLETION_INDEX: is not set'],
  ['no count', { AWS_BATCH_JOB_ARRAY_INDEX: '3' }, 'AWS_BATCH_JOB_ARRAY_SIZE: is not set'],
  ['no node', { SKYPILOT_NUM_NODES: '2' }, 'SKYPILOT_NODE_RANK: is not set'],
  [
    'a count of none',
    { PMI_RANK: '0', PMI_SIZE: '0' },
    'PMI_SIZE: expected a whole number from 1 up, got "0"',
  ],
  ['hexadecimal', { PMI_RANK: '0x1', PMI_SIZE: '2' }, 'PMI_RANK: expected a whole number'],
  ['a blank', { JOB_COMPLETION_INDEX: '1 ' }, 'JOB_COMPLETION_INDEX: expected a whole number'],
  [
    'a fraction',
    { SKYPILOT_NODE_RANK: '0', SKYPILOT_NUM_NODES: '2.0' },
    'SKYPILOT_NUM_NODES: expected a whole',
  ],
  [
    'a rank that is a count',
    { JOB_COMPLETION_INDEX: '8', JOB_COMPLETIONS: '8' },
    'JOB_COMPLETION_INDEX: expected a rank from 0 to 7, got 8',
  ],
  [
    'a place on the machine',
    { RANK: '1', WORLD_SIZE: '4', LOCAL_RANK: '4' },
    'LOCAL_RANK: expected a rank from 0 to 3, got 4',
  ],
  [
    'below its array',
    { SLURM_ARRAY_TASK_ID: '2', SLURM_ARRAY_TASK_COUNT: '3', SLURM_ARRAY_TASK_MIN: '5' },
    'SLURM_ARRAY_TASK_ID: expected 5',
  ],
  [
    'above its array',
    { SLURM_ARRAY_TASK_ID: '9', SLURM_ARRAY_TASK_COUNT: '3', SLURM_ARRAY_TASK_MAX: '7' },
    'SLURM_ARRAY_TASK_ID: expected 0 to 7',
  ],
  [
    'an array of none',
    { SLURM_ARRAY_TASK_ID: '0', SLURM_ARRAY_TASK_COUNT: '0' },
    'SLURM_ARRAY_TASK_COUNT: expected a whole number from 1 up',
  ],
  [
    'steps of none',
    { SLURM_ARRAY_TASK_ID: '0', SLURM_ARRAY_TASK_COUNT: '2', SLURM_ARRAY_TASK_STEP: '0' },
    'SLURM_ARRAY_TASK_STEP: expected',
  ],
  [
    'a step in half an array',
    { SLURM_PROCID: '0', SLURM_STEP_NUM_TASKS: '2', SLURM_ARRAY_TASK_ID: '3' },
    'SLURM_ARRAY_TASK_COUNT: is not set',
  ],
])('refuses %s by name', (_, env, message) => {
  expect(() => placeFrom(undefined, env)).toThrow(message);
});

test('half of what the original reads counts with the flag only, and where nobody else says more', () => {
  expect(placeFrom(undefined, { RANK: 'gold' }).source).toBe('one process');
  expect(() => placeFrom(true, { WORLD_SIZE: '4' })).toThrow('RANK: is not set, and WORLD_SIZE is "4"');
  const step = { SLURM_PROCID: '1', SLURM_STEP_NUM_TASKS: '2' };
  expect(placeFrom(true, { WORLD_SIZE: '4', ...step }).source).toMatch(/^Slurm/);
});

test('what MPI joins is one job, whatever array it is in', () => {
  const step = { SLURM_PROCID: '1', SLURM_STEP_NUM_TASKS: '2', SLURM_LOCALID: '1' };
  const array = { SLURM_ARRAY_TASK_ID: '1', SLURM_ARRAY_TASK_COUNT: '3' };
  expect(placeInJob({ ...step, ...array, RANK: '0', WORLD_SIZE: '8' })).toMatchObject({
    rank: 1,
    worldSize: 2,
  });
  expect(placeInJob(array)).toBeUndefined();
  expect(placeInJob({ RANK: '0', WORLD_SIZE: '8' })).toBeUndefined();
});

test('a flag counts before all of them; what is no rank is refused by name', () => {
  expect(placeText(placeFrom('2/8', { PMI_RANK: '0', PMI_SIZE: '1' }))).toBe('process 2 of 8, by --worker');
  expect(() => placeFrom('8/8', {})).toThrow('--worker: expected a rank from 0 to 7, got 8');
  expect(() => placeFrom('0/0', {})).toThrow('worker: expected <rank>/<count>, e.g. 0/4, got "0/0"');
  expect(() => placeFrom('all', {})).toThrow('worker: expected <rank>/<count>, e.g. 0/4, got "all"');
  expect(() => placeFrom(undefined, { PMI_RANK: '2', PMI_SIZE: '2' })).toThrow('PMI_RANK: expected a rank');
  expect(() => placeFrom(undefined, { PMI_RANK: 'x', PMI_SIZE: '2' })).toThrow(
    'PMI_RANK: expected a whole number from 0 up, got "x"',
  );
});
