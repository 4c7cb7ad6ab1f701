import { expect, test } from 'vitest';
import { anyStarts, evenStarts, firstAct, SHORTEST_ACT } from './episode.ts';
import {
  anotherOf,
  findBody,
  isJoint,
  LEAVES_ALL,
  makeWorld,
  type SimulatedClip,
  simulate,
} from './index.ts';
import { jointAt } from './motion/skeleton.ts';
import { titleOf } from './node/sheet.ts';
import { stateLog } from './node/state-log.ts';
import { Random } from './random.ts';

const SETTINGS = { width: 96, height: 64, frames: 51, room: 'pull-drawer', action: 'pull-drawer' } as const;

const metres = (a: readonly number[], b: readonly number[]) => Math.hypot(...a.map((v, i) => v - b[i]));

test('each act goes on from how the one before left the room', async () => {
  const seed = 1_700_004;
  const world = await makeWorld(seed, 'pull-drawer');
  const clip = (await simulate(seed, { ...SETTINGS, acts: 3 })) as SimulatedClip;
  const acts = clip.acts!;
  const names = [world.actor, anotherOf(world)!.actor];
  const drawers = clip.moving.filter(({ name }) => names.includes(name));
  const { motion } = findBody(world, world.actor);
  const most = isJoint(motion) ? motion.limits[1] : Number.NaN;
  acts.forEach(({ action, from }, k) => {
    const last = (acts[k + 1]?.from ?? SETTINGS.frames) - 1;
    const changes = drawers.map(({ opening }) => opening![last] - opening![Math.max(0, from - 1)]);
    const change = changes.toSorted((a, b) => Math.abs(b) - Math.abs(a))[0];
    if (LEAVES_ALL.has(action)) expect(Math.abs(change)).toBeLessThan(0.004);
    else expect(action === 'push-drawer' ? -change : change).toBeGreaterThan(0.3 * most);
  });
  expect(acts[0].action).toBe('pull-drawer');
  expect(new Set(acts.map(({ action }) => action)).size).toBeGreaterThan(1);

  const log = stateLog(clip);
  expect(log.acts).toEqual(acts);
  expect(titleOf(seed, log)).toBe(`1700004 ${acts[0].action}, ${acts[1].action}, ${acts[2].action}`);

  const hands = clip.acting.frames.map(({ hands }) => hands.left?.joints ?? hands.right?.joints);
  const palms = hands.flatMap((joints) => (joints ? [metres(jointAt(joints, 0), jointAt(joints, 11))] : []));
  expect(Math.max(...palms) / Math.min(...palms)).toBeCloseTo(1, 9);
});

test('acts are of any length from the shortest on, and fill the clip', () => {
  const random = Random.fork(1_700_002, 'starts');
  const all = Array.from({ length: 200 }, () => anyStarts(3, 41, random));
  const lengths = all.map(([a, b, c]) => [a, b - a, c - b, 41 - c]);
  for (const [first, ...acts] of lengths) {
    expect(first).toBe(0);
    expect(Math.min(...acts)).toBeGreaterThanOrEqual(SHORTEST_ACT);
  }
  for (const act of [1, 2, 3])
    expect(new Set(lengths.map((each) => each[act]))).toEqual(new Set([12, 13, 14, 15, 16, 17]));
  expect(anyStarts(3, 36, random)).toEqual([0, 12, 24]);
  expect(evenStarts(4, 129)).toEqual([0, 32, 65, 97]);
});

test('the first act opens what is shut in some rooms only', async () => {
  const world = await makeWorld(1_700_004, 'pull-drawer');
  const random = Random.fork(1_700_002, 'first');
  const opens = Array.from({ length: 400 }, () => firstAct('pull-drawer')(world, random) === 'pull-drawer');
  expect(opens.filter(Boolean).length / 400).toBeCloseTo(0.5 + 0.5 * (4 / 11.5), 1);
  const cup = await makeWorld(1_700_004, 'pick-and-place');
  expect(firstAct('pick-and-place')(cup, random)).toBe('pick-and-place');
});

test('an episode is the same every time, and a clip of one act as it was', async () => {
  const seed = 1_700_001;
  const settings = { ...SETTINGS, frames: 25, acts: 2 };
  expect(await simulate(seed, settings)).toEqual(await simulate(seed, settings));
  const { acts: _, ...one } = settings;
  expect(await simulate(seed, { ...one, acts: 1 })).toEqual(await simulate(seed, one));
});

test('a rejected episode names the action that was asked for', async () => {
  const asked = { ...SETTINGS, frames: 25, acts: 2, action: 'push-drawer' } as const;
  expect(await simulate(1_700_003, asked)).toMatchObject({ action: 'push-drawer', rejected: 'no-motion' });
});
