/**
 * The arm from wrist to shoulder: two tubes of elliptical rings that meet in round ends at the elbow, skin and over it
 * a sleeve from the shoulder on. The forearm has two joints, the hand's wrist and itself, and hands over from one to
 * the other in the first centimetres, so a bent wrist has no gap. It reaches into the hand, whose cut it hides.
 */
import type { HandSide } from '@dwm/renderer';
import type { Matrix, Primitive, Scene } from '@dwm/renderer/scene';
import { plainMaterial, plainNode } from './hand-scene.ts';

/** Lengths at rest of forearm and upper arm, metres; a pose stretches them to where elbow and shoulder are. */
const LENGTH = 0.26;
const UPPER_LENGTH = 0.3;
const SEGMENTS = 20;

/** Distance behind the wrist joint, half width and half depth of the arm, metres. */
const RINGS: readonly (readonly [number, number, number])[] = [
  [-0.004, 0.02, 0.011],
  [0.002, 0.0285, 0.0185],
  [0.014, 0.0285, 0.019],
  [0.03, 0.0285, 0.0198],
  [0.055, 0.0295, 0.0225],
  [0.09, 0.0335, 0.028],
  [0.14, 0.039, 0.0355],
  [0.19, 0.0415, 0.039],
  [0.235, 0.0395, 0.039],
  [0.26, 0.037, 0.038],
  [0.278, 0.03, 0.031],
  [0.292, 0.015, 0.016],
];

/** Distance behind the elbow, half width, half depth. */
const UPPER_RINGS: readonly (readonly [number, number, number])[] = [
  [-0.033, 0.014, 0.014],
  [-0.02, 0.029, 0.03],
  [0, 0.0365, 0.038],
  [0.06, 0.041, 0.043],
  [0.15, 0.046, 0.048],
  [0.25, 0.052, 0.054],
  [0.3, 0.05, 0.052],
  [0.34, 0.03, 0.03],
];

/** Half width and half depth at a distance behind the wrist. */
function girth(z: number): [number, number] {
  const next = Math.max(
    1,
    RINGS.findIndex(([at]) => at >= z),
  );
  const [a, b] = [RINGS[next - 1], RINGS[next]];
  const t = Math.min(1, Math.max(0, (z - a[0]) / (b[0] - a[0])));
  return [a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2])];
}

/** The elbow's share of a ring's movement: none at the wrist, all from 6 cm on. */
function elbowShare(z: number): number {
  const t = Math.min(1, Math.max(0, (z - 0.002) / 0.055));
  return t * t * (3 - 2 * t);
}

/** Joints 0 wrist, 1 forearm, 2 upper arm. */
function tube(
  rings: readonly (readonly [number, number, number])[],
  material: number,
  upper = false,
): Primitive {
  const positions: number[] = [];
  const normals: number[] = [];
  const joints: number[] = [];
  const weights: number[] = [];
  const indices: number[] = [];
  rings.forEach(([z, width, depth], r) => {
    const [before, after] = [rings[Math.max(0, r - 1)], rings[Math.min(rings.length - 1, r + 1)]];
    const length = after[0] - before[0] || 1e-6;
    const slope = (after[1] + after[2] - before[1] - before[2]) / 2 / length;
    for (let s = 0; s < SEGMENTS; s++) {
      const angle = (2 * Math.PI * s) / SEGMENTS;
      const [c, sine] = [Math.cos(angle), Math.sin(angle)];
      positions.push(width * c, depth * sine, z);
      const n = [c / width, sine / depth];
      const across = Math.hypot(...n);
      const whole = Math.hypot(1, slope);
      normals.push(n[0] / across / whole, n[1] / across / whole, -slope / whole);
      const share = upper ? 1 : elbowShare(z);
      joints.push(0, upper ? 2 : 1, 0, 0);
      weights.push(1 - share, share, 0, 0);
      if (r === 0) continue;
      const [a, b] = [(r - 1) * SEGMENTS + s, (r - 1) * SEGMENTS + ((s + 1) % SEGMENTS)];
      indices.push(a, b, b + SEGMENTS, a, b + SEGMENTS, a + SEGMENTS);
    }
  });
  // Flat ends.
  for (const [r, forward] of [
    [0, true],
    [rings.length - 1, false],
  ] as const)
    for (let s = 1; s + 1 < SEGMENTS; s++) {
      const at = r * SEGMENTS;
      indices.push(at, ...(forward ? [at + s + 1, at + s] : [at + s, at + s + 1]));
    }
  return {
    positions: Float32Array.from(positions),
    normals: Float32Array.from(normals),
    joints: Uint32Array.from(joints),
    weights: Float32Array.from(weights),
    influences: 4,
    indices: Uint32Array.from(indices),
    material,
  };
}

/** Rings of cloth over the arm from `from` metres behind the wrist on, the cuff's edge first. */
function sleeveRings(from: number): [number, number, number][] {
  const cloth = (z: number, thickness: number): [number, number, number] => {
    const [width, depth] = girth(z);
    return [z, width + thickness, depth + thickness];
  };
  const end = RINGS.at(-1)![0];
  const rings = [cloth(from, 0), cloth(from, 0.006), cloth(from + 0.006, 0.0085)];
  for (let z = from + 0.03; z < end; z += 0.035) rings.push(cloth(z, 0.007 + 0.0015 * Math.sin(z * 140)));
  const [width, depth] = girth(end);
  rings.push([end + 0.006, width, depth]);
  return rings;
}

/** Rest: the wrist at the origin, the elbow at +z; the upper arm's own frame is alike. Nodes 0 to 2 are its joints. */
export function forearmScene(
  side: HandSide,
  skin: readonly number[],
  sleeve: readonly number[],
  sleeveLength: number,
): Scene {
  const upperSleeve = UPPER_RINGS.map(([z, width, depth]) => [z, width + 0.009, depth + 0.009] as const);
  const from = LENGTH * (1 - Math.min(1, Math.max(0, sleeveLength)));
  return {
    name: `${side} forearm`,
    nodes: [
      plainNode('wrist end'),
      plainNode('elbow end'),
      plainNode('upper arm'),
      { ...plainNode(`${side} forearm`), mesh: 0, skin: 0 },
    ],
    roots: [0, 1, 2, 3],
    meshes: [
      {
        name: 'forearm',
        primitives: [
          tube(RINGS, 0),
          ...(sleeveLength > 0
            ? [tube(sleeveRings(Math.max(0.02, from)), 1), tube(upperSleeve, 1, true)]
            : [tube(UPPER_RINGS, 0, true)]),
        ],
      },
    ],
    materials: [plainMaterial('skin', skin, 0.6), plainMaterial('sleeve', sleeve, 0.9)],
    images: [],
    skins: [{ joints: [0, 1, 2], inverseBind: [identity(), identity(), identity()] }],
    lights: [],
  };
}

const identity = (): Matrix => Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);

/**
 * World matrices of the forearm and the upper arm: each at its nearer end, +z to the farther one, stretched to its
 * distance, the back of the arm as near to the back of the hand as it goes.
 * @param wrist world matrix of the wrist joint.
 */
export function armMatrices(
  wrist: Matrix,
  elbow: readonly number[],
  shoulder: readonly number[],
): [Matrix, Matrix] {
  const dorsal = [wrist[1], wrist[5], wrist[9]];
  return [
    boneMatrix([wrist[3], wrist[7], wrist[11]], elbow, dorsal, LENGTH),
    boneMatrix(elbow, shoulder, dorsal, UPPER_LENGTH),
  ];
}

function boneMatrix(
  at: readonly number[],
  end: readonly number[],
  up: readonly number[],
  rest: number,
): Matrix {
  const along = end.map((value, axis) => value - at[axis]);
  const length = Math.hypot(...along);
  const z = length > 1e-6 ? along.map((value) => value / length) : [0, 0, 1];
  const lean = up[0] * z[0] + up[1] * z[1] + up[2] * z[2];
  const raw = up.map((value, axis) => value - lean * z[axis]);
  const size = Math.hypot(...raw) || 1;
  const y = raw.map((value) => value / size);
  const x = [y[1] * z[2] - y[2] * z[1], y[2] * z[0] - y[0] * z[2], y[0] * z[1] - y[1] * z[0]];
  const stretch = Math.max(0.3, length / rest);
  return Float64Array.of(
    ...[0, 1, 2].flatMap((row) => [x[row], y[row], z[row] * stretch, at[row]]),
    ...[0, 0, 0, 1],
  );
}
