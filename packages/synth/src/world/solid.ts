/**
 * The simple solids that bodies are made of, and the distance of a point to them: what fingers close on,
 * what contacts and interpenetration are measured with, and what becomes colliders.
 */
import { type Quaternion, rotations, type Vec3 } from '@dwm/renderer';

const { add, compose, inverse, rotate, subtract } = rotations;

/** Metres; a cylinder stands along y. */
export type Shape =
  | { readonly kind: 'box'; readonly half: Vec3 }
  | { readonly kind: 'cylinder'; readonly radius: number; readonly halfHeight: number }
  | { readonly kind: 'ball'; readonly radius: number };

/** Where a thing stands: metres, and a unit quaternion. */
export interface Placement {
  readonly position: Vec3;
  readonly rotation: Quaternion;
}

/** Neither moved nor turned. */
export const IN_PLACE: Placement = { position: [0, 0, 0], rotation: [0, 0, 0, 1] };

/** A shape placed in its body's frame. */
export interface Solid extends Placement {
  readonly shape: Shape;
}

/** `inner`, given in the frame of `outer`, in the frame that `outer` is given in. */
export function placed(outer: Placement, inner: Placement): Placement {
  return {
    position: placePoint(outer, inner.position),
    rotation: compose(outer.rotation, inner.rotation),
  };
}

export const placePoint = (frame: Placement, point: Vec3): Vec3 =>
  add(frame.position, rotate(frame.rotation, point));

export const unplacePoint = (frame: Placement, point: Vec3): Vec3 =>
  rotate(inverse(frame.rotation), subtract(point, frame.position));

/** Metres from the surface, negative inside. */
function shapeDistance(shape: Shape, [x, y, z]: Vec3): number {
  if (shape.kind === 'ball') return Math.hypot(x, y, z) - shape.radius;
  if (shape.kind === 'cylinder')
    return outside(Math.hypot(x, z) - shape.radius, Math.abs(y) - shape.halfHeight, -Infinity);
  const [a, b, c] = shape.half;
  return outside(Math.abs(x) - a, Math.abs(y) - b, Math.abs(z) - c);
}

function outside(a: number, b: number, c: number): number {
  return Math.hypot(Math.max(a, 0), Math.max(b, 0), Math.max(c, 0)) + Math.min(0, Math.max(a, b, c));
}

/** Metres from the nearest of a body's solids to a point of the world, negative inside. */
export function distanceTo(solids: readonly Solid[], body: Placement, point: Vec3): number {
  const local = unplacePoint(body, point);
  let nearest = Infinity;
  for (const solid of solids)
    nearest = Math.min(nearest, shapeDistance(solid.shape, unplacePoint(solid, local)));
  return nearest;
}

/** Outward direction at a point of the world, by central differences of the distance. */
export function normalTo(solids: readonly Solid[], body: Placement, point: Vec3): Vec3 {
  const step = 1e-4;
  const slope = (axis: number) => {
    const moved = (by: number) =>
      point.map((value, i) => (i === axis ? value + by : value)) as unknown as Vec3;
    return distanceTo(solids, body, moved(step)) - distanceTo(solids, body, moved(-step));
  };
  return rotations.direction([slope(0), slope(1), slope(2)]) ?? [0, 1, 0];
}

/** Half sizes of a shape along its axes. */
export function halfExtents(shape: Shape): Vec3 {
  if (shape.kind === 'box') return shape.half;
  if (shape.kind === 'ball') return [shape.radius, shape.radius, shape.radius];
  return [shape.radius, shape.halfHeight, shape.radius];
}
