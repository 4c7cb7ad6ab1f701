import { fromFieldOfView, NO_HANDS, placement } from '@dwm/renderer';
import { LANDMARK_JOINTS } from '@dwm/renderer/recordings';
import { matrices } from '@dwm/renderer/scene';
import { angles, poseSkeleton } from '@dwm/synth';
import { expect, test } from 'vitest';
import { HandFitter } from './hand-fitter.ts';
import { fromStart, startOf, trackedFrame } from './tracked.ts';
import { facing } from './webcam.ts';

const at = (joints: ArrayLike<number>, joint: number) => [0, 1, 2].map((i) => joints[7 * joint + i]);

test('what a tracker sees is put where the camera is, turned with it', () => {
  const { joints } = poseSkeleton(
    { side: 'right', size: 1 },
    { position: [0.1, -0.1, -0.5], rotation: [0, 0, 0, 1] },
    angles('flat', [0, 0, 0, 0, 0]),
  );
  const rig = { position: [1, 1.5, 2] as const, yaw: Math.PI / 2, pitch: 0 };
  const frame = trackedFrame(rig, { hands: { ...NO_HANDS, right: { joints } } }, fromFieldOfView(96, 64, 1));
  // Looking along -x, ahead is -x and right is -z.
  const [x, y, z] = at(frame.hands.right!.joints!, 0);
  expect([x, y, z].map((value) => value.toFixed(6))).toEqual(['0.500000', '1.400000', '1.900000']);
  expect(placement(frame.camera).position).toEqual([1, 1.5, 2]);
});

test('a head begins at the origin, level, looking ahead', () => {
  const rotation = [0, Math.sin(0.6), 0, Math.cos(0.6)] as const;
  const start = startOf(matrices.compose([3, 1, -2], rotation));
  const { position, rotation: turned } = fromStart(start, [3, 1, -2], rotation);
  expect(position.map(Math.abs)).toEqual([0, 0, 0]);
  expect(Math.abs(turned[3])).toBeCloseTo(1, 9);
});

test("a webcam's hand comes out before the visitor, on its own side, with its bones' lengths", () => {
  // A right hand held up, half a metre before the webcam, seen from there: unmirrored, to the left of the picture.
  const { joints } = poseSkeleton(
    { side: 'right', size: 1 },
    { position: [-0.12, -0.1, -0.5], rotation: [Math.SQRT1_2, 0, 0, Math.SQRT1_2] },
    angles('flat', [0, 0, 0, 0, 0]),
  );
  const points = LANDMARK_JOINTS.map((joint) => at(joints, joint));
  const camera = fromFieldOfView(640, 480, Math.PI / 3);
  const seen = {
    ...{ side: 'right' as const, sideCertainty: 1, presence: 1, atOnce: true },
    points: points.map(
      ([x, y, z]) => [camera.cx + (camera.fx * x) / -z, camera.cy - (camera.fy * y) / -z] as const,
    ),
    world: Float64Array.from(points.flatMap(([x, y, z]) => [x, -y, -(z + 0.5)])),
  };
  const fitter = new HandFitter();
  const hands = facing(fitter.fit([seen], { width: 640, height: 480 }));
  expect(hands.left).toBeNull();
  const [x, y, z] = at(hands.right!.joints!, 0);
  expect(x).toBeCloseTo(0.12 * 0.8, 2);
  expect(y).toBeCloseTo(-0.1 * 0.8, 2);
  expect(z).toBeCloseTo(-0.4, 2);
  const length = (all: ArrayLike<number>, a: number, b: number) =>
    Math.hypot(...at(all, a).map((value, i) => value - at(all, b)[i]));
  expect(length(hands.right!.joints!, 6, 7)).toBeCloseTo(length(joints, 6, 7), 6);
  // Of two hands that look like one side the second is the other.
  const both = fitter.fit([seen, { ...seen, presence: 0.9 }], { width: 640, height: 480 });
  expect(both.left).not.toBeNull();
});
