import { expect, test } from 'vitest';
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

const SETTINGS = { width: 96, height: 64, frames: 51, room: 'pull-drawer', action: 'pull-drawer' } as const;

const metres = (a: readonly number[], b: readonly number[]) => Math.hypot(...a.map((v, i) => v - b[i]));

test('each act goes on from how the one before left the room', async () => {
  const seed = 1_700_004;
  const world = await makeWorld(seed, 'pull-drawer');
  const clip = (await simulate(seed, { ...SETTINGS, acts: 3 })) as SimulatedClip;
  const acts = clip.acts!;
  expect(acts.map(({ from }) => from)).toEqual([0, 17, 34]);
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
