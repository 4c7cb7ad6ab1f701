import { relativeError, seeded } from '@dwm/core-tensor/testing';
import { describe, expect, test } from 'vitest';
import { checkMano } from '../../tests/fixtures/mano.ts';
import { golden } from '../camera/testing.ts';
import { type ArrayToSave, array, fuzz, npz } from '../trajectory/testing.ts';
import {
  loadMano,
  MANO_PARENTS,
  MANO_TIPS,
  type ManoModel,
  manoToWebxr,
  pcaToPose,
  posedMano,
  vertexNormals,
} from './index.ts';

const random = seeded(5);
const noise = (count: number, size: number) => Array.from({ length: count }, () => size * (random() - 0.5));

/** Random numbers in a MANO file's shapes. Rows of weights and of the regressor add up to one. */
function madeUp(): Record<string, ArrayToSave> {
  const rows = (count: number, width: number) => {
    const all = noise(count * width, 2).map((x) => x ** 6);
    return all.map((x, i) => {
      const row = i - (i % width);
      return x / all.slice(row, row + width).reduce((sum, y) => sum + y, 0);
    });
  };
  const triangles = Array.from({ length: 3 * 40 }, () => Math.floor(random() * 778));
  return {
    v_template: array([778, 3], noise(778 * 3, 0.2)),
    shapedirs: array([778, 3, 10], noise(778 * 30, 0.02)),
    posedirs: array([778, 3, 135], noise(778 * 3 * 135, 0.01), '<f4'),
    J_regressor: array([16, 778], rows(16, 778)),
    weights: array([778, 16], rows(778, 16)),
    hands_components: array([45, 45], noise(2025, 0.5)),
    hands_mean: array([45], noise(45, 1)),
    kintree_table: array([2, 16], [4294967295, ...MANO_PARENTS.slice(1), ...Array(16).keys()], '<u4'),
    f: array([40, 3], triangles, '<i4'),
    bs_style: { descr: '<U3', shape: [], bytes: new Uint8Array(12) },
  };
}

const arrays = madeUp();
const load = (changes: Record<string, ArrayToSave> = {}, compress = false) =>
  loadMano({ name: 'MANO_RIGHT.npz', bytes: npz({ ...arrays, ...changes }, compress) });

/** Rodrigues' formula as published, R = I + sin K + (1 - cos) K^2. */
function rodrigues(v: number[]): number[] {
  const angle = Math.hypot(...v);
  const [x, y, z] = angle === 0 ? [0, 0, 0] : v.map((c) => c / angle);
  const k = [0, -z, y, z, 0, -x, -y, x, 0];
  return k.map((_, i) => {
    const [row, column] = [Math.floor(i / 3), i % 3];
    const squared = [0, 1, 2].reduce((sum, m) => sum + k[3 * row + m] * k[3 * m + column], 0);
    return (row === column ? 1 : 0) + Math.sin(angle) * k[i] + (1 - Math.cos(angle)) * squared;
  });
}

const times = (a: number[], b: number[]) =>
  a.map((_, i) => [0, 1, 2, 3].reduce((sum, k) => sum + a[i - (i % 4) + k] * b[4 * k + (i % 4)], 0));

/** SMPL's equations with 4x4 matrices and offsets between joints, for the right hand: [vertices, joints]. */
function reference(model: ManoModel, orient: number[], pose: number[], betas: number[], transl: number[]) {
  const shaped = Array.from(
    model.template,
    (x, i) => x + betas.reduce((s, b, k) => s + b * model.shapeDirections[10 * i + k], 0),
  );
  const rest = Array.from({ length: 48 }, (_, i) =>
    shaped.reduce(
      (s, x, k) =>
        k % 3 === i % 3 ? s + x * model.jointRegressor[778 * Math.floor(i / 3) + (k - (k % 3)) / 3] : s,
      0,
    ),
  );
  const turns = [orient, ...Array.from({ length: 15 }, (_, j) => pose.slice(3 * j, 3 * j + 3))].map(
    rodrigues,
  );
  const feature = turns.slice(1).flatMap((r) => r.map((x, i) => x - (i % 4 === 0 ? 1 : 0)));
  const bent = shaped.map(
    (x, i) => x + feature.reduce((s, f, k) => s + f * model.poseDirections[135 * i + k], 0),
  );
  const world: number[][] = [];
  turns.forEach((r, j) => {
    const parent = MANO_PARENTS[j];
    const offset = [0, 1, 2].map((k) => rest[3 * j + k] - (parent < 0 ? 0 : rest[3 * parent + k]));
    const local = [
      ...r.slice(0, 3),
      offset[0],
      ...r.slice(3, 6),
      offset[1],
      ...r.slice(6),
      offset[2],
      0,
      0,
      0,
      1,
    ];
    world.push(parent < 0 ? local : times(world[parent], local));
  });
  const unrest = world.map((w, j) =>
    times(w, [1, 0, 0, -rest[3 * j], 0, 1, 0, -rest[3 * j + 1], 0, 0, 1, -rest[3 * j + 2], 0, 0, 0, 1]),
  );
  const vertices = bent.map((_, i) => {
    const [v, row] = [Math.floor(i / 3), i % 3];
    const p = [bent[3 * v], bent[3 * v + 1], bent[3 * v + 2], 1];
    return unrest.reduce(
      (sum, m, j) => sum + model.weights[16 * v + j] * p.reduce((s, x, k) => s + m[4 * row + k] * x, 0),
      transl[row],
    );
  });
  return [vertices, world.flatMap((w) => [w[3] + transl[0], w[7] + transl[1], w[11] + transl[2]])];
}

describe('posed MANO', () => {
  test('equals the equations', async () => {
    const model = await load({}, true);
    for (const [size, flat] of [
      [0, true],
      [1e-7, true],
      [1, false],
      [7, true],
    ] as const) {
      const [orient, pose, betas, transl] = [noise(3, size), noise(45, size), noise(10, 4), noise(3, 2)];
      const hand = posedMano(model, { orient, pose, betas, transl, flat }, 'right');
      const total = pose.map((x, i) => x + (flat ? 0 : model.mean[i]));
      const [vertices, joints] = reference(model, orient, total, betas, transl);
      expect(relativeError(hand.vertices, vertices)).toBeLessThan(1e-7);
      expect(relativeError(hand.joints, joints)).toBeLessThan(1e-13);
      expect(
        relativeError(
          hand.keypoints.subarray(12, 15),
          vertices.slice(3 * MANO_TIPS[0], 3 * MANO_TIPS[0] + 3),
        ),
      ).toBeLessThan(1e-6);
      const matrices = [
        orient,
        ...Array.from({ length: 15 }, (_, j) => total.slice(3 * j, 3 * j + 3)),
      ].flatMap(rodrigues);
      expect(
        relativeError(posedMano(model, { rotations: matrices, betas, transl }, 'right').vertices, vertices),
      ).toBeLessThan(1e-7);
    }
  });

  test('a left hand is the mirror, moved without being mirrored', async () => {
    const model = await load();
    const params = {
      orient: noise(3, 2),
      pose: noise(45, 1),
      betas: noise(10, 2),
      transl: noise(3, 1),
      flat: true,
    };
    const right = posedMano(model, { ...params, transl: [0, 0, 0] }, 'right');
    const left = posedMano(model, params, 'left');
    const mirrored = right.vertices.map((x, i) => (i % 3 === 0 ? -x : x) + params.transl[i % 3]);
    expect(relativeError(left.vertices, mirrored)).toBeLessThan(1e-6);
    const normals = vertexNormals(right.vertices, right.indices);
    const flipped = normals.map((x, i) => (i % 3 === 0 ? -x : x));
    expect(relativeError(vertexNormals(left.vertices, left.indices), flipped)).toBeLessThan(1e-4);
  });

  test('skinning by the transforms and the pose feature gives the vertices', async () => {
    const model = await load();
    const params = {
      orient: noise(3, 2),
      pose: noise(45, 1),
      betas: noise(10, 2),
      transl: noise(3, 1),
      flat: false,
    };
    const { vertices, skinning } = posedMano(model, params, 'left');
    const skinned = Array.from({ length: 778 * 3 }, (_, i) => {
      const [v, row] = [Math.floor(i / 3), i % 3];
      const p = [0, 1, 2].map((k) => {
        const at = 3 * v + k;
        let x = model.template[at];
        for (let b = 0; b < 10; b++) x += model.shapeDirections[10 * at + b] * params.betas[b];
        for (let f = 0; f < 135; f++) x += model.poseDirections[135 * at + f] * skinning.poseFeature[f];
        return x;
      });
      let sum = 0;
      for (let j = 0; j < 16; j++) {
        const at = 16 * j + 4 * row;
        const m = skinning.transforms;
        sum += model.weights[16 * v + j] * (m[at] * p[0] + m[at + 1] * p[1] + m[at + 2] * p[2] + m[at + 3]);
      }
      return sum;
    });
    expect(relativeError(vertices, skinned)).toBeLessThan(1e-7);
  });

  test('PCA coefficients weigh rows, without the mean', async () => {
    const model = await load();
    const coefficients = noise(12, 2);
    const expected = Array.from({ length: 45 }, (_, i) =>
      coefficients.reduce((s, c, k) => s + c * model.components[45 * k + i], 0),
    );
    expect(relativeError(pcaToPose(model, coefficients), expected)).toBeLessThan(1e-14);
  });

  test('wrong lengths are refused', async () => {
    const model = await load();
    const params = {
      orient: [0, 0, 0],
      pose: noise(15, 1),
      betas: noise(10, 1),
      transl: [0, 0, 0],
      flat: true,
    };
    expect(() => posedMano(model, params, 'right')).toThrow('pose: 15 numbers, expected 45');
  });
});

test.each(['right', 'left'] as const)(
  'WebXR joints of a %s hand: -z along the bone, +y dorsal, rigid with their carriers',
  async (side) => {
    // Joints and tips of a right hand with the palm down: fingers along -x, little finger towards -z, back up.
    const model = await load();
    const knuckles: [root: number, z: number][] = [
      [1, 0.025],
      [4, 0],
      [10, -0.02],
      [7, -0.04],
    ];
    const rest: number[][] = [];
    rest[0] = [0.09, 0, 0];
    for (const [root, z] of knuckles) for (let k = 0; k < 3; k++) rest[root + k] = [-0.03 * k, 0, z];
    for (let k = 0; k < 3; k++) rest[13 + k] = [0.07 - 0.02 * k, -0.01, 0.03 + 0.02 * k];
    const template = new Float64Array(778 * 3);
    const jointRegressor = new Float64Array(16 * 778);
    const weights = new Float64Array(778 * 16);
    for (let v = 0; v < 778; v++) weights[16 * v] = 1;
    rest.forEach((joint, j) => {
      template.set(joint, 3 * j);
      jointRegressor[778 * j + j] = 1;
    });
    const ends = [15, 3, 6, 12, 9];
    MANO_TIPS.forEach((tip, finger) => {
      const [distal, before] = [rest[ends[finger]], rest[ends[finger] - 1]];
      template.set(
        distal.map((x, i) => x + (x - before[i])),
        3 * tip,
      );
      weights[16 * tip] = 0;
      weights[16 * tip + ends[finger]] = 1;
    });
    const zeros = {
      shapeDirections: model.shapeDirections.map(() => 0),
      poseDirections: model.poseDirections.map(() => 0),
    };
    const simple = { ...model, ...zeros, template, jointRegressor, weights };
    const columns = (joints: Float64Array, joint: number) => {
      const [x, y, z, w] = joints.subarray(7 * joint + 3, 7 * joint + 7);
      return {
        y: [2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)],
        forward: [-2 * (x * z + y * w), -2 * (y * z - x * w), -1 + 2 * (x * x + y * y)],
      };
    };
    const mirror = side === 'left' ? -1 : 1;
    const still = {
      orient: [0, 0, 0],
      pose: new Float64Array(45),
      betas: new Float64Array(10),
      transl: [1, 2, 3],
      flat: true,
    };
    const flat = manoToWebxr(posedMano(simple, still, side), side);
    expect(relativeError(flat.subarray(0, 3), [0.09 * mirror + 1, 2, 3])).toBeLessThan(1e-12);
    for (const joint of [0, 6, 11, 12, 13, 14, 16, 21]) {
      expect(relativeError(columns(flat, joint).y, [0, 1, 0])).toBeLessThan(1e-6);
      if (joint !== 0)
        expect(relativeError(columns(flat, joint).forward, [-mirror, 0, 0])).toBeLessThan(1e-6);
    }
    // The thumb's nail looks away from the fingers.
    expect(columns(flat, 2).y[2]).toBeGreaterThan(0.5);
    const pose = Float64Array.from(noise(45, 1.5));
    const bent = manoToWebxr(posedMano(simple, { ...still, orient: noise(3, 3), pose }, side), side);
    for (let joint = 0; joint < 25; joint++) {
      expect(Math.hypot(...bent.subarray(7 * joint + 3, 7 * joint + 7))).toBeCloseTo(1, 12);
      const isTip = [4, 9, 14, 19, 24].includes(joint);
      if (joint === 0 || isTip) continue;
      const bone = [0, 1, 2].map((k) => bent[7 * joint + 7 + k] - bent[7 * joint + k]);
      const length = Math.hypot(...bone);
      expect(
        relativeError(
          columns(bent, joint).forward,
          bone.map((x) => x / length),
        ),
      ).toBeLessThan(1e-5);
    }
  },
);

describe('MANO files', () => {
  test.each([
    ['v_template', array([777, 3], noise(2331, 1)), 'v_template has shape [777,3], expected [778,3]'],
    ['f', array([1, 3], [0, 1, 778]), 'f holds vertex 778 at 2, expected 0 to 777'],
    ['hands_mean', array([45], [Number.NaN, ...noise(44, 1)]), 'hands_mean holds NaN at 0'],
    ['kintree_table', array([2, 16], noise(32, 1)), 'kintree_table has parents'],
    ['weights', { descr: '|O', shape: [778, 16], bytes: new Uint8Array(9) }, 'Python objects'],
  ])('a wrong %s is named', async (name, wrong, message) => {
    await expect(load({ [name]: wrong })).rejects.toThrow(message);
  });

  test('a pickle is not loaded, the error carries the converter', async () => {
    for (const bytes of [Uint8Array.of(0x80, 2, 0x7d), new TextEncoder().encode('(dp1')]) {
      const error = await loadMano({ name: 'MANO_RIGHT.pkl', bytes }).catch((reason) => reason);
      expect(error.message).toMatch(/^MANO_RIGHT.pkl: is a Python pickle.*\.npz/);
      expect(error.details.converter.split('\n')).toHaveLength(5);
    }
  });

  test('damaged files end in one line', async () => {
    const errors = await fuzz(npz({ v_template: arrays.v_template, f: arrays.f }), 200, random, (bytes) =>
      loadMano({ name: 'm.npz', bytes }),
    );
    expect(errors).toBe(200);
  });
});

const { dir, missing } = golden('render_mano');
test.skipIf(missing)(`goldens of render_mano${missing ? ' (skipped, no shared data)' : ''}`, async () => {
  const checks = await checkMano(dir);
  expect(checks.length).toBeGreaterThan(100);
  expect(checks.filter(({ error, tolerance }) => !(error <= tolerance))).toEqual([]);
});
