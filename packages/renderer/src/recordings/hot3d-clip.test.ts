import { expect, test } from 'vitest';
import { fromFieldOfView, placement } from '../camera/index.ts';
import type { ManoModel } from '../mano/model.ts';
import { tar } from '../trajectory/testing.ts';
import { importHot3dClip, readHot3dObjects } from './hot3d-clip.ts';
import { recordingKind } from './kinds.ts';

/** Components of 2 each. */
const model = {
  components: Float64Array.from({ length: 45 * 45 }, (_, i) => (i % 46 === 0 ? 2 : 0)),
} as ManoModel;
const pinhole = fromFieldOfView(720, 480, 1.5);

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const hand = (first: number) => ({
  mano_pose: { thetas: [first, ...Array(14).fill(0)], wrist_xform: [0.1, 0.2, 0.3, 1, 2, 3] },
});
const frame = (i: number, hands: object | undefined) => ({
  [`00000${i}.cameras.json`]: json({
    '214-1': { T_world_from_camera: { quaternion_wxyz: [1, 0, 0, 0], translation_xyz: [i, 0, 0] } },
    '1201-1': {},
  }),
  [`00000${i}.info.json`]: json({ image_timestamps_ns: { '214-1': 1e12 + i * 33e6 } }),
  [`00000${i}.image_214-1.jpg`]: Uint8Array.of(0xff, 0xd8),
  ...(hands && { [`00000${i}.hands.json`]: json(hands) }),
});
const shapes = { '__hand_shapes.json__': json({ mano: [1, ...Array(9).fill(0)] }) };
const clip = (changes: Record<string, Uint8Array> = {}) => ({
  name: 'clip-000001.tar',
  bytes: tar({
    ...frame(0, { left: hand(1), right: hand(2) }),
    ...frame(1, undefined),
    ...shapes,
    ...changes,
  }),
});

test('cameras, times and hands of a clip; frames of a test clip have no hands', () => {
  const { name, bytes } = clip();
  expect(recordingKind(name, bytes)).toBe('hot3d-clip');
  const { fps, frames } = importHot3dClip({ name, bytes }, model, pinhole);
  expect(fps).toBeCloseTo(1 / 0.033, 9);
  expect(frames.map(({ camera }) => placement(camera).position[0])).toEqual([0, 1]);
  // World x is right in the sensor's picture, and down in the one that is turned clockwise.
  const { matrix } = frames[0].camera;
  expect([0, 1].map((column) => [0, 4, 8].map((row) => matrix[row + column] + 0))).toEqual([
    [0, -1, 0],
    [-1, 0, 0],
  ]);
  expect(frames[1].hands).toEqual({ left: null, right: null });
  const { left, right } = frames[0].hands;
  expect(right!.mano).toMatchObject({ orient: [0.1, 0.2, 0.3], transl: [1, 2, 3], flat: false });
  expect([right!.mano!.pose[0], left!.mano!.pose[0]]).toEqual([4, 2]);
  expect(left!.mano!.orient).toEqual([0.1, -0.2, -0.3]);
});

test.each<[string, Record<string, Uint8Array>, RegExp]>([
  [
    'a camera without its place',
    { '000001.cameras.json': json({ '214-1': {} }) },
    /000001\.cameras\.json\.214-1\.T_world_from_camera: missing/,
  ],
  ['hands without a shape', { '__hand_shapes.json__': json({}) }, /__hand_shapes\.json__\.mano: missing/],
  [
    'times that go back',
    { '000001.info.json': json({ image_timestamps_ns: { '214-1': 1 } }) },
    /000001\.info\.json: image_timestamps_ns: expected increasing times/,
  ],
])('%s is refused', (_, changes, message) => {
  expect(() => importHot3dClip(clip(changes), model, pinhole)).toThrow(message);
});

const instance = (object_bop_id: unknown, x: number) => ({
  object_bop_id,
  T_world_from_object: { quaternion_wxyz: [1, 0, 0, 0], translation_xyz: [x, 0, 0] },
  masks_modal: {},
});

test('objects of a clip: two of a kind, and one that is not there at first', () => {
  const { up, objects } = readHot3dObjects(
    clip({
      '000000.objects.json': json({ a: [instance(3, 1), instance(3, 2)] }),
      '000001.objects.json': json({ a: [instance('3', 3), instance(3, 2)], b: [instance(12, 5)] }),
    }),
  );
  expect(up).toBe('z');
  expect(objects.map(({ id, worlds }) => [id, ...worlds.map((world) => world?.[3] ?? null)])).toEqual([
    [3, 1, 3],
    [3, 2, 2],
    [12, null, 5],
  ]);
});

test.each<[string, object, RegExp]>([
  ['no object', {}, /clip-000001\.tar: has no objects in any NNNNNN\.objects\.json/],
  ['no list', { a: {} }, /000000\.objects\.json\.a: .*expected an array/],
  ['an id that is a path', { a: [instance('../1', 0)] }, /object_bop_id: "\.\.\/1", expected the number/],
  ['no place', { a: [{ object_bop_id: 1 }] }, /a\[0\]\.T_world_from_object: missing/],
])('objects with %s are refused', (_, objects, message) => {
  expect(() => readHot3dObjects(clip({ '000000.objects.json': json(objects) }))).toThrow(message);
});

test('a tar that is cut off, or of something else, is refused', () => {
  const { name, bytes } = clip();
  for (const size of [520, 700, 1024])
    expect(() => importHot3dClip({ name, bytes: bytes.subarray(0, size) }, model, pinhole)).toThrow(
      /clip-000001\.tar: its tar is cut off or damaged at byte \d+; fetch it again/,
    );
  expect(() => importHot3dClip({ name, bytes: tar(shapes) }, model, pinhole)).toThrow(
    'holds no NNNNNN.cameras.json',
  );
});
