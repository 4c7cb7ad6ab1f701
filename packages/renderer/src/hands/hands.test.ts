import { openNodeDevice } from '@dwm/core-tensor/node';
import { expect, test } from 'vitest';
import { cameraToWorld } from '../camera/index.ts';
import { readColor, readFrame } from '../gpu/frame-tensors.ts';
import { RenderTarget } from '../gpu/render-target.ts';
import type { View } from '../gpu/view.ts';
import { readDefaultHand } from '../node/default-hands.ts';
import { HAND_COLORS, type HandPair, HandRenderer } from './hand-renderer.ts';
import { shapeJoints } from './hand-shape.ts';
import { RiggedHand } from './rigged-hand.ts';

const device = await openNodeDevice();
const renderer = new HandRenderer(device);
const scene = await readDefaultHand('right');
const hand = new RiggedHand(device, scene);
const rest = hand.restJoints();

/** 0.35 m above, looking down, -z up in the picture. */
const above: View = {
  intrinsics: { width: 181, height: 121, fx: 200, fy: 210, cx: 90, cy: 60 },
  pose: cameraToWorld('opengl', [1, 0, 0, 0, 0, 0, 1, 0.35, 0, -1, 0, -0.08, 0, 0, 0, 1]),
};

/** The file's pose with fingers along -z and the palm down: turned so that the wrist's axes are the world's. */
function posed(): Float64Array {
  const [x, y, z, w] = [...rest.subarray(3, 7)];
  const joints = rest.slice();
  const turn = (v: readonly number[]) => {
    // q* v q for the wrist's q.
    const t = [2 * (z * v[1] - y * v[2]), 2 * (x * v[2] - z * v[0]), 2 * (y * v[0] - x * v[1])];
    return [
      v[0] + w * t[0] + (z * t[1] - y * t[2]),
      v[1] + w * t[1] + (x * t[2] - z * t[0]),
      v[2] + w * t[2] + (y * t[0] - x * t[1]),
    ];
  };
  for (let j = 0; j < 25; j++) {
    joints.set(turn([0, 1, 2].map((i) => rest[j * 7 + i] - rest[i])), j * 7);
    const [a, b, c, d] = [...rest.subarray(j * 7 + 3, j * 7 + 7)];
    const [p, q, r] = [-x, -y, -z];
    joints.set(
      [
        w * a + d * p + (q * c - r * b),
        w * b + d * q + (r * a - p * c),
        w * c + d * r + (p * b - q * a),
        w * d - p * a - q * b - r * c,
      ],
      j * 7 + 3,
    );
  }
  return joints;
}

async function picture(hands: HandPair, samples: 1 | 4 = 1) {
  const target = new RenderTarget(device, 181, 121, { samples });
  renderer.draw(hands, above, target);
  const rgb = await readColor(device, target.color);
  target.destroy();
  return rgb;
}

/** Pixel of a world point seen from `above`. */
function project([x, y, z]: ArrayLike<number> & Iterable<number>): [number, number] {
  const depth = 0.35 - y;
  return [Math.floor((200 * x) / depth + 90), Math.floor((210 * (z + 0.08)) / depth + 60)];
}

test('joints project into the hand, and it is coral', async () => {
  hand.pose(posed());
  const rgb = await picture({ right: hand });
  const joints = posed();
  for (let j = 0; j < 25; j++) {
    // The skin ends at the tips.
    if (j === 4 || (j > 5 && j % 5 === 4)) continue;
    const [x, y] = project(joints.subarray(j * 7, j * 7 + 3));
    const [r, g, b] = rgb.subarray((y * 181 + x) * 3);
    expect(r, `joint ${j} at ${x}, ${y}`).toBeGreaterThan(100);
    expect(Math.abs(g - b)).toBeLessThanOrEqual(1);
    expect(g / r).toBeCloseTo(0.5, 1);
  }
});

test('bytes are the formula, cut off', async () => {
  hand.pose(posed());
  const { hand: which, shade } = await renderer.measure({ left: hand }, above);
  const rgb = await picture({ left: hand });
  let shown = 0;
  which.forEach((number, p) => {
    const want = HAND_COLORS.left.map((base) =>
      number ? Math.floor(255 * Math.min(1, base * shade[p]) + 1e-4) : 0,
    );
    want.forEach((value, c) => {
      expect(Math.abs(rgb[p * 3 + c] - value)).toBeLessThanOrEqual(1);
    });
    shown += number;
  });
  expect(shown).toBeGreaterThan(1000);
  expect(Math.min(...shade.filter((_, p) => which[p] > 0))).toBeGreaterThanOrEqual(0.7 - 1e-6);
  expect(Math.max(...shade)).toBeGreaterThan(1.29);
});

test('the nearer hand hides the other; a missing one leaves black', async () => {
  const other = new RiggedHand(device, scene);
  const lifted = posed();
  for (let j = 0; j < 25; j++) lifted[j * 7 + 1] += 0.1;
  hand.pose(posed());
  other.pose(lifted);
  const { hand: which } = await renderer.measure({ left: other, right: hand }, above);
  const [x, y] = project(lifted.subarray(11 * 7, 11 * 7 + 3));
  expect(which[y * 181 + x]).toBe(1);
  expect(which.includes(2)).toBe(true);
  expect((await picture({ left: null })).every((byte) => byte === 0)).toBe(true);
  other.destroy();
});

test('smooth edges are an option; without it every pixel is hand or black', async () => {
  hand.pose(posed());
  const [hard, soft] = [await picture({ right: hand }), await picture({ right: hand }, 4)];
  const between = (rgb: Uint8Array) =>
    rgb.filter((value, i) => i % 3 === 0 && value > 0 && value < 142).length;
  expect(between(hard)).toBe(0);
  expect(between(soft)).toBeGreaterThan(50);
});

test('shapes move joints and skin together', async () => {
  const shape = { size: 0.8, fingerLengths: { index: 1.5 }, thickness: 0.7 };
  const joints = posed();
  const shaped = shapeJoints(joints, shape);
  const bone = (of: Float64Array, a: number, b: number) =>
    Math.hypot(...[0, 1, 2].map((i) => of[a * 7 + i] - of[b * 7 + i]));
  expect(bone(shaped, 6, 7) / bone(joints, 6, 7)).toBeCloseTo(1.2, 9);
  expect(bone(shaped, 5, 6) / bone(joints, 5, 6)).toBeCloseTo(0.8, 9);
  expect(bone(shaped, 11, 12) / bone(joints, 11, 12)).toBeCloseTo(0.8, 9);
  expect([...shapeJoints(joints, {})]).toEqual([...joints]);

  const reach = async (of: Float64Array, by: Parameters<RiggedHand['pose']>[1]) => {
    hand.pose(of, by);
    const vertices = new Float32Array(await device.read(hand.parts[0].vertices.positions));
    const tip = of.subarray(9 * 7, 9 * 7 + 3);
    let nearest = Infinity;
    for (let i = 0; i < vertices.length; i += 3) {
      nearest = Math.min(nearest, Math.hypot(...[0, 1, 2].map((k) => vertices[i + k] - tip[k])));
    }
    return nearest;
  };
  expect(await reach(joints, {})).toBeLessThan(0.015);
  expect(await reach(shaped, shape)).toBeLessThan(0.015);
  expect(() => hand.pose(joints, { size: 0 })).toThrow('size: expected a factor');
});

test('wrong joints are named', () => {
  const joints = posed();
  joints[3 * 7] = Number.NaN;
  expect(() => hand.pose(joints)).toThrow('thumb-phalanx-distal has the number NaN');
  expect(() => hand.pose(new Float64Array(5))).toThrow('expected 25 of 7 numbers, got 5');
  const nameless = { ...scene, nodes: scene.nodes.map((node) => ({ ...node, name: `bone ${node.name}` })) };
  expect(() => new RiggedHand(device, nameless)).toThrow('its skin lacks the joints wrist, thumb-metacarpal');
});

test('depth of a hand is read like that of a scene', async () => {
  hand.pose(posed());
  const target = new RenderTarget(device, 181, 121);
  renderer.draw({ right: hand }, above, target);
  const depth = await readFrame(device, target.depth, 'depth');
  const [x, y] = project(posed().subarray(11 * 7, 11 * 7 + 3));
  expect(depth[y * 181 + x]).toBeGreaterThan(0.3);
  expect(depth[y * 181 + x]).toBeLessThan(0.35);
  target.destroy();
});
