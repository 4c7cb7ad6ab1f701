/**
 * Motions that do not do what they look like: the room's own action displaced, stopped before it takes hold or given up half way,
 * and a hand that goes about as a mouse moves it. Frame by frame they resemble the motion that does it, so words cannot
 * answer for them.
 */
import { type HandSide, rotations, SIDES, type Vec3 } from '@dwm/renderer';
import { say } from '../caption/words.ts';
import type { Random } from '../random.ts';
import { type Placement, placePoint } from '../world/solid.ts';
import { findBody, firstPlace, type World } from '../world/world.ts';
import {
  anySide,
  clearOf,
  type HandMotion,
  type HandsMotion,
  handOf,
  mixEvenly,
  oneHand,
  outOf,
  restPlace,
} from './hand-motion.ts';
import { angles, OPEN } from './posture.ts';
import { boneFrame, type HandAngles } from './skeleton.ts';
import { blend, minimumJerk, type Phase, throughPlaces } from './timeline.ts';

const { add, direction, scale, subtract } = rotations;

const sidesOf = ({ hands }: HandsMotion): HandSide[] => SIDES.filter((side) => hands[side]);

/** Every hand of a motion, its phases made anew. */
const changed = (motion: HandsMotion, change: (hand: HandMotion) => readonly Phase[]): HandsMotion['hands'] =>
  Object.fromEntries(
    SIDES.flatMap((side): [HandSide, HandMotion][] => {
      const hand = motion.hands[side];
      return hand ? [[side, { ...hand, phases: change(hand) }]] : [];
    }),
  );

/** The whole motion beside, above or in front of what it is for: it closes on nothing. */
export function miss(world: World, motion: HandsMotion, random: Random): HandsMotion {
  const body = findBody(world, world.actor);
  const towards = direction(subtract(world.eye, firstPlace(body).position))!;
  const aside: Vec3 = random.pick([
    [1, 0, 0],
    [-1, 0, 0],
    [0, 1, 0],
    [0, -1, 0],
    [0, 0, 0],
  ] as const);
  const shift = add(
    scale(aside, random.uniform(0.07, 0.16)),
    scale(
      towards,
      aside.every((value) => value === 0) ? random.uniform(0.05, 0.12) : random.uniform(0.005, 0.06),
    ),
  );
  const moved = (place: Placement): Placement => ({ ...place, position: add(place.position, shift) });
  return {
    hands: changed(motion, ({ phases }) =>
      phases.map((phase) => ({ ...phase, wrist: (u: number) => moved(phase.wrist(u)) })),
    ),
    caption: say(sidesOf(motion), ['miss', body.words]),
  };
}

/** On its way the hand waits before what it would take hold of, closes or not, and goes back the way it came. */
export function stopShort(world: World, motion: HandsMotion, random: Random): HandsMotion {
  const until = random.uniform(0.4, 0.6);
  const closes = random.chance(0.6);
  const [go, wait] = [random.uniform(0.3, 0.45), random.uniform(0.15, 0.35)];
  const back = random.uniform(0.5, 1);
  return {
    hands: changed(motion, ({ phases }) => {
      const [approach, next] = phases;
      const opened = approach.fingers(1);
      const closed = closes ? (next?.fingers(1) ?? opened) : opened;
      const there = (u: number) => approach.wrist(until * u);
      return [
        { share: go, wrist: there, fingers: (u) => approach.fingers(until * u) },
        {
          share: wait,
          wrist: () => there(1),
          fingers: (u) => mixEvenly(approach.fingers(until), closed)(minimumJerk(u)),
          acts: true,
        },
        {
          share: 1 - go - wait,
          wrist: (u) => there(1 - back * minimumJerk(u)),
          fingers: (u) => mixEvenly(closed, approach.fingers(until))(Math.min(1, 2 * u)),
        },
      ];
    }),
    caption: say(sidesOf(motion), ['stop', `short of ${findBody(world, world.actor).words}`]),
  };
}

/** The whole motion, but the fingers open when some of the way is gone: what comes of it is left to the physics. */
export function letGo(world: World, motion: HandsMotion, random: Random): HandsMotion {
  const at = random.uniform(0.15, 0.5);
  return {
    hands: changed(motion, ({ phases }) => {
      const [first] = phases;
      const opened = first.fingers(1);
      return phases.map((phase, i) => {
        const after = i > phases.findIndex(({ acts }) => acts);
        if (!phase.acts) return after ? { ...phase, fingers: () => opened } : phase;
        const fingers = (u: number): HandAngles =>
          mixEvenly(phase.fingers(u), opened)(Math.min(1, Math.max(0, (u - at) / 0.15)));
        return { ...phase, fingers };
      });
    }),
    caption: say(sidesOf(motion), ['let', `go of ${findBody(world, world.actor).words}`]),
  };
}

/** From place to place before the furniture, at times closing, as somebody moves a hand with a mouse; it touches nothing. */
export function wander(world: World, random: Random): HandsMotion {
  const model = handOf(world, anySide(random), random);
  const out = outOf(model.side);
  const body = findBody(world, world.actor);
  const grip = body.grips[0];
  const thing = grip ? placePoint(firstPlace(body), grip.point) : firstPlace(body).position;
  const forward = direction([-out * random.uniform(0, 0.5), random.uniform(-0.4, 0.4), -1])!;
  const up = direction([out * random.uniform(0, 1.2), 1, 0])!;
  const rotation = boneFrame(forward, up);
  const tip = rotations.rotate(rotation, [0, 0, -0.16 * model.size]);
  const posture = random.pick(['relaxed', 'flat', 'hook', 'pinch'] as const);
  const [opened, closed] = [angles(posture, OPEN), angles(posture, [0.8, 0.8, 0.8, 0.8, 0.8])];
  const back = scale(direction(subtract(world.eye, thing))!, 0.02);
  const stops = random.integer(3, 5);
  const stop = (): Placement => {
    const near = add(thing, [
      random.uniform(-0.14, 0.14),
      random.uniform(-0.08, 0.1),
      random.uniform(0.02, 0.14),
    ]);
    return clearOf(world, model, { position: subtract(near, tip), rotation }, opened, back, 0.012);
  };
  const comes = random.chance(0.5);
  const rest = restPlace(world, model, random);
  const places = [comes ? rest : stop(), ...Array.from({ length: stops }, stop)];
  if (random.chance(0.4)) places.push(blend(places.at(-1)!, rest, random.uniform(0.5, 1)));
  const path = throughPlaces(
    places,
    places.map((_, i) => i / (places.length - 1)),
  );
  const [closes, opens] = [random.uniform(0.15, 0.6), random.uniform(0.6, 1.4)];
  const grasp = (u: number) =>
    Math.min(1, Math.max(0, (u - closes) / 0.08)) - Math.min(1, Math.max(0, (u - opens) / 0.08));
  return {
    hands: oneHand(model, [
      { share: 1, wrist: path, fingers: (u) => mixEvenly(opened, closed)(grasp(u)), acts: true },
    ]),
    caption: say([model.side], ['move', 'about'], ['touch', 'nothing']),
  };
}
