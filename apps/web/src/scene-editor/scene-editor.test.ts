import { fromFieldOfView } from '@dwm/renderer';
import { expect, test } from 'vitest';
import { cameraPose, orbited, projected, rigOf, walked } from './camera-rig.ts';
import { draggedAlongRay, draggedInPlane, handBefore, handPose } from './hand-rig.ts';
import { begin, push, redo, undo } from './history.ts';
import { PRESET_NAMES, presetTrajectory } from './presets.ts';

const lens = fromFieldOfView(720, 480, 1.2);
const camera = { position: [1, 1.6, 2] as const, yaw: 0.8, pitch: -0.3 };
const hand = handBefore(camera, 'right');
const near = (a: readonly number[], b: readonly number[]) =>
  a.forEach((value, i) => {
    expect(value).toBeCloseTo(b[i], 9);
  });

test('a pose gives back the rig it was made of', () => {
  const again = rigOf(cameraPose(camera));
  near([...again.position, again.yaw, again.pitch], [...camera.position, camera.yaw, camera.pitch]);
});

test('walking ahead is level; an orbit keeps what it turns about in the middle', () => {
  const there = walked(camera, [0, 0, 1]);
  expect(there.position[1]).toBe(1.6);
  near(there.position, [1 - Math.sin(0.8), 1.6, 2 - Math.cos(0.8)]);
  const middle = camera.position.map((value, axis) => {
    const m = cameraPose(camera).matrix;
    return value - 0.9 * m[4 * axis + 2];
  }) as unknown as readonly [number, number, number];
  const { x, y, depth } = projected(orbited(camera, 0.5, 0.2, 0.9), lens, middle);
  near([x, y, depth], [360, 240, 0.9]);
});

test('a hand dragged by pixels is as many pixels away, at the same depth; along the ray it stays where it is seen', () => {
  const before = projected(camera, lens, hand.position);
  const across = projected(camera, lens, draggedInPlane(hand, camera, lens, 60, -25).position);
  near([across.x, across.y, across.depth], [before.x + 60, before.y - 25, before.depth]);
  const along = projected(camera, lens, draggedAlongRay(hand, camera, 0.2).position);
  near([along.x, along.y], [before.x, before.y]);
  expect(along.depth).toBeGreaterThan(before.depth + 0.15);
});

test('grasping brings the fingertips nearer to the palm', () => {
  const reach = (grasp: number) => {
    const { joints } = handPose({ ...hand, grasp });
    return Math.hypot(...[0, 1, 2].map((i) => joints![9 * 7 + i] - joints![i]));
  };
  expect(reach(1)).toBeLessThan(0.7 * reach(0));
});

test.each(PRESET_NAMES)('preset %s: as many frames as asked for, one hand, smooth', (name) => {
  const { frames } = presetTrajectory(name, hand, camera, lens, { frames: 33, fps: 8 });
  expect(frames).toHaveLength(33);
  const wrists = frames.map(({ hands }) => hands.right!.joints!.subarray(0, 3));
  const steps = wrists.slice(1).map((at, i) => Math.hypot(...at.map((value, k) => value - wrists[i][k])));
  expect(Math.max(...steps)).toBeLessThan(0.06);
  expect(Math.max(...steps)).toBeGreaterThan(0.005);
  expect(frames.every(({ hands }) => hands.left === null)).toBe(true);
});

test('undo and redo; a change after an undo forgets what was undone', () => {
  const third = push(push(begin(1), 2), 3);
  expect(undo(undo(third)).present).toBe(1);
  expect(undo(undo(undo(third))).present).toBe(1);
  expect(redo(undo(third)).present).toBe(3);
  expect(push(undo(third), 4)).toEqual({ past: [1, 2], present: 4, future: [] });
});
