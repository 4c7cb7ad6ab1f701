import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { writeFileAtomic } from './atomic-write.ts';
import { checkOutput, WriteError, writeProblem } from './disk.ts';
import { InUseError } from './lock.ts';
import { whileLocked, withOutput } from './output.ts';
import { isAlive, thisOwner } from './owner.ts';
import { temporaryPath } from './temporary.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'dwm-output-'));
});
afterEach(() => rm(dir, { recursive: true }));

const names = async (folder = dir) => (await readdir(folder)).sort();
const record = (changes: object) =>
  writeFile(
    join(dir, '.dwm.lock'),
    JSON.stringify({
      ...thisOwner(),
      command: 'train',
      since: '2026-01-02T03:04:05.678Z',
      id: 'x',
      ...changes,
    }),
  );
const run = () => withOutput(dir, {}, async () => 'done');

/** A process that holds a lock until it is killed, and has a file half written. */
async function holder(folder: string, name?: string) {
  const child = fork(join(import.meta.dirname, 'testing/hold.ts'), [folder, name ?? ''], {
    execArgv: ['--import', import.meta.resolve('tsx')],
  });
  await once(child, 'message');
  return child;
}

describe('withOutput', () => {
  test('has the folder to itself, and leaves nothing of its own', async () => {
    const inner = await withOutput(dir, {}, async () => {
      expect(await names()).toEqual(['.dwm.lock']);
      return run().catch((error) => error);
    });
    expect(inner).toBeInstanceOf(InUseError);
    expect(inner.message).toMatch(
      new RegExp(`^${dir}: is in use by dwm .*, process ${process.pid}, since .*; wait for it, stop it, or`),
    );
    expect(await names()).toEqual([]);
    expect(await run()).toBe('done');
  });

  test('things of different names in one folder are apart', async () => {
    await withOutput(dir, { name: 'a.mp4' }, () => withOutput(dir, { name: 'b.mp4' }, async () => {}));
    await withOutput(dir, { name: 'x'.repeat(250) }, async () => {});
  });

  test('however many folders a process holds, it listens to its end once', async () => {
    const before = process.listenerCount('exit');
    const within = async (depth: number): Promise<void> => {
      expect(process.listenerCount('exit')).toBe(before);
      if (depth > 0) await withOutput(join(dir, `${depth}`), {}, () => within(depth - 1));
    };
    await within(12);
  });

  test('an error is passed on, and the folder is free again; one that stays empty goes', async () => {
    const folder = join(dir, 'new/and/newer');
    const failed = withOutput(folder, {}, () => Promise.reject(new Error('broken')));
    await expect(failed).rejects.toThrow('broken');
    expect(await names()).toEqual([]);
    await withOutput(folder, {}, () => writeFile(join(folder, 'x'), 'x'));
    expect(await names(folder)).toEqual(['x']);
  });

  test.each([
    ['a process that is no more', { pid: 2 ** 22 - 1 }],
    ['an earlier process of the same id', { started: 'another boot 123' }],
  ])('takes over the lock of %s', async (_, changes) => {
    await record({ started: '', ...changes });
    expect(await run()).toBe('done');
    expect(await names()).toEqual([]);
  });

  test('takes over what is no lock of ours, or of another machine, once nobody has touched it for long', async () => {
    for (const write of [() => record({ host: 'elsewhere' }), () => writeFile(join(dir, '.dwm.lock'), 'x')]) {
      await write();
      await expect(run()).rejects.toThrow(InUseError);
      await utimes(join(dir, '.dwm.lock'), new Date(), new Date(Date.now() - 200_000));
      expect(await run()).toBe('done');
    }
  });

  test.each([
    ['a folder', (file: string) => mkdir(file)],
    ['a link to nothing', (file: string) => symlink('nothing', file)],
  ])('%s in place of a lock is named', async (_, make) => {
    await make(join(dir, '.dwm.lock'));
    await expect(run()).rejects.toThrow(/\.dwm\.lock: is no regular file, which a lock is; remove it/);
  });

  test('says on which machine the other one is', async () => {
    await record({ host: 'elsewhere 4', pid: 77 });
    await expect(run()).rejects.toThrow(
      'is in use by dwm train, process 77 on elsewhere, since 2026-01-02T03:04:05Z; wait for it, or two minutes',
    );
  });

  test('a killed process leaves a lock and half a file; the next one has neither', async () => {
    const child = await holder(dir);
    await expect(run()).rejects.toThrow(`process ${child.pid}`);
    expect(await names()).toHaveLength(2);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await run()).toBe('done');
    expect(await names()).toEqual([]);
  });

  test('of many that come at once, to a dead lock, one has it at a time', async () => {
    await record({ pid: 2 ** 22 - 1, started: '' });
    let inside = 0;
    let got = 0;
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, () =>
        withOutput(dir, {}, async () => {
          expect(++inside).toBe(1);
          got++;
          await new Promise((done) => setTimeout(done, 20));
          inside--;
        }),
      ),
    );
    for (const result of results)
      if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(InUseError);
    expect(got).toBeGreaterThan(0);
    expect(await names()).toEqual([]);
  });

  test('what a live process is writing stays, and so do files of others', async () => {
    await writeFile(temporaryPath(join(dir, 'x')), 'half');
    await writeFile(join(dir, 'mine.tmp'), 'mine');
    await run();
    expect(await names()).toHaveLength(2);
  });

  test('of files that nobody has written to for hours, only those of another machine go', async () => {
    const old = new Date(Date.now() - 2 * 3_600_000);
    const [live, forgotten, fresh] = [
      temporaryPath(join(dir, 'x')),
      join(dir, '.dwm-00beef-1-01234567.tmp'),
      join(dir, '.dwm-00beef-1-89abcdef.tmp'),
    ];
    for (const path of [live, forgotten, fresh]) await writeFile(path, 'half');
    for (const path of [live, forgotten]) await utimes(path, old, old);
    await run();
    expect(await names()).toEqual([basename(live), basename(fresh)].sort());
  });

  test('is refused where there is no folder, and none can be made', async () => {
    await writeFile(join(dir, 'file'), '');
    const below = join(dir, 'file/below');
    await expect(withOutput(below, {}, async () => {})).rejects.toThrow(
      `${below}: cannot be written to: ${join(dir, 'file')} is a file, expected a folder; choose another folder`,
    );
  });
});

test('whileLocked waits for its turn', async () => {
  const file = join(dir, 'n');
  await writeFile(file, '0');
  const add = () =>
    whileLocked(file, async () => {
      const value = Number(await readFile(file, 'utf8'));
      await writeFile(file, String(value + 1));
    });
  await Promise.all(Array.from({ length: 10 }, add));
  expect(await readFile(file, 'utf8')).toBe('10');
  expect(await names()).toEqual(['n']);
});

test('this process is alive, and known by its start', () => {
  const owner = thisOwner();
  expect(isAlive(owner)).toBe(true);
  expect(isAlive({ ...owner, host: 'elsewhere' })).toBeUndefined();
  expect(isAlive({ ...owner, started: '' })).toBe(true);
  if (owner.started !== '') expect(isAlive({ ...owner, started: 'x' })).toBe(false);
});

test('an address is no output', async () => {
  const refused = /s3:\/.*: is an address, and results go into folders of this machine/;
  await expect(checkOutput('s3://bucket/out')).rejects.toThrow(refused);
  await expect(writeFileAtomic(join('s3://bucket', 'T.json'), 'x')).rejects.toThrow(refused);
});

test('checkOutput makes nothing and asks for room', async () => {
  await checkOutput(join(dir, 'new/and/newer'));
  expect(await names()).toEqual([]);
  await mkdir(join(dir, 'there'));
  const failed: WriteError = await checkOutput(join(dir, 'there'), 2 ** 60).catch((error) => error);
  expect(failed).toBeInstanceOf(WriteError);
  expect(failed.code).toBe('disk-full');
  expect(failed.message).toMatch(
    /there: needs about 1152921504\.61 GB, the disk has [\d.]+ [GM]B left; free/,
  );
});

test.each([
  [
    'ENOSPC',
    'disk-full',
    'the disk is full; checkpoint-4 is kept; free space and run the same command again',
  ],
  ['EDQUOT', 'disk-full', 'your quota of this disk is used up; checkpoint-4 is kept; free space'],
  ['EACCES', 'not-writable', 'permission denied; choose another folder'],
  ['EROFS', 'not-writable', 'the disk can only be read; choose a folder on another one'],
  ['EISDIR', 'not-writable', 'is a folder, expected a file; choose another path'],
  ['ENOTDIR', 'not-writable', 'a part of its path is a file, expected a folder; choose another path'],
  ['ENAMETOOLONG', 'not-writable', 'the name is too long for the file system; choose a shorter one'],
  ['EMFILE', 'not-writable', 'too many files are open; raise the limit (ulimit -n)'],
  ['EXYZ', 'not-writable', 'EXYZ: strange, write'],
])('%s in words', (code, kind, words) => {
  const error = Object.assign(new Error(`${code}: strange, write`), { code, syscall: 'write' });
  const told = writeProblem(error, '/out/x', 'checkpoint-4 is kept') as WriteError;
  expect(told).toBeInstanceOf(WriteError);
  expect(told.code).toBe(kind);
  expect(told.message).toContain(`/out/x: ${words}`);
});
