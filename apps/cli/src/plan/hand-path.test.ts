import { findBody, firstPlace, isJoint, makeMotion, makeWorld, runHands, wristOf } from '@dwm/synth';
import { expect, test } from 'vitest';
import { COORDINATES, describePoint, handPath, MOTIONS, startingSide, targetsAt } from './hand-path.ts';

const SIZE = { width: 96, height: 64, frames: 17, fps: 8, fixedCamera: true };

async function room(seed: number) {
  const world = await makeWorld(seed, 'pull-drawer');
  const { acting } = makeMotion(world, { ...SIZE, action: 'touch-nothing' });
  const side = startingSide(acting)!;
  const targets = world.bodies
    .filter(({ motion, grips }) => motion !== 'fixed' && grips.length > 0)
    .flatMap((body) => body.grips.map((grip) => ({ name: body.name, grip, place: firstPlace(body) })));
  const start = wristOf(acting.frames[0].hands[side]!.joints!);
  const setting = { targets, camera: acting, hand: { side, size: 1 }, start };
  return { world, setting };
}

/** Share of the drawer's way. */
async function opens(seed: number, motion: (typeof MOTIONS)[number], metres = 0.7): Promise<number> {
  const { world, setting } = await room(seed);
  const target = setting.targets.findIndex(({ name }) => name === world.actor);
  const point = Array.from({ length: COORDINATES }, () => 0.5);
  point[0] = (target + 0.5) / setting.targets.length;
  point[1] = (MOTIONS.indexOf(motion) + 0.5) / MOTIONS.length;
  point[2] = metres;
  expect(describePoint(point, setting)).toContain(`${motion} ${world.actor} by`);
  const { moving } = await runHands(world, handPath(point, setting));
  const { motion: joint } = findBody(world, world.actor);
  const openings = moving.find(({ name }) => name === world.actor)!.opening!;
  if (!isJoint(joint)) throw new Error('a drawer has a joint');
  return (openings.at(-1)! - openings[0]) / (joint.limits[1] - joint.limits[0]);
}

test('pulling a drawer by its handle opens it in the physics; pushing or lifting does not', async () => {
  const seeds = [1_000_001, 1_000_007, 1_000_011, 1_000_020, 1_000_031];
  const pulled = await Promise.all(seeds.map((seed) => opens(seed, 'pull')));
  expect(pulled.filter((share) => share > 0.4).length).toBeGreaterThanOrEqual(4);
  for (const motion of ['push', 'up'] as const) {
    const others = await Promise.all(seeds.map((seed) => opens(seed, motion)));
    expect(Math.max(...others)).toBeLessThan(0.2);
  }
}, 120_000);

test('a path has the camera’s frames, one hand, and starts where the hand was', async () => {
  const { setting } = await room(1_000_001);
  const path = handPath(
    Array.from({ length: COORDINATES }, () => 0.3),
    setting,
  );
  expect(path.frames).toHaveLength(17);
  const [first] = path.frames;
  const joints = first.hands[setting.hand.side]!.joints!;
  expect([...joints.slice(0, 3)]).toEqual([...setting.start.position]);
  expect(path.frames.every(({ hands }) => (hands.left === null) !== (hands.right === null))).toBe(true);
});

test('targets at points come in three postures, reaching away from the viewer', () => {
  const targets = targetsAt([[0, 1, -1]], [0, 1.6, 0]);
  expect(targets.map(({ grip }) => grip.posture)).toEqual(['hook', 'pinch', 'flat']);
  expect(targets[0].grip.forward).toEqual([0, 0, -1]);
});
