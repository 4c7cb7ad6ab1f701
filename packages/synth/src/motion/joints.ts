/** Hands on handles: what opens and shuts is moved on its joint, and handles are tried. */
import { type HandSide, rotations, type Vec3 } from '@dwm/renderer';
import { movedJoint, say, tryingCaption } from '../caption/words.ts';
import type { Random } from '../random.ts';
import { type Placement, placePoint } from '../world/solid.ts';
import { findBody, firstPlace, type Grip, isJoint, placeAt, type World } from '../world/world.ts';
import { graspPhases, type Hold } from './grasp.ts';
import { anySide, type HandsMotion, handOf, oneHand } from './hand-motion.ts';
import { closeUntilContact } from './posture.ts';
import type { HandModel } from './skeleton.ts';
import { touchNothing } from './touch-nothing.ts';
import { clearanceOf, gripRotation, wristAt } from './wrist.ts';

const { add, direction, scale, slerp } = rotations;

/** Takes hold of a handle and opens what is shut, or shuts what is open. */
export function moveJoint(world: World, random: Random): HandsMotion {
  const body = findBody(world, world.actor);
  const { motion } = body;
  if (!isJoint(motion)) return touchNothing(world, random);
  const grip = random.pick(body.grips);
  const [low, high] = motion.limits;
  // What is open is closed, and the other way round.
  const opens = motion.opening < (low + high) / 2;
  const target = opens ? high - (high - low) * random.uniform(0, 0.15) : low;
  const from = motion.opening;
  const handle = placePoint(placeAt(body, 0), grip.point)[0];
  const natural: HandSide = handle > 0 ? 'right' : 'left';
  const side = motion.kind === 'prismatic' ? anySide(random) : natural;
  const model = handOf(world, side, random);
  // A hand on a door's handle turns less than the door does.
  const follow = motion.kind === 'revolute' ? random.uniform(0.45, 0.65) : 1;
  const first = gripRotation(model, grip, placeAt(body, 0));
  const last = gripRotation(model, grip, placeAt(body, high));
  const along = (u: number): Placement => {
    const opening = from + (target - from) * u;
    return wristAt(model, grip, placeAt(body, opening), slerp(first, last, (follow * opening) / high));
  };
  const hold = holdOf(model, grip, along(0), firstPlace(body));
  return {
    hands: oneHand(model, graspPhases(world, random, hold, along)),
    caption: say([side], movedJoint(body, opens)),
  };
}

/** Ways that a hand may go from a handle, and how often; out of the drawer is +z. */
const WAYS: readonly (readonly [Vec3, number])[] = [
  [[0, 0, 1], 0.4],
  [[0, 1, 0], 0.25],
  [[-1, 0, 0], 0.15],
  [[1, 0, 0], 0.15],
  [[0, 0, -1], 0.05],
];

/** The hand takes hold of any handle and goes any way: whether that opens anything is left to the physics. */
export function tryDrawer(world: World, random: Random): HandsMotion {
  const body = random.pick(world.bodies.filter(({ motion, grips }) => isJoint(motion) && grips.length > 0));
  const grip = random.pick(body.grips);
  const model = handOf(world, anySide(random), random);
  const held = wristAt(model, grip, placeAt(body, 0));
  const jitter = (most: number): Vec3 => [0, 1, 2].map(() => random.uniform(-most, most)) as unknown as Vec3;
  const axis = random.weighted(WAYS);
  const way = direction(add(axis, jitter(0.5)))!;
  // What pushes any farther goes through what it pushes.
  const metres = random.uniform(0.06, 0.36) * (axis[2] < 0 ? 0.2 : 1);
  const from = add(held.position, jitter(0.015));
  const along = (u: number): Placement => ({ ...held, position: add(from, scale(way, metres * u)) });
  const hold = holdOf(model, grip, along(0), placeAt(body, 0));
  return {
    hands: oneHand(model, graspPhases(world, random, hold, along)),
    caption: tryingCaption(model.side),
  };
}

/** The hand's hold of a grip of a body on a joint: waiting off it as its posture asks. */
function holdOf(model: HandModel, { posture, solids }: Grip, wrist: Placement, body: Placement): Hold {
  const closure = closeUntilContact(model, wrist, posture, solids, body);
  return { model, posture, closure, off: clearanceOf(posture) };
}
