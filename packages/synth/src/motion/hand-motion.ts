/** What all motions of hands are put together from: a hand, where it rests, and what keeps it clear of things. */
import { type HandSide, rotations, type Vec3 } from '@dwm/renderer';
import { rightOf } from '../camera/head.ts';
import { handPoints } from '../physics/hand-body.ts';
import type { Random } from '../random.ts';
import { distanceTo, type Placement } from '../world/solid.ts';
import { firstPlace, type World } from '../world/world.ts';
import { angles, mixAngles, OPEN } from './posture.ts';
import { boneFrame, type HandAngles, type HandModel, poseSkeleton } from './skeleton.ts';
import type { Phase } from './timeline.ts';

const { add, cross, direction, scale, subtract } = rotations;

export interface HandMotion {
  readonly model: HandModel;
  readonly phases: readonly Phase[];
}

export interface HandsMotion {
  readonly hands: Readonly<Partial<Record<HandSide, HandMotion>>>;
  readonly caption: string;
}

/** Of the person whom the world has, else of anybody. */
export function handOf({ handSize }: World, side: HandSide, random: Random): HandModel {
  const size = random.uniform(0.92, 1.12);
  return { side, size: handSize ?? size };
}

/** Most people take the right one. */
export const anySide = (random: Random): HandSide => (random.chance(0.65) ? 'right' : 'left');
/** To the hand's own side along x. */
export const outOf = (side: HandSide): 1 | -1 => (side === 'right' ? 1 : -1);

export const still =
  <T>(value: T) =>
  () =>
    value;

export const oneHand = (model: HandModel, phases: readonly Phase[]): HandsMotion['hands'] => ({
  [model.side]: { model, phases },
});
export const LIMP = angles('relaxed', OPEN);

/** Where a hand waits: low and to its side of the picture, fingers ahead. */
export function restPlace(world: World, model: HandModel, random: Random): Placement {
  const { side } = model;
  const { eye, focus } = world;
  const ahead = direction(subtract(focus, eye))!;
  const right = rightOf(eye, focus);
  const up = cross(right, ahead);
  const out = outOf(side);
  const position = [
    scale(ahead, random.uniform(0.3, 0.37)),
    scale(right, out * random.uniform(0.12, 0.19)),
    scale(up, -random.uniform(0.13, 0.18)),
  ].reduce((sum, part) => add(sum, part), eye);
  const inwards = add(ahead, scale(right, -out * random.uniform(0.1, 0.35)));
  const rotation = boneFrame(inwards, add(up, scale(right, out * random.uniform(0.1, 0.7))));
  return clearOf(world, model, { position, rotation }, LIMP, [0, 0.015, 0], 0.006);
}

/** The hand moved by `step` until it is `margin` metres clear of everything. */
export function clearOf(
  world: World,
  model: HandModel,
  wrist: Placement,
  fingers: HandAngles,
  step: Vec3,
  margin: number,
): Placement {
  let place = wrist;
  for (let tries = 0; tries < 12; tries++) {
    const { joints, radii } = poseSkeleton(model, place, fingers);
    const points = handPoints(joints, radii);
    const clear = world.bodies.every(
      (body) =>
        body.solids.length === 0 ||
        points.every(
          ({ point, radius }) => distanceTo(body.solids, firstPlace(body), point) > radius + margin,
        ),
    );
    if (clear) break;
    place = { ...place, position: add(place.position, step) };
  }
  return place;
}

export const mixEvenly = (a: HandAngles, b: HandAngles) => (u: number) => mixAngles(a, b, [u, u, u, u, u]);
