import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { joinJob } from './job.ts';

const has = (command: string) => {
  try {
    execFileSync('which', [command]);
    return true;
  } catch {
    return false;
  }
};

const LAUNCHERS = [
  { name: 'OpenMPI', command: 'mpirun.openmpi', args: ['--oversubscribe'] },
  { name: 'MPICH', command: 'mpirun.mpich', args: [] },
];

const run = (command: string, args: readonly string[]) =>
  new Promise<{ code: number; stdout: string; stderr: string }>((done) => {
    const env = {
      ...process.env,
      OMPI_ALLOW_RUN_AS_ROOT: '1',
      OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
      DWM_MPI: '',
    };
    execFile(command, args, { env, timeout: 100_000 }, (error, stdout, stderr) =>
      done({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr }),
    );
  });

describe.each(LAUNCHERS)('$name', ({ command, args }) => {
  const there = has(command);
  const skipped = there ? '' : ' (skipped, no MPI)';
  const program = [
    process.execPath,
    '--import',
    import.meta.resolve('tsx'),
    join(import.meta.dirname, 'testing.ts'),
  ];

  test.skipIf(!there)(
    `two processes have what the other one sent${skipped}`,
    async () => {
      const { code, stdout, stderr } = await run(command, [...args, '-n', '2', ...program]);
      expect(code, stderr).toBe(0);
      expect(stdout.trim().split('\n').sort()).toEqual([
        'rank 0 of 2: 0,7,1,7; 0,10',
        'rank 1 of 2: 0,7,1,7; 1,11',
      ]);
    },
    120_000,
  );

  test.skipIf(!there)(
    `the error of one ends all, and is told${skipped}`,
    async () => {
      const { code, stdout, stderr } = await run(command, [...args, '-n', '2', ...program, 'fail']);
      expect(code).not.toBe(0);
      expect(stderr).toContain('process 1 of 2: the clip is cut off');
      expect(stdout).not.toContain('rank 0');
    },
    120_000,
  );
});

test('a process that no launcher of MPI has started joins nobody; a library that is missing is named', async () => {
  expect(await joinJob({})).toBeUndefined();
  expect(await joinJob({ JOB_COMPLETION_INDEX: '1' })).toBeUndefined();
  expect(await joinJob({ PMI_RANK: '0', PMI_SIZE: '1' })).toBeUndefined();
  await expect(joinJob({ PMI_RANK: '0', PMI_SIZE: '2', DWM_MPI: 'none.so' })).rejects.toThrow(
    'no MPI library on this machine (looked for none.so); apt-get install openmpi-bin or mpich',
  );
});
