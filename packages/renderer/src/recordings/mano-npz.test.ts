import { seeded } from '@dwm/core-tensor/testing';
import { expect, test } from 'vitest';
import { placement } from '../camera/index.ts';
import { MANO_JOINTS, MANO_VERTICES, type ManoModel } from '../mano/model.ts';
import { type ArrayToSave, array, npz } from '../trajectory/testing.ts';
import { recordingKind } from './kinds.ts';
import { importManoNpz } from './mano-npz.ts';

const random = seeded(31);
const noise = (count: number, size = 1) => Array.from({ length: count }, () => size * (random() - 0.5));

/** A model whose wrist rests at (0.1, 0.2, 0.3) and moves by 0.01 in x with the first shape number. */
const model: ManoModel = {
  template: new Float64Array(MANO_VERTICES * 3).fill(0).map((_, i) => [0.1, 0.2, 0.3][i % 3]),
  shapeDirections: new Float64Array(MANO_VERTICES * 30).map((_, i) => (i % 30 === 0 ? 0.01 : 0)),
  poseDirections: new Float64Array(MANO_VERTICES * 3 * 135),
  jointRegressor: new Float64Array(MANO_JOINTS * MANO_VERTICES).fill(1 / MANO_VERTICES),
  weights: new Float64Array(MANO_VERTICES * MANO_JOINTS),
  components: Float64Array.from({ length: 45 * 45 }, (_, i) => (i % 46 === 0 ? 2 : 0)),
  mean: new Float64Array(45),
  indices: new Uint32Array(3),
  leftIndices: new Uint32Array(3),
};

const N = 3;
const camera = (): Record<string, ArrayToSave> => ({
  cam_intr: array([3, 3], [500, 0, 320, 0, 510, 240, 0, 0, 1]),
  cam_extr: array([4, 4], [1, 0, 0, 0.5, 0, 1, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1]),
});
const file = (arrays: Record<string, ArrayToSave>, name = 'hands.npz') => ({ name, bytes: npz(arrays) });
const rounded = (values: ArrayLike<number>) =>
  Array.from(values, (value) => Math.round(1e9 * value) / 1e9 + 0);
const mirrored = (angles: readonly number[]) => angles.map((value, i) => (i % 3 === 0 ? value : -value));
const [rot, pose, place, shape] = [noise(3 * N), noise(45 * N), noise(3 * N), [2, ...noise(9)]];
const at = (values: readonly number[], size: number, frame: number) =>
  values.slice(size * frame, size * frame + size);

const hand = (named: (field: string) => string, fields: readonly string[], arrays: readonly ArrayToSave[]) =>
  Object.fromEntries(fields.map((field, i) => [named(field), arrays[i]]));

test('ARCTIC: fingers about the mean, the origin placed, a camera that moves in a file of its own', async () => {
  const parts = [array([N, 3], rot), array([N, 45], pose), array([N, 3], place), array([10], shape)];
  const fields = ['rot', 'pose', 'trans', 'shape'];
  const hands = file({
    ...hand((field) => `left.${field}`, fields, parts),
    ...hand((field) => `right.${field}`, fields, parts),
  });
  const seen = file(
    {
      intrinsics: array([3, 3], [500, 0, 320, 0, 510, 240, 0, 0, 1]),
      R_k_cam_np: array([N, 3, 3], Array.from({ length: N }, () => [1, 0, 0, 0, 1, 0, 0, 0, 1]).flat()),
      T_k_cam_np: array([N, 3, 1], [0, 0, 1, 0, 0, 2, 0, 0, 3]),
    },
    'egocam.npz',
  );
  expect([recordingKind('a', hands.bytes), recordingKind('b', seen.bytes)]).toEqual(['mano', 'mano-camera']);
  const { fps, frames } = await importManoNpz(hands, model, seen);
  expect([fps, frames.length, frames[0].intrinsics.height]).toEqual([30, N, 480]);
  expect(frames.map((frame) => placement(frame.camera).position[2])).toEqual([-1, -2, -3]);
  const { left, right } = frames[1].hands;
  expect(right!.mano).toMatchObject({ flat: false });
  expect(rounded(right!.mano!.pose)).toEqual(rounded(at(pose, 45, 1)));
  expect(rounded(right!.mano!.transl)).toEqual(rounded(at(place, 3, 1)));
  expect(rounded(left!.mano!.orient)).toEqual(rounded(mirrored(at(rot, 3, 1))));
  expect(rounded(left!.mano!.pose)).toEqual(rounded(mirrored(at(pose, 45, 1))));
  expect(rounded(left!.mano!.transl)).toEqual(rounded(at(place, 3, 1)));
});

test('OakInk2 and TACO: the wrist is placed, from the flat hand', async () => {
  // A quarter turn about x, then about y.
  const half = Math.SQRT1_2;
  const turns = Array.from({ length: N * 16 }, (_, i) =>
    i % 2 === 0 ? [half, half, 0, 0] : [half, 0, half, 0],
  );
  const oakink = file({
    ...camera(),
    lh__pose_coeffs: array([N, 16, 4], turns.flat()),
    lh__tsl: array([N, 3], place),
    lh__betas: array([N, 10], Array(N).fill(shape).flat()),
  });
  const [first] = (await importManoNpz(oakink, model)).frames;
  expect(first.hands.right).toBeNull();
  const { orient, pose: fingers, transl, flat } = first.hands.left!.mano!;
  expect(flat).toBe(true);
  expect(rounded(orient)).toEqual(rounded([Math.PI / 2, 0, 0]));
  expect(rounded(Array.from(fingers).slice(0, 3))).toEqual(rounded([0, -Math.PI / 2, 0]));
  // The left wrist rests mirrored: at -(0.1 + 2 x 0.01).
  expect(rounded(transl)).toEqual(rounded([place[0] + 0.12, place[1] - 0.2, place[2] - 0.3]));

  const angles = noise(48 * N);
  const taco = file({
    ...camera(),
    'right.hand_pose': array([N, 48], angles),
    'right.hand_trans': array([N, 3], place),
    'right.hand_shape': array([10], shape),
  });
  const { mano } = (await importManoNpz(taco, model)).frames[2].hands.right!;
  expect(rounded([...Array.from(mano!.orient), ...Array.from(mano!.pose)])).toEqual(
    rounded(at(angles, 48, 2)),
  );
  expect(rounded(mano!.transl)).toEqual(rounded(at(place, 3, 2).map((v, i) => v - [0.12, 0.2, 0.3][i])));
});

test('HO-Cap: right hand first, principal components, -1 where there is none', async () => {
  const poses = noise(2 * N * 51);
  poses.fill(-1, 51, 102);
  const { frames } = await importManoNpz(
    file({ ...camera(), poses_m: array([2, N, 51], poses), betas: array([10], shape) }),
    model,
  );
  expect(frames.map(({ hands }) => [hands.left !== null, hands.right !== null])).toEqual([
    [true, true],
    [true, false],
    [true, true],
  ]);
  const right = at(poses, 51, 2);
  expect(rounded(frames[2].hands.right!.mano!.pose)).toEqual(rounded(right.slice(3, 48).map((v) => 2 * v)));
  expect(rounded(frames[2].hands.right!.mano!.transl)).toEqual(rounded(right.slice(48)));
  const left = at(poses, 51, N + 2);
  expect(rounded(frames[2].hands.left!.mano!.orient)).toEqual(rounded(mirrored(left.slice(0, 3))));
  // Components of a left model are mirrored, too: the numbers stay.
  expect(rounded(frames[2].hands.left!.mano!.pose)).toEqual(rounded(left.slice(3, 48).map((v) => 2 * v)));
});

const tacoHand = () => ({
  'right.hand_pose': array([N, 48], noise(48 * N)),
  'right.hand_trans': array([N, 3], place),
  'right.hand_shape': array([10], shape),
});

test.each<[string, Record<string, ArrayToSave>, RegExp]>([
  ['no camera', tacoHand(), /hands\.npz: has no camera: add cam_intr \[3, 3\] and cam_extr/],
  [
    'a shape of another size',
    { ...camera(), ...tacoHand(), 'right.hand_shape': array([9], noise(9)) },
    /right\.hand_shape has shape \[9\], expected \[10\]/,
  ],
  [
    'hands of other lengths',
    {
      ...camera(),
      ...tacoHand(),
      'left.hand_pose': array([1, 48], noise(48)),
      'left.hand_trans': array([1, 3], [0, 0, 0]),
      'left.hand_shape': array([10], shape),
    },
    /has hands of 1 and 3 frames, expected the same/,
  ],
  [
    'a zero quaternion',
    {
      ...camera(),
      rh__pose_coeffs: array([1, 16, 4], Array(64).fill(0)),
      rh__tsl: array([1, 3], [0, 0, 0]),
      rh__betas: array([1, 10], noise(10)),
    },
    /rh__pose_coeffs\[0\]\[0\]: expected a quaternion/,
  ],
  [
    'a lens that bends the picture',
    { ...camera(), ...tacoHand(), dist8: array([8], [0.5, 0, 0, 0, 0, 0, 0, 0]) },
    /hands\.npz: dist8: its lens moves points by up to .* `ignoreDistortion`/,
  ],
  ['hands of nobody', camera(), /has hands of no known data set; it holds cam_intr, cam_extr/],
])('%s is refused', async (_, arrays, message) => {
  await expect(importManoNpz(file(arrays), model)).rejects.toThrow(message);
});
