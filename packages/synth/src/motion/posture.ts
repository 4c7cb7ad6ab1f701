/**
 * What fingers do to hold things: for every posture an open and a closed end, and a closure between them a finger, found
 * by closing until the finger touches.
 */
import { rotations, type Vec3 } from '@dwm/renderer';
import { distanceTo, IN_PLACE, type Placement, type Solid } from '../world/solid.ts';
import type { PostureName } from '../world/world.ts';
import {
  FINGER_JOINTS,
  type FingerAngles,
  type HandAngles,
  type HandModel,
  jointAt,
  poseSkeleton,
} from './skeleton.ts';

/** Thumb, index, middle, ring, little finger: 0 open, 1 closed. */
export type Closure = readonly [number, number, number, number, number];

/** An open hand: no finger is closed. */
export const OPEN: Closure = [0, 0, 0, 0, 0];

type ThumbAngles = HandAngles['thumb'];

interface Posture {
  readonly open: HandAngles;
  readonly closed: HandAngles;
}

const degrees = (value: number) => (value * Math.PI) / 180;
const finger = (knuckle: number, middle: number, end: number): FingerAngles => ({
  knuckle: degrees(knuckle),
  middle: degrees(middle),
  end: degrees(end),
});
const thumb = (opposition: number, middle: number, end: number): ThumbAngles => ({
  opposition,
  middle: degrees(middle),
  end: degrees(end),
});
/** Four alike, bent a little more from finger to finger. */
const alike = (knuckle: number, middle: number, end: number): FingerAngles[] =>
  [0, 1, 2, 3].map((i) => finger(knuckle + i, middle + i, end));

const RELAXED: HandAngles = { thumb: thumb(0.35, 12, 15), fingers: alike(16, 26, 14) };

/** Angles of every posture, open and closed. */
export const HAND_POSTURES: Readonly<Record<PostureName, Posture>> = {
  hook: {
    open: { thumb: thumb(0.3, 5, 5), fingers: alike(2, 34, 12) },
    closed: { thumb: thumb(0.75, 40, 45), fingers: alike(62, 98, 50) },
  },
  pinch: {
    open: {
      thumb: thumb(0.45, -8, 0),
      fingers: alike(8, 48, 26),
    },
    closed: {
      thumb: thumb(1, 30, 40),
      fingers: [finger(66, 58, 30), finger(68, 58, 30), finger(76, 70, 40), finger(80, 80, 45)],
    },
  },
  wrap: {
    open: { thumb: thumb(-0.35, 0, 0), fingers: alike(-10, 8, 3) },
    closed: { thumb: thumb(0.95, 45, 55), fingers: alike(78, 85, 50) },
  },
  flat: {
    open: { thumb: thumb(0.1, 5, 5), fingers: alike(4, 6, 3) },
    closed: { thumb: thumb(0.15, 15, 15), fingers: alike(20, 16, 8) },
  },
  point: {
    open: { thumb: thumb(0.7, 25, 25), fingers: [finger(6, 10, 5), ...alike(68, 80, 40).slice(1)] },
    closed: { thumb: thumb(0.8, 35, 35), fingers: [finger(16, 16, 8), ...alike(74, 88, 45).slice(1)] },
  },
  relaxed: { open: RELAXED, closed: { thumb: thumb(0.5, 20, 25), fingers: alike(30, 45, 25) } },
};

const mix = (a: number, b: number, t: number) => a + (b - a) * t;

/** Angles between two postures, each finger by its own closure. */
export function mixAngles(a: HandAngles, b: HandAngles, closure: Closure): HandAngles {
  return {
    thumb: {
      opposition: mix(a.thumb.opposition, b.thumb.opposition, closure[0]),
      middle: mix(a.thumb.middle, b.thumb.middle, closure[0]),
      end: mix(a.thumb.end, b.thumb.end, closure[0]),
    },
    fingers: a.fingers.map((from, i) => ({
      knuckle: mix(from.knuckle, b.fingers[i].knuckle, closure[i + 1]),
      middle: mix(from.middle, b.fingers[i].middle, closure[i + 1]),
      end: mix(from.end, b.fingers[i].end, closure[i + 1]),
    })),
  };
}

/** Angles of a posture, as far closed as `closure` says. */
export const angles = (posture: PostureName, closure: Closure): HandAngles =>
  mixAngles(HAND_POSTURES[posture].open, HAND_POSTURES[posture].closed, closure);

/**
 * Where in the wrist's frame (right hand) a thing of half thickness `radius` lies when the posture holds it: between
 * thumb and fingertips, against the palm, behind the bent fingers, before the fingertips.
 */
export function holdPoint(posture: PostureName, radius: number): Vec3 {
  switch (posture) {
    case 'hook':
      return [0.004, -0.036 - 0.5 * radius, -0.108];
    case 'pinch':
      return betweenTips(radius);
    case 'wrap':
      return [0.002, -0.022 - radius, -0.09 - 0.3 * radius];
    case 'flat':
      return [0.002, -0.018, -0.105];
    case 'point':
      return [-0.022, -0.022, -0.178];
    case 'relaxed':
      return [0, -0.03, -0.13];
  }
}

/** The middle between the tips of thumb and first two fingers when they are as far apart as what is between them is thick. */
function betweenTips(radius: number): Vec3 {
  const model: HandModel = { side: 'right', size: 1 };
  for (let step = 0; ; step++) {
    const closure = step / 24;
    const { joints, radii } = poseSkeleton(
      model,
      IN_PLACE,
      angles('pinch', [closure, closure, closure, closure, closure]),
    );
    const opposite = rotations.lerp(jointAt(joints, 9), jointAt(joints, 14), 0.5);
    const tip = jointAt(joints, 4);
    const gap = rotations.length(rotations.subtract(tip, opposite)) - radii[4] - radii[9];
    if (gap <= 2 * radius || step === 24) return rotations.lerp(tip, opposite, 0.5);
  }
}

/** Closes every finger until it touches the solids, or to its end. */
export function closeUntilContact(
  model: HandModel,
  wrist: Placement,
  posture: PostureName,
  solids: readonly Solid[],
  body: Placement,
): Closure {
  const steps = 24;
  const found: number[] = FINGER_JOINTS.map(() => 1);
  const pending = new Set(FINGER_JOINTS.keys());
  for (let step = 0; step <= steps && pending.size > 0; step++) {
    const closure = step / steps;
    const all: Closure = [closure, closure, closure, closure, closure];
    const { joints, radii } = poseSkeleton(model, wrist, angles(posture, all));
    for (const number of [...pending]) {
      const chain = FINGER_JOINTS[number];
      // Joints and the middles between them, without the knuckle, which does not move.
      const touches = chain.slice(1).some((joint, i) => {
        const [end, start] = [jointAt(joints, joint), jointAt(joints, chain[i])];
        const reach = (point: Vec3) => distanceTo(solids, body, point) < radii[joint] + 0.001;
        return reach(end) || reach(rotations.lerp(start, end, 0.5));
      });
      if (!touches) continue;
      found[number] = closure;
      pending.delete(number);
    }
  }
  return found as unknown as Closure;
}
