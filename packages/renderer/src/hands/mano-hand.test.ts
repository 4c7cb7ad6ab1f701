import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { seeded } from '@dwm/core-tensor/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { largestDifference, readCase } from '../../tests/fixtures/compare.ts';
import { golden } from '../camera/testing.ts';
import {
  type HandSide,
  loadMano,
  type ManoModel,
  type ManoParams,
  type ManoRotations,
  pcaToPose,
  posedMano,
  vertexNormals,
} from '../mano/index.ts';
import { ManoHand } from './mano-hand.ts';

const device = await openNodeDevice();
afterAll(() => device.destroy());

const SIDES = ['left', 'right'] as const;
const METRES = 1e-6;
/** Of normals of the same vertices: those of vertices 1e-6 m away differ far more where triangles are small. */
const NORMALS = 1e-5;

async function read(hand: ManoHand) {
  const [vertices, normals] = await Promise.all(
    [hand.positions, hand.normals].map(async (buffer) => new Float32Array(await device.read(buffer))),
  );
  return { vertices, normals };
}

async function compare(model: ManoModel, side: HandSide, hand: ManoHand, params: ManoParams | ManoRotations) {
  const expected = posedMano(model, params, side);
  hand.pose(params);
  const { vertices, normals } = await read(hand);
  expect(largestDifference(vertices, expected.vertices)).toBeLessThanOrEqual(METRES);
  const straight = vertexNormals(vertices, expected.indices);
  expect(largestDifference(normals, straight)).toBeLessThanOrEqual(NORMALS);
}

describe('a made-up model', () => {
  const random = seeded(11);
  const noise = (count: number, size: number) =>
    Float64Array.from({ length: count }, () => size * (random() - 0.5));
  /** Rows of positive numbers that add up to one. */
  const shares = (rows: number, width: number) => {
    const all = Float64Array.from({ length: rows * width }, () => random() ** 6);
    for (let row = 0; row < rows; row++) {
      const part = all.subarray(row * width, (row + 1) * width);
      const sum = part.reduce((a, b) => a + b);
      part.forEach((x, i) => {
        part[i] = x / sum;
      });
    }
    return all;
  };
  // The last vertices are of no triangle; one triangle is flat.
  const triangle = () => Array.from({ length: 3 }, () => Math.floor(random() * 770));
  const indices = Uint32Array.from([...Array.from({ length: 500 }, triangle).flat(), 5, 5, 9]);
  const model: ManoModel = {
    template: noise(778 * 3, 0.2),
    shapeDirections: noise(778 * 30, 0.02),
    poseDirections: noise(778 * 3 * 135, 0.01),
    jointRegressor: shares(16, 778),
    weights: shares(778, 16),
    components: noise(2025, 0.5),
    mean: noise(45, 1),
    indices,
    leftIndices: indices.map((_, i) => indices[i % 3 === 0 ? i : i % 3 === 1 ? i + 1 : i - 1]),
  };
  const randomPose = (flat: boolean): ManoParams => ({
    orient: noise(3, 4),
    pose: noise(45, 2),
    betas: noise(10, 4),
    transl: noise(3, 6),
    flat,
  });

  test.each(SIDES)('a %s hand is the one made on the CPU, pose after pose', async (side) => {
    const hand = new ManoHand(device, model, side);
    for (const flat of [true, false, true]) await compare(model, side, hand, randomPose(flat));
    hand.destroy();
  });

  test('vertices without triangles have no normal; equal poses give equal bits', async () => {
    const hand = new ManoHand(device, model, 'right');
    const params = randomPose(true);
    hand.pose(params);
    const first = await read(hand);
    expect(first.normals.subarray(770 * 3).every((x) => x === 0)).toBe(true);
    hand.pose(randomPose(false));
    hand.pose(params);
    expect(await read(hand)).toEqual(first);
    expect(() => hand.pose({ ...params, betas: [0] })).toThrow('betas: 1 numbers, expected 10');
    hand.destroy();
  });
});

const { dir, missing } = golden('render_mano');
test.skipIf(missing)(
  `poses of render_mano on both sides${missing ? ' (skipped, no shared data)' : ''}`,
  async () => {
    const { spec, tensors } = await readCase(dir);
    const data = (name: string) => tensors.get(name)!.data;
    const file = (spec.files as string[])[0];
    const model = await loadMano({ name: file, bytes: await readFile(join(dir, file)) });
    const poses: (ManoParams | ManoRotations)[] = spec.cases.map((from: Record<string, string>) => ({
      orient: data(from.orient),
      pose: from.pca ? pcaToPose(model, data(from.pca)) : data(from.pose),
      betas: data(from.betas),
      transl: data(from.transl),
      flat: from.flat,
    }));
    poses.push({
      rotations: data('medium.rotmats'),
      betas: data('medium.betas'),
      transl: data('medium.transl'),
    });
    for (const side of SIDES) {
      const hand = new ManoHand(device, model, side);
      for (const params of poses) await compare(model, side, hand, params);
      hand.destroy();
    }
  },
);
