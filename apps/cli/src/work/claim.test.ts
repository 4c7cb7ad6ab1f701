import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DeviceLostError } from '@dwm/core-tensor';
import { seeded } from '@dwm/core-tensor/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createReporter } from '../report.ts';
import { dwm, temporaryFolder } from '../testing.ts';
import { type ClaimOptions, Worker, workerFrom } from './claim.ts';
import { placeFrom } from './place.ts';
import { type Item, WorkFolder } from './work-folder.ts';

let folder: string;
beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => rm(folder, { recursive: true }));

const KILLS = Number(process.env.DWM_KILLS ?? 2);
const reporter = createReporter(true);
const alone = () => new Worker(folder, 'test', placeFrom('0/1'), reporter);
const items = ['a', 'b', 'c'].map((name) => ({ name, file: `${name}.txt` }));
const each = (work: (item: Item) => Promise<void>, more: Partial<ClaimOptions<Item, undefined>> = {}) =>
  alone().each({
    items,
    signal: new AbortController().signal,
    open: async () => undefined,
    work,
    ...more,
  });
const make = ({ file }: Item) => writeFile(join(folder, file), file);
const leases = async () =>
  (await readdir(join(folder, '.dwm-work/test'))).filter((name) => name.endsWith('.lease'));

test(
  `three processes, ${KILLS} of them killed and started again: every item once, no lease left`,
  async () => {
    const random = seeded(3);
    let kills = 0;
    const run = async (rank: number): Promise<void> => {
      const child: ChildProcess = fork(
        join(import.meta.dirname, 'testing/worker.ts'),
        [folder, `${rank}/3`],
        {
          execArgv: ['--import', import.meta.resolve('tsx')],
        },
      );
      await once(child, 'message');
      const ended = once(child, 'exit');
      if (kills++ < KILLS) setTimeout(() => child.kill('SIGKILL'), 400 * random());
      const [code] = await ended;
      if (code === null) return run(rank);
      expect(code).toBe(0);
    };
    await Promise.all([0, 1, 2].map(run));
    expect((await readdir(join(folder, 'out'))).sort()).toEqual(
      Array.from({ length: 12 }, (_, i) => `${i}.txt`).sort(),
    );
    for (let i = 0; i < 12; i++)
      expect(await readFile(join(folder, `out/${i}.txt`), 'utf8')).toBe(`made of item ${i}\n`);
    expect(await leases()).toEqual([]);
    const logs = await new WorkFolder(folder, 'test').logs();
    expect([...logs.values()].flat().length).toBeLessThanOrEqual(12);
  },
  120_000 + 20_000 * KILLS,
);

test('what fails is tried three times, listed, and tried again when asked for', async () => {
  const tried: string[] = [];
  const failing = async (item: Item) => {
    tried.push(item.name);
    if (item.name === 'b') throw new Error('the picture is cut off');
    await make(item);
  };
  await expect(each(failing)).rejects.toThrow(
    /^1 of 3 failed 3 times: b \(the picture is cut off\); dwm status .* lists them, with --retry/,
  );
  expect(tried.sort()).toEqual(['a', 'b', 'b', 'b', 'c']);
  await expect(each(failing)).rejects.toThrow('failed 3 times');
  expect(tried).toHaveLength(5);
  const status = await dwm(['status', folder]);
  expect(status.stdout).toMatch(/test in .*: 2 of 3 done, 0 in work, 1 failed/);
  expect(status.stdout).toContain('failed, 3 of 3 tries: b: the picture is cut off');
  await dwm(['status', folder, '--retry']);
  expect(await each(make)).toBe(1);
  expect(await leases()).toEqual([]);
}, 30_000);

test('a device that is lost, or that does not open, ends the process and is no fault of the item', async () => {
  const lost = () => Promise.reject(new DeviceLostError('unknown', 'lost', 0));
  await expect(each(lost)).rejects.toThrow(DeviceLostError);
  const none = { open: () => Promise.reject(new Error('no adapter')) };
  await expect(each(make, none)).rejects.toThrow('no adapter');
  expect(await new WorkFolder(folder, 'test').failures()).toEqual([]);
  expect(await leases()).toEqual([]);
  expect(await each(make)).toBe(3);
});

test('what another machine has is left to it, until it has been silent for two minutes', async () => {
  await each(make, { items: [items[0]] });
  const work = new WorkFolder(folder, 'test');
  const held = (await work.take(items[1]))!;
  const [name] = await leases();
  const path = join(folder, '.dwm-work/test', name);
  expect(await work.working(items)).toMatchObject([{ name: 'b', pid: process.pid, ended: false }]);
  const mine = await readFile(path, 'utf8');
  await writeFile(path, mine.replace(`"pid":${process.pid}`, '"pid":4194303'));
  expect(await work.working(items)).toMatchObject([{ name: 'b', ended: true }]);
  await writeFile(path, mine);
  const text = mine.replace(/"host":"[^"]*"/, '"host":"other 1"');
  await held.release();
  await writeFile(path, text);
  const controller = new AbortController();
  const stopped = each(make, { signal: controller.signal });
  setTimeout(() => controller.abort(), 300);
  await expect(stopped).rejects.toThrow(/abort/i);
  await expect(readFile(join(folder, 'b.txt'))).rejects.toThrow();
  await utimes(path, new Date(), new Date(Date.now() - 200_000));
  expect(await each(make)).toBe(1);
  expect(await leases()).toEqual([]);
});

test('the same results in the order of their names, whoever makes them', async () => {
  const signal = new AbortController().signal;
  const parts = (rank: string) =>
    new Worker(folder, 'test', placeFrom(rank), reporter).parts(
      ['x', 'y', 'z'],
      { k: 1 },
      signal,
      async (i) => ({
        i,
        psnr: Number.POSITIVE_INFINITY,
        data: Uint8Array.of(i),
      }),
    );
  const [one, two] = await Promise.all([parts('0/2'), parts('1/2')]);
  expect(one).toEqual(two);
  expect(one.map(({ i, psnr }) => [i, psnr])).toEqual([
    [0, Number.POSITIVE_INFINITY],
    [1, Number.POSITIVE_INFINITY],
    [2, Number.POSITIVE_INFINITY],
  ]);
});

test('what failed with other settings is tried with these', async () => {
  const parts = (size: number) =>
    alone().parts(['x'], { size }, new AbortController().signal, async () => {
      if (size === 1) throw new Error('other sizes');
      return size;
    });
  await expect(parts(1)).rejects.toThrow('1 of 1 failed 3 times: x (other sizes)');
  expect(await parts(2)).toEqual([2]);
  expect((await dwm(['status', folder])).stdout).toMatch(/test in .*: 1 of 1 done, 0 in work, 0 failed/);
});

test('a part whose files are gone is made again', async () => {
  const made: string[] = [];
  const write = () =>
    alone().parts(
      ['the report'],
      {},
      new AbortController().signal,
      async () => {
        made.push('report');
        await writeFile(join(folder, 'report.txt'), 'x');
      },
      ['report.txt'],
    );
  await write();
  await write();
  expect(made).toHaveLength(1);
  await rm(join(folder, 'report.txt'));
  await write();
  expect(made).toHaveLength(2);
});

test('who shares: by the flag, or by a scheduler; never beside a cut', () => {
  expect(workerFrom({}, folder, 'x', reporter)).toBeUndefined();
  expect(workerFrom({ worker: '1/2' }, folder, 'x', reporter)?.place.rank).toBe(1);
  expect(() => workerFrom({ worker: true }, folder, 'x', reporter, ['--chunk-id'])).toThrow(
    'worker: shares all of the work, and --chunk-id does not; leave one of them out',
  );
});
