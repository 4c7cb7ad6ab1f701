/**
 * When a hand holds a thing: it touches it on sides that face apart, or hangs on it with bent fingers, or two hands press
 * it from both sides. What is held goes with the hand until the hand opens.
 */
import { type HandSide, rotations, SIDES, type Vec3 } from '@dwm/renderer';
import { jointAt, wristOf } from '../motion/skeleton.ts';
import { distanceTo, halfExtents, normalTo, type Placement, unplacePoint } from '../world/solid.ts';
import { type Body, isJoint } from '../world/world.ts';
import { bendOf, type HandPoint, handPoints } from './hand-body.ts';

/** Metres between skin and surface that still count as touch, when closing and when letting go. */
export const TOUCH = 0.008;
const LET_GO = 0.018;
/** Radians from which on a finger is a hook, and from which on it is not flat. */
const BENT = 1;
const CURVED = 0.3;

export class HandNow {
  readonly joints: Float64Array;
  readonly #radii: Float64Array;
  #points?: readonly HandPoint[];

  constructor(joints: Float64Array, radii: Float64Array) {
    this.joints = joints;
    this.#radii = radii;
  }

  get points(): readonly HandPoint[] {
    this.#points ??= handPoints(this.joints, this.#radii);
    return this.#points;
  }
}

interface Touch {
  readonly point: Vec3;
  readonly normal: Vec3;
  readonly finger: number;
}

/** Longer than any hand, metres. */
const HAND_LENGTH = 0.28;
const extents = new WeakMap<Body, number>();

/** Radius of the ball around a body's origin that holds all of it. */
function extent(body: Body): number {
  let radius = extents.get(body);
  if (radius === undefined) {
    radius = Math.max(
      0,
      ...body.solids.map(
        ({ shape, position }) => rotations.length(position) + rotations.length(halfExtents(shape)),
      ),
    );
    extents.set(body, radius);
  }
  return radius;
}

/** Where a hand is on a body, within `reach` metres of its skin. */
export function touches({ joints, points }: HandNow, body: Body, place: Placement, reach: number): Touch[] {
  const away = rotations.length(rotations.subtract(jointAt(joints, 0), place.position));
  if (away > HAND_LENGTH + extent(body)) return [];
  return points.flatMap(({ point, radius, finger }) =>
    distanceTo(body.solids, place, point) < radius + reach
      ? [{ point, normal: normalTo(body.solids, place, point), finger }]
      : [],
  );
}

/** Cosine between the surface normals that are furthest apart. */
function widest(a: readonly Touch[], b: readonly Touch[]): number {
  let least = 1;
  for (const one of a)
    for (const other of b) least = Math.min(least, rotations.dot(one.normal, other.normal));
  return least;
}

/** The hands that hold a body together: none, one, or both. */
export function holders(
  hands: Readonly<Partial<Record<HandSide, HandNow>>>,
  body: Body,
  place: Placement,
  held: boolean,
): HandSide[] {
  const reach = held ? LET_GO : TOUCH;
  const sides = SIDES.filter((side) => hands[side]);
  const all = sides.map((side) => touches(hands[side]!, body, place, reach));
  const alone = sides.filter((side, i) => {
    const { joints } = hands[side]!;
    const bent = (finger: number, enough: number) => bendOf(joints, finger) > enough;
    if (isJoint(body.motion)) {
      // A handle hangs on bent fingers, whatever is on its other side.
      const holding = all[i].filter(({ finger }) => finger < 1 || bent(finger, BENT));
      return holding.some(({ finger }) => finger > 0) && widest(holding, holding) < 0.2;
    }
    const thumb = all[i].filter(({ finger }) => finger < 1);
    const fingers = all[i].filter(({ finger }) => finger > 0 && bent(finger, CURVED));
    return widest(thumb, fingers) < (held ? 0 : -0.4);
  });
  if (alone.length > 0) return alone.slice(0, 1);
  return sides.length === 2 && widest(all[0], all[1]) < -0.7 ? [...sides] : [];
}

/** The frame that a held body rides on: the wrist's, or the one between two wrists. */
export function carrier(
  hands: Readonly<Partial<Record<HandSide, HandNow>>>,
  sides: readonly HandSide[],
): Placement {
  const [first, second] = sides.map((side) => wristOf(hands[side]!.joints));
  if (!second) return first;
  const { direction, lerp, subtract } = rotations;
  const across = direction(subtract(second.position, first.position)) ?? [1, 0, 0];
  return {
    position: lerp(first.position, second.position, 0.5),
    rotation: rotations.swing([1, 0, 0], across, [0, 1, 0]),
  };
}

/** A body's place as seen from its carrier, and back. */
export const within = (frame: Placement, place: Placement): Placement => ({
  position: unplacePoint(frame, place.position),
  rotation: rotations.compose(rotations.inverse(frame.rotation), place.rotation),
});

/** The middle of where hands touch a body, world. */
export function touchedPoint(
  hands: Readonly<Partial<Record<HandSide, HandNow>>>,
  sides: readonly HandSide[],
  body: Body,
  place: Placement,
): Vec3 {
  const points = sides.flatMap((side) =>
    touches(hands[side]!, body, place, LET_GO).map(({ point }) => point),
  );
  const sum = points.reduce((a, b) => rotations.add(a, b), [0, 0, 0]);
  return rotations.scale(sum, 1 / Math.max(1, points.length));
}
