import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { relativeError, seeded } from '@dwm/core-tensor/testing';
import h5wasm from 'h5wasm/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fromAxisAngle, type Vec3 } from '../camera/index.ts';
import { rigidMatrix } from '../camera/pose.ts';
import { EGODEX_JOINTS } from '../recordings/egodex.ts';
import { importEgodex, LANDMARK_JOINTS } from '../recordings/index.ts';
import { SIDES } from '../trajectory/index.ts';
import { fuzz } from '../trajectory/testing.ts';
import { readEgodexFile } from './egodex-file.ts';

const FRAMES = 3;
const random = seeded(29);
const vec = (size: number) => [0, 0, 0].map(() => size * (2 * random() - 1)) as unknown as Vec3;

/** A flat hand, palm down, fingers along -z, [25, 7]: 2 cm a bone. */
const rest = Float64Array.from({ length: 25 }, (_, joint) => joint).reduce((joints, _, joint) => {
  const [finger, bone] =
    joint === 0 ? [2, 0] : joint < 5 ? [0, joint] : [Math.floor((joint - 5) / 5) + 1, ((joint - 5) % 5) + 1];
  joints.set([0.02 * (finger - 2), joint === 0 ? 0 : 0.001 * finger, -0.02 * bone, 0, 0, 0, 1], 7 * joint);
  return joints;
}, new Float64Array(175));
const hands = { left: rest, right: rest };

/** Where frame `i` carries the hand of a side. */
const places = [...Array(FRAMES)].map(() => rigidMatrix(vec(0.5), fromAxisAngle(vec(1))));
const cameras = [...Array(FRAMES)].map(() => rigidMatrix(vec(1), fromAxisAngle(vec(2))));

function carried(matrix: Float64Array, joint: number): number[] {
  const [x, y, z] = rest.subarray(7 * joint, 7 * joint + 3);
  return [0, 4, 8].map(
    (row) => matrix[row] * x + matrix[row + 1] * y + matrix[row + 2] * z + matrix[row + 3],
  );
}

let folder: string;
beforeAll(async () => {
  await h5wasm.ready;
  folder = await mkdtemp(join(tmpdir(), 'dwm-egodex-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** An episode laid out as published; without the dataset `left out`. */
function write(name: string, leftOut?: string): string {
  const path = join(folder, name);
  const file = new h5wasm.File(path, 'w');
  const put = (field: string, shape: number[], data: number[]) => {
    if (field === leftOut) return;
    const [group, key] = field.split('/');
    const parent = (file.get(group) ?? file.create_group(group)) as InstanceType<typeof h5wasm.Group>;
    parent.create_dataset({ name: key, data: Float32Array.from(data), shape });
  };
  put('camera/intrinsic', [3, 3], [736.5, 0, 960, 0, 736.25, 540, 0, 0, 1]);
  put(
    'transforms/camera',
    [FRAMES, 4, 4],
    cameras.flatMap((matrix) => [...matrix]),
  );
  for (const side of SIDES)
    for (const [i, joint] of EGODEX_JOINTS.entries()) {
      const at = (matrix: Float64Array) => {
        const [x, y, z] = carried(matrix, LANDMARK_JOINTS[i]);
        return [1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, z, 0, 0, 0, 1];
      };
      put(`transforms/${side}${joint}`, [FRAMES, 4, 4], places.flatMap(at));
      // The left hand is lost in the last frame.
      put(`confidences/${side}${joint}`, [FRAMES], [1, 0.9, side === 'left' ? 0.1 : 0.8]);
    }
  file.close();
  return path;
}

test('gives cameras, hands where they were tracked, and the size of the picture', async () => {
  const { fps, frames } = importEgodex(await readEgodexFile(write('episode.hdf5')), hands);
  expect(fps).toBe(30);
  expect(frames.map(({ seconds }) => seconds)).toEqual([0, 1 / 30, 2 / 30]);
  expect(frames[0].intrinsics).toEqual({
    fx: 736.5,
    fy: 736.25,
    cx: 960,
    cy: 540,
    width: 1920,
    height: 1080,
  });
  expect(frames.map(({ hands: { left, right } }) => [left !== null, right !== null])).toEqual([
    [true, true],
    [true, true],
    [false, true],
  ]);
  for (const [i, frame] of frames.entries()) {
    // OpenCV's y and z point the other way.
    const expected = cameras[i].map((value, at) => (at % 4 === 1 || at % 4 === 2 ? -value : value));
    expect(relativeError(frame.camera.matrix, expected)).toBeLessThan(1e-6);
    const points = LANDMARK_JOINTS.flatMap((joint) => [
      ...frame.hands.right!.joints!.subarray(7 * joint, 7 * joint + 3),
    ]);
    const true21 = LANDMARK_JOINTS.flatMap((joint) => carried(places[i], joint));
    expect(relativeError(points, true21)).toBeLessThan(1e-5);
  }
});

test.each([
  ['is no HDF5', 'content', 'text.hdf5', undefined],
  [
    'has no camera',
    'transforms/camera: missing, expected numbers [frames, 4, 4]',
    'a.hdf5',
    'transforms/camera',
  ],
  [
    'lacks a joint',
    'transforms/rightThumbTip: missing, expected numbers [3, 4, 4]',
    'b.hdf5',
    'transforms/rightThumbTip',
  ],
  ['lacks a confidence', 'confidences/leftHand: missing', 'c.hdf5', 'confidences/leftHand'],
])('a file that %s says so', async (_, message, name, missing) => {
  const path = missing === undefined ? join(folder, name) : write(name, missing);
  if (missing === undefined) await writeFile(path, '\x89HDF\r\n\x1a\n and no more');
  await expect(readEgodexFile(path)).rejects.toThrow(message);
});

test('joints that are no numbers, or all in one place, are named', async () => {
  const episode = await readEgodexFile(write('good.hdf5'));
  const joints = episode.hands.right.joints.map((values) => Float64Array.from(values));
  joints[4][16 + 3] = Number.NaN;
  expect(() => importEgodex({ ...episode, hands: { ...episode.hands, right: { joints } } }, hands)).toThrow(
    'good.hdf5: transforms/rightThumbTip[1]: expected a 4x4 matrix of finite numbers',
  );
  const flat = joints.map((values) => values.map((value, i) => (i % 4 === 3 && i % 16 < 12 ? 0.5 : value)));
  expect(() =>
    importEgodex({ ...episode, hands: { ...episode.hands, right: { joints: flat } } }, hands),
  ).toThrow('transforms/rightHand[0]: expected 21 joints of a hand');
});

test('damaged files give a trajectory or one line', async () => {
  const bytes = await readFile(write('whole.hdf5'));
  const path = join(folder, 'damaged.hdf5');
  const errors = await fuzz(bytes, 200, random, async (copy) => {
    await writeFile(path, copy);
    importEgodex(await readEgodexFile(path), hands);
  });
  expect(errors).toBeGreaterThan(20);
});
