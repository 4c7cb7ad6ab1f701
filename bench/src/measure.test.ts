import { expect, test } from 'vitest';
import type { Contender, OpenCase } from './case.ts';
import { measure, medianInterval, quantile } from './measure.ts';

/** A contender that gives `values` after `ms`; with 0 at once, however busy the machine is. */
const giving = (peer: string, values: number[], ms = 1, log: string[] = []): Contender => ({
  ...{ peer, formulation: 'only', runsOn: 'shared' },
  prepare: async () => ({
    async run(set) {
      log.push(`${peer}${set}`);
      if (ms > 0) await new Promise((done) => setTimeout(done, ms));
    },
    read: async () => Float32Array.from(values),
    dispose: async () => {},
  }),
});

const open = (...contenders: Contender[]): OpenCase => ({
  cost: { flops: 1, bytes: 1 },
  expected: { at: [0, 1], values: [1, 2] },
  sets: 3,
  contenders,
});

test('who is wrong or does not load is listed with the reason and never timed', async () => {
  const broken: Contender = {
    ...giving('broken', []),
    prepare: () => Promise.reject(new Error('no such op\nmore')),
  };
  const found = await measure(
    open(giving('a', [1, 2]), giving('b', [1, 2.1]), giving('c', [1, Number.NaN]), broken),
    1,
  );
  expect(found.map(({ samples }) => samples.length > 0)).toEqual([true, false, false, false]);
  expect(found[1].reason).toMatch(/wrong: relative error 4\.\de-2/);
  expect(found[2].reason).toMatch(/wrong/);
  expect(found[3].reason).toBe('no such op');
});

test('ours is held to a closer tolerance than peers', async () => {
  const found = await measure(open(giving('a', [1, 2.001]), giving('b', [1, 2.001])), 1);
  expect(found[0].reason).toMatch(/wrong/);
  expect(found[1].reason).toBeUndefined();
});

test('turns alternate between contenders and rotate the sets', async () => {
  const log: string[] = [];
  await measure(open(giving('a', [1, 2], 6, log), giving('b', [1, 2], 6, log)), 0);
  expect(log).toEqual(['a2', 'a0', 'b2', 'b0', 'a1', 'b1', 'a2', 'b2', 'a0', 'b0']);
});

test('the faster of one peer’s ways stands for it', async () => {
  const found = await measure(open(giving('a', [1, 2]), giving('b', [1, 2], 30), giving('b', [1, 2], 0)), 1);
  expect(found.map(({ contender }) => contender.peer)).toEqual(['a', 'b']);
  expect(quantile(found[1].samples, 0.5)).toBeLessThan(20);
});

test('a peer far behind that would take much of the time runs in one turn; ours in all', async () => {
  const log: string[] = [];
  const found = await measure(
    open(giving('a', [1, 2], 40, log), giving('b', [1, 2], 0), giving('c', [1, 2], 40, log)),
    60,
  );
  expect(found.map(({ samples }) => samples.length)).toEqual([3, 3, 2]);
  expect(log.filter((run) => run.startsWith('c'))).toEqual(['c2', 'c0', 'c1']);
});

test('quantiles interpolate', () => {
  expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
  expect(quantile([4, 1, 3], 0.5)).toBe(3);
});

test('who computes on the CPU is loaded and timed when the others are gone', async () => {
  const log: string[] = [];
  const watched = (contender: Contender): Contender => ({
    ...contender,
    async prepare() {
      log.push(`+${contender.peer}`);
      const prepared = await contender.prepare();
      return { ...prepared, dispose: async () => void log.push(`-${contender.peer}`) };
    },
  });
  const cpu = { ...giving('c', [1, 2], 6, log), runsOn: 'cpu' as const };
  const found = await measure(
    open(...[giving('a', [1, 2], 6, log), cpu, giving('b', [1, 2], 6, log)].map(watched)),
    0,
  );
  expect(found.map(({ contender }) => contender.peer)).toEqual(['a', 'c', 'b']);
  expect(found.every(({ samples }) => samples.length === 3)).toBe(true);
  const first = log.indexOf('+c');
  expect(log.slice(0, first)).toEqual(expect.arrayContaining(['-a', '-b']));
  expect(log.slice(first).every((event) => event.includes('c'))).toBe(true);
});

test('the interval of a median: ranks of the binomial distribution', () => {
  const upTo = (n: number) => Array.from({ length: n }, (_, i) => n - i);
  // With 5 values the ends hold 94%, with 6 they hold 97%; with 41 ranks 14 and 28 do (tables of order statistics).
  expect(medianInterval([3])).toEqual([3, 3]);
  expect(medianInterval(upTo(5))).toEqual([1, 5]);
  expect(medianInterval(upTo(6))).toEqual([1, 6]);
  expect(medianInterval(upTo(9))).toEqual([2, 8]);
  expect(medianInterval(upTo(41))).toEqual([14, 28]);
});
