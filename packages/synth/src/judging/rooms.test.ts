import { expect, test } from 'vitest';
import { findBody } from '../world/world.ts';
import { endOf } from './end.ts';
import {
  CANDIDATES,
  drawerRoom,
  MISSES,
  missRoom,
  openedShare,
  openingRoom,
  type Unusable,
} from './rooms.ts';

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
  expect(missed.room).toBe(pulled.action);
  expect(missed.acting.frames.map(({ camera }) => camera)).toEqual(
    pulled.acting.frames.map(({ camera }) => camera),
  );
}, 60_000);
