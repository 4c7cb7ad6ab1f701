import { relativeError, seeded } from '@dwm/core-tensor/testing';
import { describe, expect, test } from 'vitest';
import { fromAxisAngle, type Quaternion, type Vec3 } from '../camera/index.ts';
import { compose, fromFrame, rotate, unit } from '../camera/rotation.ts';
import { LANDMARK_JOINTS, landmarksToJoints } from './hand-ik.ts';
import { importMediapipe } from './mediapipe.ts';

const random = seeded(17);
const signed = (size: number) => size * (2 * random() - 1);

/** Joints of a chain: offsets from joint to joint, in the frame of the joint before. */
const CHAINS = [
  [0.03, 0.033, 0.03, 0.022],
  [0.06, 0.045, 0.025, 0.02],
  [0.062, 0.047, 0.028, 0.02],
  [0.058, 0.042, 0.026, 0.02],
  [0.05, 0.035, 0.02, 0.018],
];

/**
 * A right hand, palm down, fingers along -z, bent by `bend(finger, joint)` (radians about x, then about y) and put at a
 * place: [25, 7]. Joint frames have -z along the bone, so at rest it is its own reference.
 */
function makeHand(
  bend: (finger: number, joint: number) => [number, number],
  wrist: Quaternion,
  place: Vec3,
  size = 1,
) {
  const joints = new Float64Array(175);
  const put = (joint: number, position: Vec3, turn: Quaternion) =>
    joints.set([...position, ...turn], 7 * joint);
  put(0, place, wrist);
  CHAINS.forEach((lengths, finger) => {
    const spread = [-0.7, -0.2, 0, 0.15, 0.3][finger];
    let turn = compose(
      wrist,
      compose(fromAxisAngle([0, -spread, 0]), fromAxisAngle([finger === 0 ? -0.3 : 0, 0, 0])),
    );
    const base: Vec3 = [size * (-0.02 + 0.01 * finger), size * (finger === 0 ? -0.015 : 0), size * -0.03];
    let position = add(place, rotate(wrist, base));
    const first = [1, 5, 10, 15, 20][finger];
    const count = finger === 0 ? 3 : 4;
    for (let k = 0; k < count; k++) {
      // Metacarpals of fingers do not bend.
      if (finger === 0 || k > 0) {
        const [x, y] = bend(finger, finger === 0 ? k : k - 1);
        turn = compose(turn, compose(fromAxisAngle([0, y, 0]), fromAxisAngle([x, 0, 0])));
      }
      put(first + k, position, turn);
      position = add(position, rotate(turn, [0, 0, -size * lengths[k]]));
    }
    put(first + count, position, turn);
  });
  return joints;
}

const add = (a: Vec3, b: Vec3): Vec3 => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
const landmarksOf = (joints: Float64Array) =>
  LANDMARK_JOINTS.flatMap((joint) => [...joints.subarray(7 * joint, 7 * joint + 3)]);
const positions = (joints: Float64Array) => joints.filter((_, i) => i % 7 < 3);
/** Signs of quaternions are free. */
const sameTurn = (a: Float64Array, b: Float64Array) => Math.abs(a.reduce((sum, x, i) => sum + x * b[i], 0));
const straight = (): [number, number] => [0, 0];
const bent = () => {
  const angles = new Map<string, [number, number]>();
  return (finger: number, joint: number) => {
    const key = `${finger}.${joint}`;
    if (!angles.has(key)) angles.set(key, [-random() * 1.3, joint === 0 ? signed(0.3) : 0]);
    return angles.get(key)!;
  };
};
const anyTurn = () => unit([signed(1), signed(1), signed(1), signed(1)])!;
const rest = makeHand(straight, [0, 0, 0, 1], [0, 0, 0]);
const boneLengths = (joints: Float64Array) =>
  LANDMARK_JOINTS.filter((_, i) => i > 0 && i % 4 !== 0).map((joint) =>
    Math.hypot(...[0, 1, 2].map((k) => joints[7 * joint + 7 + k] - joints[7 * joint + k])),
  );

describe('inverse kinematics', () => {
  test('a bent and moved hand is found again, places and turns', () => {
    for (let i = 0; i < 20; i++) {
      const posed = makeHand(bent(), anyTurn(), [signed(1), signed(1), signed(1)]);
      // The thumb's first joint bends freely here, so it is no part of a rigid palm's turning but of its place.
      const found = landmarksToJoints(landmarksOf(posed), rest);
      expect(relativeError(positions(found), positions(posed))).toBeLessThan(1e-9);
      for (let joint = 0; joint < 25; joint++) {
        const [a, b] = [found, posed].map((all) => all.subarray(7 * joint + 3, 7 * joint + 7));
        // Bending about y after x leaves a twist that no landmark shows: up to some degrees.
        expect(sameTurn(a, b)).toBeGreaterThan(0.99);
        const forward = (q: Float64Array) => rotate([...q] as unknown as Quaternion, [0, 0, -1]);
        if (joint % 5 !== 0) expect(relativeError(forward(a), forward(b))).toBeLessThan(1e-9);
      }
    }
  });

  test('bones keep the length of the hand at rest, whatever the landmarks measure', () => {
    const larger = makeHand(bent(), anyTurn(), [0, 1, -1], 1.3);
    const noisy = landmarksOf(larger).map((x) => x + signed(0.004));
    expect(relativeError(boneLengths(landmarksToJoints(noisy, rest)), boneLengths(rest))).toBeLessThan(1e-12);
    const exact = landmarksToJoints(landmarksOf(larger), rest);
    const direction = (joints: Float64Array, joint: number) =>
      [0, 1, 2].map(
        (k) =>
          (joints[7 * joint + 7 + k] - joints[7 * joint + k]) /
          Math.hypot(...[0, 1, 2].map((c) => joints[7 * joint + 7 + c] - joints[7 * joint + c])),
      );
    for (const joint of [1, 2, 3, 6, 7, 8, 21, 22, 23])
      expect(relativeError(direction(exact, joint), direction(larger, joint))).toBeLessThan(1e-9);
  });

  test('the rest hand may be turned and its bones off their axes', () => {
    // Every joint frame turned by its own amount: bones are no longer along -z.
    const skew = Array.from({ length: 25 }, () => fromAxisAngle([signed(0.2), signed(0.2), signed(0.2)]));
    const skewed = (joints: Float64Array) => {
      const copy = joints.slice();
      skew.forEach((turn, joint) => {
        const q = joints.subarray(7 * joint + 3, 7 * joint + 7);
        copy.set(compose([...q] as unknown as Quaternion, turn), 7 * joint + 3);
      });
      return copy;
    };
    const turnedRest = makeHand(straight, fromFrame([0, 1, 0], [0, 0, 1], [1, 0, 0]), [5, 6, 7]);
    const posed = makeHand(bent(), anyTurn(), [1, 2, 3]);
    const found = landmarksToJoints(landmarksOf(posed), skewed(turnedRest));
    expect(relativeError(positions(found), positions(posed))).toBeLessThan(1e-9);
    expect(sameTurn(found.subarray(52 + 7 * 0, 56), skewed(posed).subarray(52, 56))).toBeGreaterThan(0.99);
  });

  test('what is no hand is refused', () => {
    expect(() => landmarksToJoints(new Float64Array(63), rest)).toThrow('the palm has no extent');
    expect(() => landmarksToJoints([1, 2], rest)).toThrow('21 x 3 finite numbers');
    expect(() => landmarksToJoints(new Float64Array(63).fill(Number.NaN), rest)).toThrow('finite');
  });
});

describe('MediaPipe results', () => {
  const camera = { w: 1280, h: 720, fl_x: 900, fl_y: 910, cx: 640, cy: 350 };
  /** What MediaPipe would say of a hand at a place, OpenGL axes. */
  const result = (joints: Float64Array, name: string) => {
    const points = LANDMARK_JOINTS.map((joint) => [
      joints[7 * joint],
      -joints[7 * joint + 1],
      -joints[7 * joint + 2],
    ]);
    const centre = [0, 1, 2].map((k) => points.reduce((sum, p) => sum + p[k], 0) / 21);
    const xyz = ([x, y, z]: number[]) => ({ x, y, z });
    return {
      landmarks: [
        points.map(([x, y, z]) =>
          xyz([
            ((camera.fl_x * x) / z + camera.cx) / camera.w,
            ((camera.fl_y * y) / z + camera.cy) / camera.h,
            0,
          ]),
        ),
      ],
      worldLandmarks: [points.map((p) => xyz(p.map((x, k) => x - centre[k])))],
      handedness: [[{ categoryName: name, score: 0.9 }]],
    };
  };
  const posed = makeHand(bent(), anyTurn(), [0.1, -0.05, -0.6]);
  const file = (frames: unknown[], changes = {}) => ({
    name: 'm.json',
    text: JSON.stringify({ fps: 30, ...camera, ...changes, frames }),
  });
  const options = { rest: { left: rest, right: rest } };
  const empty = { landmarks: [], worldLandmarks: [], handedness: [] };

  test('the hand stands where the image shows it', () => {
    const { fps, frames } = importMediapipe(
      file([result(posed, 'Right'), empty, null, result(posed, 'Left')]),
      options,
    );
    expect([fps, frames.length]).toEqual([30, 4]);
    expect(relativeError(positions(frames[0].hands.right!.joints!), positions(posed))).toBeLessThan(1e-9);
    expect(frames.map(({ hands }) => [!!hands.left, !!hands.right])).toEqual([
      [false, true],
      [false, false],
      [false, false],
      [true, false],
    ]);
    const swapped = importMediapipe(file([result(posed, 'Right')]), { ...options, swapHands: true });
    expect(swapped.frames[0].hands.left).not.toBeNull();
  });

  const plain = (side: string) => {
    const { landmarks, worldLandmarks } = result(posed, side);
    return { landmarks: landmarks[0], world: worldLandmarks[0] };
  };
  const spelt: Record<string, (side: string) => object> = {
    "the tasks API's, Python": (side) => ({
      hand_landmarks: [plain(side).landmarks],
      hand_world_landmarks: [plain(side).world],
      handedness: [[{ index: 0, score: 0.98, display_name: '', category_name: side }]],
    }),
    'the tasks API in camel case': (side) => ({
      handLandmarks: [plain(side).landmarks],
      handWorldLandmarks: [plain(side).world],
      handedness: [[{ categoryName: side }]],
    }),
    "the old Hands', with messages made JSON": (side) => ({
      multi_hand_landmarks: [
        { landmark: plain(side).landmarks.map(({ x, y }) => ({ x, y, visibility: 0.5 })) },
      ],
      multi_hand_world_landmarks: [{ landmark: plain(side).world }],
      multi_handedness: [{ classification: [{ index: 1, score: 0.99, label: side }] }],
    }),
    'the same in camel case': (side) => ({
      multiHandLandmarks: [{ landmark: plain(side).landmarks }],
      multiHandWorldLandmarks: [{ landmark: plain(side).world }],
      multiHandedness: [{ classification: [{ label: side }] }],
    }),
    'lists of numbers, sides by name': (side) => ({
      multi_hand_landmarks: [plain(side).landmarks.map(({ x, y, z }) => [x, y, z])],
      multi_hand_world_landmarks: [plain(side).world.map(({ x, y, z }) => [x, y, z])],
      multi_handedness: [side],
    }),
  };
  test.each(Object.keys(spelt))('%s names say the same', (name) => {
    const wanted = importMediapipe(file([result(posed, 'Left'), result(posed, 'Right'), empty]), options);
    const frames = [spelt[name]('Left'), spelt[name]('Right'), {}];
    expect(importMediapipe(file(frames), options)).toEqual(wanted);
    const nothing = Object.fromEntries(Object.keys(spelt[name]('Left')).map((key) => [key, null]));
    expect(importMediapipe(file([nothing]), options).frames[0].hands).toEqual({ left: null, right: null });
    // A bare list of results, with the size from elsewhere.
    const list = { name: 'm.json', text: JSON.stringify(frames) };
    const { frames: bare } = importMediapipe(list, { ...options, width: 1280, height: 720, fps: 30 });
    expect(bare.map(({ hands }) => [!!hands.left, !!hands.right])).toEqual([
      [true, false],
      [false, true],
      [false, false],
    ]);
    expect(() => importMediapipe(list, options)).toThrow('w: missing');
  });

  test('landmarks of the image alone, and a fisheye, are refused with the field to add', () => {
    const { hand_world_landmarks: _, ...image } = spelt["the tasks API's, Python"]('Left') as Record<
      string,
      unknown
    >;
    expect(() => importMediapipe(file([image]), options)).toThrow(
      /frames\[0\]\.worldLandmarks: missing, expected landmarks in metres \(hand_world_landmarks/,
    );
    expect(() => importMediapipe(file([empty], { is_fisheye: true }), options)).toThrow(
      'is_fisheye: true, expected a pinhole',
    );
  });

  test.each([
    [[], {}, 'm.json: frames: an array of 0, expected at least one frame'],
    [[empty], { w: undefined }, 'm.json: w: missing, expected a whole number of pixels'],
    [
      [{ ...result(posed, 'Right'), landmarks: [] }],
      {},
      'frames[0].landmarks: an array of 0, expected an array of 1 hands',
    ],
    [[{ ...result(posed, 'Both') }], {}, 'categoryName: "Both", expected "Left" or "Right"'],
    [
      [{ ...result(posed, 'Left'), worldLandmarks: [[]] }],
      {},
      'worldLandmarks[0]: an array of 0, expected an array of 21',
    ],
    [
      [{ ...result(posed, 'Left'), worldLandmarks: [Array(21).fill({ x: 0, y: 0, z: 0 })] }],
      {},
      'landmarks[0]: an array of 21, expected landmarks of a hand in front of the camera',
    ],
  ])('what is wrong is named: case %#', (frames, changes, message) => {
    expect(() => importMediapipe(file(frames, changes), options)).toThrow(message);
  });
});
