/**
 * A world before anything happens: the scene to draw, and bodies made of solids that physics moves and hands hold.
 * Up is +y; the viewer stands at +z and looks towards -z.
 */
import { placement, type Quaternion, rotations, type Vec3 } from '@dwm/renderer';
import { type LightRig, type Matrix, matrices, type Scene } from '@dwm/renderer/scene';
import type { Action, MovingPart } from '../types.ts';
import type { Placement, Solid } from './solid.ts';

/** How far a body on a joint may move: metres along the axis, or radians about it at the anchor. */
export interface Joint {
  readonly kind: 'prismatic' | 'revolute';
  /** World, length one. */
  readonly axis: Vec3;
  /** World. */
  readonly anchor: Vec3;
  readonly limits: readonly [number, number];
  /** Opening in frame 0. */
  readonly opening: number;
  /** How quickly it comes to rest, 1/s. */
  readonly damping: number;
}

const POSTURES = ['hook', 'pinch', 'wrap', 'flat', 'point', 'relaxed'] as const;
export type PostureName = (typeof POSTURES)[number];

/** A place where a hand can take hold, in the body's frame. */
export interface Grip {
  readonly point: Vec3;
  /** Where the fingers point. */
  readonly forward: Vec3;
  /** `palm`: the back of the hand faces `up`; `thumb`: the thumb does. */
  readonly roll: 'palm' | 'thumb';
  readonly up: Vec3;
  readonly posture: PostureName;
  /** Half thickness of what is held, metres. */
  readonly radius: number;
  /** What the fingers close on, in the body's frame. */
  readonly solids: readonly Solid[];
}

/** A thing in the room. */
export interface Body {
  readonly name: string;
  /** What captions call it: "the top drawer". */
  readonly words: string;
  /** Index in the scene's nodes. */
  readonly node: number;
  readonly motion: 'fixed' | 'loose' | Joint;
  /** Loose: in frame 0. On a joint: at opening 0. */
  readonly place: Placement;
  readonly solids: readonly Solid[];
  /** kg/m3, and the coefficient of friction. */
  readonly density: number;
  readonly friction: number;
  readonly grips: readonly Grip[];
}

/** A room as data: furniture with joints, loose things. */
export interface World {
  readonly seed: number;
  readonly action: Action;
  readonly scene: Scene;
  readonly lights: LightRig;
  readonly bodies: readonly Body[];
  /** Name of the body that the action is for. */
  readonly actor: string;
  /** Where a thing is put or pushed to, world; absent where the joint says it all. */
  readonly goal?: Vec3;
  /** Where the viewer's head may be, and what it looks at. */
  readonly eye: Vec3;
  readonly focus: Vec3;
  /** Of the person's hands, by the hand at rest; each motion's own where it is absent. */
  readonly handSize?: number;
}

/** Whether a body moves on a joint. */
export const isJoint = (motion: Body['motion']): motion is Joint => typeof motion === 'object';

/** Where a body on a joint is at an opening. */
export function placeAt({ motion, place }: Body, opening: number): Placement {
  if (!isJoint(motion)) return place;
  const { add, compose, fromAxisAngle, rotate, scale, subtract } = rotations;
  if (motion.kind === 'prismatic')
    return { position: add(place.position, scale(motion.axis, opening)), rotation: place.rotation };
  const turn: Quaternion = fromAxisAngle(scale(motion.axis, opening));
  return {
    position: add(motion.anchor, rotate(turn, subtract(place.position, motion.anchor))),
    rotation: compose(turn, place.rotation),
  };
}

/** Where a body is in frame 0. */
export const firstPlace = (body: Body): Placement =>
  placeAt(body, isJoint(body.motion) ? body.motion.opening : 0);

export const worldMatrix = ({ position, rotation }: Placement): Matrix =>
  matrices.compose(position, rotation);

/** The room as it is in a frame of what happened in it. */
export function worldAt(world: World, moving: readonly MovingPart[], frame: number): World {
  const bodies = world.bodies.map((body): Body => {
    const part = moving.find(({ name }) => name === body.name);
    if (!part) return body;
    if (isJoint(body.motion)) return { ...body, motion: { ...body.motion, opening: part.opening![frame] } };
    const matrix = part.worlds[frame];
    return { ...body, place: placement({ axes: 'opengl', direction: 'camera-to-world', matrix }) };
  });
  return { ...world, bodies };
}

/** The body of this name. */
export function findBody(world: World, name: string): Body {
  return world.bodies.find((body) => body.name === name)!;
}

/** The opening that brings a point of the body, given in its frame, nearest to a point of the world. */
export function openingFor(body: Body, local: Vec3, point: Vec3): number {
  const { motion, place } = body;
  if (!isJoint(motion)) return 0;
  const { add, cross, dot, rotate, subtract, scale } = rotations;
  const start = add(place.position, rotate(place.rotation, local));
  const { axis, anchor } = motion;
  if (motion.kind === 'prismatic') return dot(axis, subtract(point, start));
  const flat = (v: Vec3) => subtract(v, scale(axis, dot(axis, v)));
  const [a, b] = [flat(subtract(start, anchor)), flat(subtract(point, anchor))];
  return Math.atan2(dot(axis, cross(a, b)), dot(a, b));
}

/** The same room for another drawer than its own: one of the two uppermost, which captions of training speak of. */
export function anotherOf(world: World): World | undefined {
  const drawers = world.bodies.filter(({ name }) => name.startsWith('drawer'));
  if (drawers.length < 2 || !drawers.some(({ name }) => name === world.actor)) return undefined;
  const other = drawers[0].name === world.actor ? 1 : 0;
  return { ...world, actor: drawers[other].name };
}
