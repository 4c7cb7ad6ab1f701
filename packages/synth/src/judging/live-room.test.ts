import { expect, test } from 'vitest';
import { makeWorld } from '../world/make-world.ts';
import { type LiveRoom, liveRoom } from './live-room.ts';
import { openedShare } from './rooms.ts';

const SIZE = { width: 96, height: 64, frames: 65, fps: 8 };

test('a live room is shut, opened, left open and shut again, each for as long', async () => {
  let [seed, room] = [1_000_000, undefined as LiveRoom | undefined];
  for (; !room; seed++) {
    const made = await liveRoom(seed, SIZE);
    if (!('rejected' in made)) room = made;
  }
  const world = await makeWorld(seed - 1, 'pull-drawer');
  const { actor } = world;
  expect(room.clip.acting.frames).toHaveLength(65);
  expect(room.clip.acts?.map(({ from }) => from)).toEqual([0, 16, 33, 49]);
  expect(room.acts.map(({ acting }) => acting.frames.length)).toEqual([16, 33, 49, 65]);
  const open = room.acts.map(({ moving }) => openedShare(world, moving, actor));
  expect(open[0]).toBeCloseTo(0, 6);
  expect(Math.min(open[1], open[2])).toBeGreaterThan(0.4);
  expect(open[3]).toBeLessThan(open[2]);
  expect(room.opening).not.toBe('');
});
