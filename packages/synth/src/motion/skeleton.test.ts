import { rotations } from '@dwm/renderer';
import { expect, test } from 'vitest';
import { solid } from '../world/builder.ts';
import { distanceTo } from '../world/solid.ts';
import { angles, closeUntilContact, HAND_POSTURES, OPEN } from './posture.ts';
import { BONES, FINGER_JOINTS, jointAt, poseSkeleton, wristOf } from './skeleton.ts';

const ORIGIN = { position: [0, 0, 0], rotation: [0, 0, 0, 1] } as const;
const TURNED = { position: [0.3, 1.1, -0.2], rotation: rotations.fromAxisAngle([0.4, -1.1, 0.7]) } as const;
const FIST = angles('hook', [1, 0.9, 0.8, 0.7, 0.6]);

test('-z is along every bone, and bones keep their length', () => {
  const [flat, fist] = [angles('flat', OPEN), FIST].map(
    (posed) => poseSkeleton({ side: 'right', size: 1.1 }, TURNED, posed).joints,
  );
  for (const [a, b] of BONES.filter(([from]) => from > 0)) {
    const lengths = [flat, fist].map((joints) => {
      const bone = rotations.subtract(jointAt(joints, b), jointAt(joints, a));
      const at = 7 * a;
      const along = rotations.rotate(
        [joints[at + 3], joints[at + 4], joints[at + 5], joints[at + 6]],
        [0, 0, -1],
      );
      expect(rotations.dot(along, rotations.direction(bone)!)).toBeCloseTo(1, 6);
      return rotations.length(bone);
    });
    expect(lengths[0]).toBeCloseTo(lengths[1], 9);
    expect(lengths[0]).toBeGreaterThan(0.015);
  }
});

test('a left hand is the mirror of the right one', () => {
  const right = poseSkeleton({ side: 'right', size: 1 }, ORIGIN, FIST).joints;
  const left = poseSkeleton({ side: 'left', size: 1 }, ORIGIN, FIST).joints;
  for (let j = 0; j < 25; j++) {
    const [a, b] = [right, left].map((joints) => joints.subarray(7 * j, 7 * j + 7));
    expect([...b]).toEqual(
      [-a[0], a[1], a[2], a[3], -a[4], -a[5], a[6]].map((value) => expect.closeTo(value, 9)),
    );
  }
});

test('the wrist is where it was put; curled fingers come down to the palm side', () => {
  const { joints } = poseSkeleton({ side: 'right', size: 1 }, TURNED, FIST);
  expect(wristOf(joints)).toEqual(TURNED);
  const bent = poseSkeleton({ side: 'right', size: 1 }, ORIGIN, FIST).joints;
  for (const chain of FINGER_JOINTS.slice(1)) expect(jointAt(bent, chain.at(-1)!)[1]).toBeLessThan(-0.04);
});

test('fingers close until they touch and not further', () => {
  const model = { side: 'right', size: 1 } as const;
  const can = [solid({ kind: 'cylinder', radius: 0.03, halfHeight: 0.1 })];
  // Lying across the palm.
  const body = {
    position: [0, -0.055, -0.1],
    rotation: rotations.fromAxisAngle([0, 0, Math.PI / 2]),
  } as const;
  const closure = closeUntilContact(model, ORIGIN, 'wrap', can, body);
  const { joints, radii } = poseSkeleton(model, ORIGIN, angles('wrap', closure));
  for (const chain of FINGER_JOINTS.slice(1)) {
    const gaps = chain.slice(1).map((joint) => distanceTo(can, body, jointAt(joints, joint)) - radii[joint]);
    expect(Math.min(...gaps)).toBeLessThan(0.012);
    expect(Math.min(...gaps)).toBeGreaterThan(-0.012);
  }
  expect(closeUntilContact(model, ORIGIN, 'wrap', [], body)).toEqual([1, 1, 1, 1, 1]);
  expect(Object.keys(HAND_POSTURES)).toContain('wrap');
});
