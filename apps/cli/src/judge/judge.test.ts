import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createReporter } from '../report.ts';
import { temporaryFolder } from '../testing.ts';
import { captionFor } from './captions.ts';
import { Oracle } from './oracle.ts';
import { firstPlace } from './ranking.ts';
import { judgeSeeds } from './seeds.ts';

const root = await temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

test('captions of a judgement: own, the same for a whole room, or none', () => {
  expect(
    (['own', 'same', 'none'] as const).map((which) => captionFor(which, 'it waits', 'it pulls')),
  ).toEqual(['it waits', 'it pulls', '']);
});

test('the oracle shows the end that it was told of, after the static video, to the bit', async () => {
  const oracle = new Oracle(undefined as never);
  const clip = (frames: number, value: number) => ({
    ...{ frames, height: 2, width: 2 },
    data: Uint8Array.from({ length: frames * 12 }, (_, i) => (value + 41 * i) % 256),
  });
  const [staticVideo, handVideo, end] = [clip(3, 7), clip(3, 90), clip(1, 200)];
  const ask = () => oracle.generate({ staticVideo, handVideo, prompt: '' });
  await expect(ask()).rejects.toThrow(/not told of/);
  oracle.know(handVideo, async () => end);
  const { data } = await ask();
  expect([...data]).toEqual([...staticVideo.data.subarray(0, 24), ...end.data]);
});

test('ties share the first place', () => {
  expect(firstPlace([1, 2, 3])).toBe(1);
  expect(firstPlace([1, 1, 1, 2])).toBeCloseTo(1 / 3, 12);
  expect(firstPlace([2, 1])).toBe(0);
});

test('seeds are judged once, unusable ones passed over, and a run that was stopped goes on', async () => {
  const asked: number[] = [];
  const stop = new AbortController();
  const options = { folder: join(root, 'seeds'), count: 3, seed: 5, reporter: createReporter(true) };
  const judge = async (seed: number) => {
    asked.push(seed);
    if (seed === 7) stop.abort();
    return seed % 2 === 0 ? { rejected: 'even' } : { value: seed };
  };
  const run = (signal: AbortSignal) => judgeSeeds({ ...options, signal }, judge, () => '');
  await expect(run(stop.signal)).rejects.toThrow();
  const { judged, rejected } = await run(new AbortController().signal);
  expect(asked).toEqual([5, 6, 7, 8, 9]);
  expect(judged.map(({ seed, result }) => [seed, result])).toEqual([
    [5, { value: 5 }],
    [7, { value: 7 }],
    [9, { value: 9 }],
  ]);
  expect(rejected).toBe(2);
});
