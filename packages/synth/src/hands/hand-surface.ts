/**
 * A hand's surface from its skeleton: tapered capsules around the bones, melted together. Phalanges melt into their
 * own finger and the palm but hardly into the next finger; metacarpals, the ball of the thumb and the edge of the
 * hand melt into one palm. Behind the wrist the hand is cut off flat, as the hand videos of the original have it.
 *
 * Skinning goes by distance: a vertex follows the bones near it, of its own finger or of the palm, with weights
 * that fall off exponentially, and never another finger.
 */
import { jointPosition, type Point, REST_JOINTS, REST_RADII } from './rest-pose.ts';
import { gradient, type Surface, surfaceNets } from './surface-nets.ts';

export const INFLUENCES = 4;

interface HandSurface extends Surface {
  /** [vertices, 4]: WebXR joint numbers and their shares. */
  readonly joints: Uint32Array;
  readonly weights: Float32Array;
  /** [vertices, 4]: factors of the skin's colour, pale nails, a redder palm. */
  readonly colors: Float32Array;
}

/** A tapered capsule that moves with `joint`; chain -1 is the palm, 0 to 4 are the thumb and the fingers. */
interface Bone {
  readonly joint: number;
  readonly chain: number;
  readonly from: Point;
  readonly to: Point;
  readonly radii: readonly [number, number];
}

const CELL = 0.006;
/** How far behind the wrist joint the hand is cut off, metres. */
const CUT = 0.014;
/** Widths of melting: within a finger, into the palm, between fingers, of the palm, metres. */
const [KNUCKLE, ROOT, WEB, PALM] = [0.004, 0.009, 0.0015, 0.014];
/** How quickly a bone's influence falls off with distance: phalanges, palm, metres. */
const [FINGER_FALLOFF, PALM_FALLOFF] = [0.0028, 0.008];

function handBones(): Bone[] {
  const at = (joint: number) => jointPosition(REST_JOINTS[joint]);
  const bones: Bone[] = [];
  const add = (joint: number, chain: number, from: Point, to: Point, ...radii: [number, number]) =>
    bones.push({ joint, chain, from, to, radii });
  for (let chain = 0; chain < 5; chain++) {
    const first = chain === 0 ? 1 : 5 * chain;
    const end = 5 * chain + 4;
    for (let joint = first; joint < end; joint++) {
      const palm = joint === first;
      // Radii of metacarpals are the palm's depth; the bones alone would make a hand of sausages.
      const radius = palm ? (chain === 0 ? 0.0165 : 0.0135) : REST_RADII[joint];
      add(joint, palm ? -1 : chain, at(joint), at(joint + 1), radius, REST_RADII[joint + 1]);
    }
  }
  for (const x of [-0.0115, 0.0115]) add(0, -1, [x, 0, 0.03], [x * 0.9, 0, -0.03], 0.0185, 0.0165);
  // The ball of the thumb and the edge of the hand.
  add(1, -1, [-0.012, -0.009, -0.02], [-0.037, -0.014, -0.056], 0.0165, 0.0125);
  add(20, -1, [0.018, -0.007, -0.022], [0.031, -0.009, -0.062], 0.0155, 0.0125);
  return bones;
}

/** Share of the way along the bone that is nearest to the point, and the distance to the bone's axis. */
function nearest({ from, to }: Bone, x: number, y: number, z: number): [number, number] {
  const [bx, by, bz] = [to[0] - from[0], to[1] - from[1], to[2] - from[2]];
  const [px, py, pz] = [x - from[0], y - from[1], z - from[2]];
  const t = Math.min(1, Math.max(0, (px * bx + py * by + pz * bz) / (bx * bx + by * by + bz * bz)));
  return [t, Math.hypot(px - t * bx, py - t * by, pz - t * bz)];
}

function capsule(bone: Bone, x: number, y: number, z: number): number {
  const [t, distance] = nearest(bone, x, y, z);
  return distance - (bone.radii[0] * (1 - t) + bone.radii[1] * t);
}

/** Polynomial smooth minimum (Quilez): differs from the minimum where a and b are within `k`. */
function melt(a: number, b: number, k: number): number {
  const h = Math.max(k - Math.abs(a - b), 0) / k;
  return Math.min(a, b) - (h * h * k) / 4;
}

/** A right hand at rest; the same for every clip of a process. */
export function handSurface(): HandSurface {
  known ??= makeSurface();
  return known;
}

let known: HandSurface | undefined;

function makeSurface(): HandSurface {
  const bones = handBones();
  const palm = bones.filter(({ chain }) => chain < 0);
  const chains = [0, 1, 2, 3, 4].map((chain) => bones.filter((bone) => bone.chain === chain));
  const field = (x: number, y: number, z: number) => {
    const whole = (list: readonly Bone[], k: number) =>
      list.reduce((d, bone) => melt(d, capsule(bone, x, y, z), k), 1);
    const body = whole(palm, PALM);
    const fingers = chains.map((chain) => whole(chain, KNUCKLE)).reduce((a, b) => melt(a, b, WEB));
    return -melt(-melt(fingers, body, ROOT), CUT - z, 0.006);
  };
  const points = bones.flatMap(({ from, to }) => [from, to]);
  const corner = (pick: (...values: number[]) => number, margin: number) =>
    [0, 1, 2].map((axis) => pick(...points.map((p) => p[axis])) + margin);
  const surface = surfaceNets(field, corner(Math.min, -0.03), corner(Math.max, 0.03), CELL);

  const count = surface.positions.length / 3;
  const joints = new Uint32Array(count * INFLUENCES);
  const weights = new Float32Array(count * INFLUENCES);
  const colors = new Float32Array(count * 4);
  for (let v = 0; v < count; v++) {
    const [x, y, z] = surface.positions.subarray(3 * v, 3 * v + 3);
    const shares = jointShares(bones, x, y, z);
    shares.forEach(([joint, share], i) => {
      joints[INFLUENCES * v + i] = joint;
      weights[INFLUENCES * v + i] = share;
    });
    const normal = gradient(field, x, y, z);
    colors.set([...tint(shares[0][0], [x, y, z], normal), 1], 4 * v);
  }
  return { ...surface, joints, weights, colors };
}

/** At most four joints with shares that sum to one, the largest first. */
function jointShares(bones: readonly Bone[], x: number, y: number, z: number): [number, number][] {
  const own = bones.reduce(
    (best, bone) => {
      const distance = capsule(bone, x, y, z);
      return distance < best.distance ? { bone, distance } : best;
    },
    { bone: bones[0], distance: Infinity },
  ).bone;
  const candidates = bones.filter(({ chain }) => chain < 0 || own.chain < 0 || chain === own.chain);
  const distances = candidates.map((bone) => Math.max(0, capsule(bone, x, y, z)));
  const falloff = own.chain < 0 ? PALM_FALLOFF : FINGER_FALLOFF;
  const least = Math.min(...distances);
  const shares = new Map<number, number>();
  candidates.forEach(({ joint }, i) => {
    const share = Math.exp((least - distances[i]) / falloff);
    shares.set(joint, Math.max(share, shares.get(joint) ?? 0));
  });
  const largest = [...shares].sort((a, b) => b[1] - a[1]).slice(0, INFLUENCES);
  const sum = largest.reduce((total, [, share]) => total + share, 0);
  return largest.map(([joint, share]) => [joint, share / sum]);
}

const TIP_BONES = [3, 8, 13, 18, 23];

function tint(joint: number, at: Point, normal: readonly number[]): Point {
  const frame = REST_JOINTS[joint];
  const dorsal = normal[0] * frame[1] + normal[1] * frame[5] + normal[2] * frame[9];
  if (TIP_BONES.includes(joint)) {
    const along = -[0, 1, 2].reduce(
      (sum, axis) => sum + (at[axis] - frame[4 * axis + 3]) * frame[4 * axis + 2],
      0,
    );
    if (dorsal > 0.55 && along > 0.008) return [1.14, 1.08, 1.1];
    return [1.04, 0.93, 0.92];
  }
  return dorsal < -0.2 ? [1.06, 0.95, 0.92] : [1, 1, 1];
}
