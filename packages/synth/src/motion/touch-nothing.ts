/** A hand that comes near, waves or waits, and goes back. */
import { rotations, type Vec3 } from '@dwm/renderer';
import { nothingTouched } from '../caption/words.ts';
import type { Random } from '../random.ts';
import { type Placement, placePoint } from '../world/solid.ts';
import { findBody, firstPlace, type World } from '../world/world.ts';
import {
  anySide,
  clearOf,
  type HandsMotion,
  handOf,
  LIMP,
  mixEvenly,
  oneHand,
  outOf,
  restPlace,
  still,
} from './hand-motion.ts';
import { angles } from './posture.ts';
import { boneFrame } from './skeleton.ts';
import { blend, minimumJerk } from './timeline.ts';

const { add, direction, scale, subtract } = rotations;

export function touchNothing(world: World, random: Random): HandsMotion {
  const body = findBody(world, world.actor);
  const side = anySide(random);
  const model = handOf(world, side, random);
  const out = outOf(side);
  const grip = body.grips[0];
  const thing = grip ? placePoint(firstPlace(body), grip.point) : firstPlace(body).position;
  // What sticks out towards the viewer is not where the picture's middle is.
  const near = add(rotations.lerp(world.focus, thing, 0.4), [
    out * random.uniform(-0.03, 0.08),
    random.uniform(0, 0.07),
    random.uniform(0, 0.08),
  ]);
  const forward = direction([-out * random.uniform(0, 0.5), random.uniform(-0.3, 0.5), -1])!;
  const up: Vec3 = direction([out * random.uniform(0, 1.2), 1, 0])!;
  const posture = random.pick(['relaxed', 'flat', 'point'] as const);
  const tip: Vec3 = rotations.rotate(boneFrame(forward, up), [0, 0, -0.17 * model.size]);
  const posed = angles(posture, [0.2, 0.2, 0.2, 0.2, 0.2]);
  const aimed: Placement = { position: subtract(near, tip), rotation: boneFrame(forward, up) };
  const back: Vec3 = scale(direction(subtract(world.eye, near))!, 0.02);
  const width = random.uniform(0.03, 0.06);
  const place = clearOf(world, model, aimed, posed, back, width + 0.02);
  const rest = restPlace(world, model, random);
  const waves = random.integer(0, 2);
  const swing = (u: number): Placement => {
    const aside = width * Math.sin(2 * Math.PI * waves * u);
    return {
      position: add(place.position, [aside, 0, 0]),
      rotation: rotations.compose(rotations.fromAxisAngle([0, -2 * aside * out, 0.0]), place.rotation),
    };
  };
  const approach = random.uniform(0.3, 0.4);
  const act = random.uniform(0.3, 0.4);
  const home = blend(place, rest, random.uniform(0.5, 1));
  return {
    hands: oneHand(model, [
      {
        share: approach,
        wrist: (u) => blend(rest, place, minimumJerk(u)),
        fingers: mixEvenly(LIMP, posed),
      },
      { share: act, wrist: swing, fingers: still(posed), acts: true },
      {
        share: 1 - approach - act,
        wrist: (u) => blend(place, home, minimumJerk(u)),
        fingers: mixEvenly(posed, LIMP),
      },
    ]),
    caption: nothingTouched([side], waves > 0),
  };
}
