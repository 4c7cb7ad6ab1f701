import { expect, test } from 'vitest';
import { placement } from '../camera/index.ts';
import { importEgoexo } from './egoexo.ts';
import { LANDMARK_JOINTS } from './hand-ik.ts';
import { recordingKind } from './kinds.ts';

/** A flat hand in WebXR's order, fingers along -z. */
const rest = new Float64Array(175);
for (let joint = 0; joint < 25; joint++) {
  const finger = joint < 5 ? -1 : Math.floor((joint - 5) / 5);
  const along = joint === 0 ? 0 : joint < 5 ? joint : ((joint - 5) % 5) + 1;
  rest.set([joint === 0 ? 0 : 0.02 * finger, 0, -0.03 * along, 0, 0, 0, 1], 7 * joint);
}
const HANDS = { left: rest, right: rest };

const FINGERS = ['thumb', 'index', 'middle', 'ring', 'pinky'];
const NAMES = ['wrist', ...FINGERS.flatMap((finger) => [1, 2, 3, 4].map((i) => `${finger}_${i}`))];

/** The hand at rest, moved. */
const points = (side: string, z: number, views = 4) =>
  Object.fromEntries(
    NAMES.map((name, i) => {
      const [x, y, depth] = rest.subarray(7 * LANDMARK_JOINTS[i], 7 * LANDMARK_JOINTS[i] + 3);
      return [`${side}_${name}`, { x, y, z: depth + z, num_views_for_3d: views }];
    }),
  );

const annotation = (frames: object) => ({ name: 'hands.json', text: JSON.stringify(frames) });
const identity = [
  [1, 0, 0, 0],
  [0, 1, 0, 0],
  [0, 0, 1, 0.5],
];
const cameras = (change: object = {}) => ({
  name: 'camera.json',
  text: JSON.stringify({
    metadata: { take_uid: 'a' },
    cam01: { camera_intrinsics: 1, camera_extrinsics: identity },
    aria01: {
      camera_intrinsics: [
        [300, 0, 255.5],
        [0, 310, 239.5],
        [0, 0, 1],
      ],
      camera_extrinsics: { '12': identity, '9': identity, '30': identity },
      ...change,
    },
  }),
});

const frame = (hands: object) => [{ annotation3D: hands, annotation2D: {} }];

test('a take: frames in order, hands with all of their points, a camera that is turned upright', () => {
  const incomplete = { ...points('right', 1) } as Record<string, unknown>;
  delete incomplete.right_ring_3;
  const take = annotation({
    '12': frame({ ...points('right', 1), ...points('left', 1, 2) }),
    '9': frame(incomplete),
    '11': frame(points('right', 1)),
    '30': [],
  });
  const { frames, fps } = importEgoexo(take, cameras(), HANDS);
  expect(frames.map(({ seconds }) => seconds)).toEqual([0, 3 / 30, 21 / 30]);
  expect(fps).toBeCloseTo(2 / 0.7, 9);
  expect(frames.map(({ hands }) => [hands.left !== null, hands.right !== null])).toEqual([
    [false, false],
    [false, true],
    [false, false],
  ]);
  const joints = frames[1].hands.right!.joints!;
  expect([...joints.subarray(0, 3)].map((value) => Math.round(1e6 * value))).toEqual([0, 0, 1e6]);
  const { intrinsics, camera } = frames[1];
  expect(intrinsics).toEqual({ fx: 310, fy: 300, cx: 240, cy: 256, width: 480, height: 512 });
  expect(placement(camera).position.map((value) => value + 0)).toEqual([0, 0, -0.5]);
  // World x is right in the sensor's picture, and down in the one that is turned clockwise.
  const [right, up] = [0, 1].map((column) => [0, 4, 8].map((row) => camera.matrix[row + column] + 0));
  expect(right).toEqual([0, -1, 0]);
  expect(up).toEqual([-1, 0, 0]);
});

test('the two files are told apart', () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  expect(recordingKind('a', bytes(annotation({ '3': frame({}) }).text))).toBe('egoexo-hands');
  expect(recordingKind('b', bytes(cameras().text))).toBe('egoexo-camera');
});

test.each([
  ['a frame that is no number', { first: [] }, {}, /hands\.json: first: .* expected a frame number/],
  ['frames of another take', { '1': [] }, {}, /camera\.json: has no camera for any frame of hands\.json/],
  [
    'a point without views',
    { '9': frame({ right_wrist: { x: 0, y: 0, z: 0 } }) },
    {},
    /hands\.json: 9\[0\]\.annotation3D\.right_wrist\.num_views_for_3d: missing/,
  ],
  [
    'a flat matrix',
    { '9': [] },
    { camera_extrinsics: { '9': [1, 2, 3] } },
    /camera\.json: aria01\.camera_extrinsics\.9\[0\]: 1, expected 4 finite numbers/,
  ],
])('%s is refused', (_, frames, camera, message) => {
  expect(() => importEgoexo(annotation(frames), cameras(camera), HANDS)).toThrow(message);
});
