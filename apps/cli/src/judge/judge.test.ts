import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { findBody } from '@dwm/synth';
import { afterAll, expect, test } from 'vitest';
import { openedShare } from '../plan/synth-room.ts';
import { createReporter } from '../report.ts';
import { temporaryFolder } from '../testing.ts';
import { captionFor } from './captions.ts';
import { endOf, Oracle } from './oracle.ts';
import { firstPlace } from './ranking.ts';
import { CANDIDATES, drawerRoom, MISSES, missRoom, openingRoom } from './rooms.ts';
import { judgeSeeds, type Unusable } from './seeds.ts';
import { shareOf } from './share.ts';

const root = await temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

const SIZE = { width: 96, height: 64, frames: 17, fps: 8 };

/** The first usable of a few seeds. */
async function firstRoom<R extends object>(make: (seed: number) => Promise<R | Unusable>): Promise<R> {
  for (let seed = 1_000_000; seed < 1_000_020; seed++) {
    const room = await make(seed);
    if (!('rejected' in room)) return room;
  }
  throw new Error('20 rooms cannot be used');
}

test('of five candidates only the right one opens the drawer; all share the camera', async () => {
  const { world, clips } = await firstRoom((seed) => drawerRoom(seed, SIZE));
  expect(clips).toHaveLength(CANDIDATES.length);
  const opened = clips.map(({ moving }) => openedShare(world, moving, world.actor));
  expect(opened[0]).toBeGreaterThan(0.4);
  expect(Math.max(...opened.slice(1))).toBeLessThan(0.05);
  for (const { acting } of clips)
    expect(acting.frames.map(({ camera }) => camera)).toEqual(
      clips[0].acting.frames.map(({ camera }) => camera),
    );
  const { words } = findBody(world, world.actor);
  expect(clips[0].caption).toContain(words);
  expect(clips[1].caption).not.toContain(words);
  // Goes from near the drawer to where hands wait.
  const [away, nothing] = [clips[4], clips[3]].map(({ acting }) => acting.frames);
  const wrist = ({ hands }: (typeof away)[number]) => [...(hands.left ?? hands.right)!.joints!.slice(0, 3)];
  wrist(away.at(-1)!).forEach((value, axis) => {
    expect(value).toBeCloseTo(wrist(nothing[0])[axis], 6);
  });
}, 60_000);

test('pulling opens and leaving does not; the end of a clip has one frame, of any state', async () => {
  const { pulled, left } = await firstRoom((seed) => openingRoom(seed, SIZE));
  const actor = ({ moving }: typeof pulled) =>
    moving.findIndex(({ opening }) => opening && opening.at(-1)! > 0.05);
  expect(actor(pulled)).toBeGreaterThanOrEqual(0);
  expect(actor(left)).toBe(-1);
  const end = endOf(left, pulled.moving);
  expect(end.trajectory.frames).toEqual(left.acting.frames.slice(-1));
  expect(end.moving.map(({ worlds }) => worlds)).toEqual(pulled.moving.map(({ worlds }) => worlds.slice(-1)));
  expect(Object.values(end.forearms).every((arm) => arm!.elbows.length === 1)).toBe(true);
}, 60_000);

test('a near miss opens nothing in a room whose thing opens', async () => {
  const { pulled, missed } = await firstRoom((seed) => missRoom(seed, SIZE));
  const way = ({ moving }: typeof pulled) =>
    Math.max(...moving.map(({ opening }) => (opening ? Math.abs(opening.at(-1)! - opening[0]) : 0)));
  expect(way(pulled)).toBeGreaterThan(0.05);
  expect(way(missed)).toBeLessThan(0.004);
  expect(MISSES).toContain(missed.action);
  expect(missed.room).toBe(missed.action === missed.room ? undefined : pulled.action);
  expect(missed.acting.frames.map(({ camera }) => camera)).toEqual(
    pulled.acting.frames.map(({ camera }) => camera),
  );
}, 60_000);

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

test('an interval of a share: values of Wilson’s formula, inside 0 to 1', () => {
  const { low, high } = shareOf(38, 50);
  expect([low, high].map((value) => value.toFixed(4))).toEqual(['0.6259', '0.8570']);
  expect(shareOf(10, 10)).toMatchObject({ share: 1, high: 1 });
  expect(shareOf(10, 10).low).toBeCloseTo(0.7225, 3);
  expect(shareOf(0, 10).low).toBe(0);
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
