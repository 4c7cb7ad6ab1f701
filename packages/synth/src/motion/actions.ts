/** The phases of every action's hands. */
import { type HandSide, rotations, type Vec3 } from '@dwm/renderer';
import { rightOf } from '../camera/head.ts';
import { handPoints } from '../physics/hand-body.ts';
import type { Random } from '../random.ts';
import type { Action } from '../types.ts';
import { distanceTo, type Placement, placePoint } from '../world/solid.ts';
import {
  type Body,
  findBody,
  firstPlace,
  type Grip,
  isJoint,
  type PostureName,
  placeAt,
  type World,
} from '../world/world.ts';
import { angles, type Closure, closeUntilContact, mixAngles, OPEN } from './posture.ts';
import { boneFrame, type HandAngles, type HandModel, poseSkeleton } from './skeleton.ts';
import { blend, minimumJerk, type Phase, throughPlaces } from './timeline.ts';
import { gripRotation, withdrawn, wristAt } from './wrist.ts';

const { add, cross, direction, scale, slerp, subtract } = rotations;

export interface HandPlan {
  readonly model: HandModel;
  readonly phases: readonly Phase[];
}

export interface HandsPlan {
  readonly hands: Readonly<Partial<Record<HandSide, HandPlan>>>;
  readonly caption: string;
}

export function planHands(world: World, action: Action, random: Random): HandsPlan {
  const body = findBody(world, world.actor);
  switch (action) {
    case 'pull-drawer':
    case 'push-drawer':
    case 'open-door':
    case 'close-door':
      return moveJoint(world, body, action, random);
    case 'pick-and-place':
      return carry(world, body, random);
    case 'push-object':
      return push(world, body, random);
    default:
      return touchNothing(world, body, random);
  }
}

const handOf = (side: HandSide, random: Random): HandModel => ({ side, size: random.uniform(0.92, 1.12) });
const words = ({ side }: HandModel) => `the ${side} hand`;
const still =
  <T>(value: T) =>
  () =>
    value;

const oneHand = (model: HandModel, phases: readonly Phase[]): HandsPlan['hands'] => ({
  [model.side]: { model, phases },
});
const LIMP = angles('relaxed', OPEN);

/** Where a hand waits: low and to its side of the picture, fingers ahead. */
function restPlace(world: World, model: HandModel, random: Random): Placement {
  const { side } = model;
  const { eye, focus } = world;
  const ahead = direction(subtract(focus, eye))!;
  const right = rightOf(eye, focus);
  const up = cross(right, ahead);
  const out = side === 'right' ? 1 : -1;
  const position = [
    scale(ahead, random.uniform(0.3, 0.37)),
    scale(right, out * random.uniform(0.12, 0.19)),
    scale(up, -random.uniform(0.13, 0.18)),
  ].reduce((sum, part) => add(sum, part), eye);
  const inwards = add(ahead, scale(right, -out * random.uniform(0.1, 0.35)));
  const rotation = boneFrame(inwards, add(up, scale(right, out * random.uniform(0.1, 0.7))));
  return lifted(world, model, { position, rotation });
}

/** Raised until the hand is clear of everything. */
function lifted(world: World, model: HandModel, wrist: Placement): Placement {
  let place = wrist;
  for (let tries = 0; tries < 12; tries++) {
    const { joints, radii } = poseSkeleton(model, place, LIMP);
    const points = handPoints(joints, radii);
    const clear = world.bodies.every(
      (body) =>
        body.solids.length === 0 ||
        points.every(
          ({ point, radius }) => distanceTo(body.solids, firstPlace(body), point) > radius + 0.006,
        ),
    );
    if (clear) break;
    place = { ...place, position: add(place.position, [0, 0.015, 0]) };
  }
  return place;
}

/** Shares of the clip for approach, closing, acting, opening and going back, a little different every time. */
function shares(random: Random): [number, number, number, number, number] {
  const approach = random.uniform(0.28, 0.36);
  const close = 0.075;
  const act = random.uniform(0.34, 0.42);
  const open = 0.075;
  return [approach, close, act, open, 1 - approach - close - act - open];
}

/** Reach, grasp, act along `wristAlong`, let go, go back. */
function graspPhases(
  world: World,
  random: Random,
  model: HandModel,
  posture: PostureName,
  closure: Closure,
  wristAlong: (u: number) => Placement,
  [back, out]: readonly [number, number],
): Phase[] {
  const [approach, close, act, open, leave] = shares(random);
  const rest = restPlace(world, model, random);
  const [start, end] = [wristAlong(0), wristAlong(1)];
  const [opened, closed] = [angles(posture, OPEN), angles(posture, closure)];
  // Hooked fingers have to pass over what they hook on.
  const beside = (place: Placement) => withdrawn(place, posture === 'hook' ? 0.008 : back, out);
  const apart = (place: Placement) => withdrawn(place, back + 0.06, out + 0.04);
  const reach = throughPlaces([rest, apart(start), beside(start), start], [0, 0.5, 0.76, 1]);
  const home = blend(end, restPlace(world, model, random), 0.7);
  const away = throughPlaces([end, beside(end), apart(end), home], [0, 0.25, 0.5, 1]);
  const opening = mixEvenly(closed, opened);
  return [
    {
      share: approach,
      wrist: (u) => reach(minimumJerk(u)),
      fingers: (u) => mixEvenly(LIMP, opened)(Math.min(1, u / 0.55)),
    },
    { share: close, wrist: still(start), fingers: mixEvenly(opened, closed) },
    { share: act, wrist: (u) => wristAlong(minimumJerk(u)), fingers: still(closed), acts: true },
    { share: open, wrist: still(end), fingers: opening },
    { share: leave, wrist: (u) => away(minimumJerk(u)), fingers: mixEvenly(opened, LIMP) },
  ];
}

const mixEvenly = (a: HandAngles, b: HandAngles) => (u: number) => mixAngles(a, b, [u, u, u, u, u]);

function moveJoint(world: World, body: Body, action: Action, random: Random): HandsPlan {
  const { motion } = body;
  if (!isJoint(motion)) return touchNothing(world, body, random);
  const grip = random.pick(body.grips);
  const opens = action === 'pull-drawer' || action === 'open-door';
  const [low, high] = motion.limits;
  const target = opens ? high - (high - low) * random.uniform(0.05, 0.2) : low;
  const from = motion.opening;
  const handle = placePoint(placeAt(body, 0), grip.point)[0];
  const natural: HandSide = handle > 0 ? 'right' : 'left';
  const side = motion.kind === 'prismatic' ? (random.chance(0.65) ? 'right' : 'left') : natural;
  const model = handOf(side, random);
  // A hand on a door's handle turns less than the door does.
  const follow = motion.kind === 'revolute' ? random.uniform(0.45, 0.65) : 1;
  const first = gripRotation(model, grip, placeAt(body, 0));
  const last = gripRotation(model, grip, placeAt(body, high));
  const along = (u: number): Placement => {
    const opening = from + (target - from) * u;
    return wristAt(model, grip, placeAt(body, opening), slerp(first, last, (follow * opening) / high));
  };
  const closure = closeUntilContact(model, along(0), grip.posture, grip.solids, firstPlace(body));
  const off: [number, number] = grip.posture === 'hook' ? [0.03, 0.045] : [0.07, 0.01];
  const verb = {
    'pull-drawer': 'pulls open',
    'push-drawer': 'pushes',
    'open-door': 'opens',
    'close-door': 'closes',
  }[action as 'pull-drawer'];
  return {
    hands: {
      [side]: { model, phases: graspPhases(world, random, model, grip.posture, closure, along, off) },
    },
    caption: `${sentence(words(model))} ${verb} ${world.actorWords}${action === 'push-drawer' ? ' shut' : ''}.`,
  };
}

const sentence = (text: string) => text[0].toUpperCase() + text.slice(1);

/** The grip turned so that the fingers come from the hand's own side, world axes. */
function sideGrip(world: World, grip: Grip, body: Placement, { side }: HandModel, random: Random): Grip {
  if (grip.roll === 'palm') return { ...grip, point: placePoint(body, grip.point) };
  const point = placePoint(body, grip.point);
  const out = side === 'right' ? 1 : -1;
  const shoulder = add(world.eye, [out * 0.18, 0, 0]);
  const towards = subtract(point, shoulder);
  const turn = rotations.fromAxisAngle([0, out * random.uniform(0.1, 0.45), 0]);
  const forward = rotations.rotate(turn, direction([towards[0], 0, towards[2]])!);
  return {
    ...grip,
    point,
    forward: direction(add(forward, [0, -random.uniform(0.05, 0.3), 0]))!,
    up: [0, 1, 0],
  };
}

const WORLD: Placement = { position: [0, 0, 0], rotation: [0, 0, 0, 1] };

function carry(world: World, body: Body, random: Random): HandsPlan {
  const place = firstPlace(body);
  const from = place.position;
  const goal = world.goal!;
  const side: HandSide = from[0] > 0 ? 'right' : 'left';
  const model = handOf(side, random);
  const grip = sideGrip(world, random.pick(body.grips), place, model, random);
  const wrist = wristAt(model, grip, WORLD);
  const height = random.uniform(0.07, 0.13);
  const turned = rotations.fromAxisAngle([0, random.uniform(-0.3, 0.3), 0]);
  const along = (u: number): Placement => {
    const across = minimumJerk(Math.min(1, Math.max(0, (u - 0.12) / 0.76)));
    const rise = height * (1 - (2 * u - 1) ** 4) + 0.002 * u;
    const shift = add(scale(subtract(goal, from), across), [0, rise, 0]);
    const turn = slerp([0, 0, 0, 1], turned, across);
    // The hand turns about the thing that it holds.
    const position = add(add(from, shift), rotations.rotate(turn, subtract(wrist.position, from)));
    return { position, rotation: rotations.compose(turn, wrist.rotation) };
  };
  const closure = closeUntilContact(model, wrist, grip.posture, body.solids, place);
  return {
    hands: {
      [side]: {
        model,
        phases: graspPhases(world, random, model, grip.posture, closure, along, [0.07, 0.055]),
      },
    },
    caption: `${sentence(words(model))} picks up ${world.actorWords} and puts it down on the ${goal[0] > from[0] ? 'right' : 'left'}.`,
  };
}

function push(world: World, body: Body, random: Random): HandsPlan {
  const from = firstPlace(body).position;
  const goal = world.goal!;
  const way = direction(subtract(goal, from))!;
  const side: HandSide = way[0] < 0 ? 'right' : 'left';
  const model = handOf(side, random);
  const solids = body.solids;
  // Thumb up, the palm ahead: its back looks where the thing came from.
  const top = Math.max(
    ...solids.map(
      (s) =>
        s.position[1] +
        (s.shape.kind === 'box'
          ? s.shape.half[1]
          : s.shape.kind === 'ball'
            ? s.shape.radius
            : s.shape.halfHeight),
    ),
  );
  const level = Math.max(0.052 * model.size, Math.min(0.07, top * 0.6));
  const forward = direction([way[0] * 0.35, -0.12, -1 + way[2] * 0.2])!;
  const rotation = boneFrame(forward, scale(way, -1));
  const grip: Grip = {
    point: [0, 0, 0],
    forward,
    roll: 'palm',
    up: scale(way, -1),
    posture: 'flat',
    radius: 0,
    solids,
  };
  const hold = (distance: number): Placement =>
    wristAt(model, { ...grip, point: add(add(from, [0, level, 0]), scale(way, distance)) }, WORLD, rotation);
  const reach = rotations.length(subtract(goal, from));
  const size = Math.max(
    ...solids.map(({ shape }) =>
      shape.kind === 'box' ? Math.hypot(shape.half[0], shape.half[2]) : shape.radius,
    ),
  );
  const start = -size - 0.03;
  const [approach, , act, , leave] = shares(random);
  const rest = restPlace(world, model, random);
  const posed = angles('flat', OPEN);
  const first = hold(start);
  const lifted = { ...first, position: add(first.position, [side === 'right' ? 0.05 : -0.05, 0.06, 0.05]) };
  const to = throughPlaces([rest, lifted, first], [0, 0.7, 1]);
  const end = hold(start + reach + 0.03);
  const backOff = hold(start + reach - 0.05);
  const away = throughPlaces([end, backOff, blend(backOff, rest, 0.7)], [0, 0.4, 1]);
  const rim = 0.15;
  return {
    hands: oneHand(model, [
      { share: approach, wrist: (u) => to(minimumJerk(u)), fingers: mixEvenly(LIMP, posed) },
      {
        share: act + rim,
        wrist: (u) => blend(first, end, minimumJerk(u)),
        fingers: still(posed),
        acts: true,
      },
      { share: leave, wrist: (u) => away(minimumJerk(u)), fingers: mixEvenly(posed, LIMP) },
    ]),
    caption: `${sentence(words(model))} pushes ${world.actorWords} to the ${way[0] > 0 ? 'right' : 'left'}.`,
  };
}

/** A hand that comes near, waves or waits, and goes back. */
function touchNothing(world: World, body: Body, random: Random): HandsPlan {
  const side: HandSide = random.chance(0.65) ? 'right' : 'left';
  const model = handOf(side, random);
  const out = side === 'right' ? 1 : -1;
  const thing = firstPlace(body);
  const grip = body.grips[0];
  const near = add(grip ? placePoint(thing, grip.point) : thing.position, [
    out * random.uniform(-0.02, 0.12),
    random.uniform(0.06, 0.12),
    random.uniform(0.13, 0.2),
  ]);
  const forward = direction([-out * random.uniform(0, 0.5), random.uniform(-0.3, 0.5), -1])!;
  const up: Vec3 = direction([out * random.uniform(0, 1.2), 1, 0])!;
  const posture = random.pick(['relaxed', 'flat', 'point'] as const);
  const tip: Vec3 = rotations.rotate(boneFrame(forward, up), [0, 0, -0.17 * model.size]);
  const place: Placement = { position: subtract(near, tip), rotation: boneFrame(forward, up) };
  const rest = restPlace(world, model, random);
  const posed = angles(posture, [0.2, 0.2, 0.2, 0.2, 0.2]);
  const waves = random.integer(0, 2);
  const width = random.uniform(0.03, 0.06);
  const swing = (u: number): Placement => {
    const aside = width * Math.sin(2 * Math.PI * waves * u);
    return {
      position: add(place.position, [aside, 0, 0]),
      rotation: rotations.compose(rotations.fromAxisAngle([0, -2 * aside * out, 0.0]), place.rotation),
    };
  };
  const approach = random.uniform(0.3, 0.4);
  const act = random.uniform(0.3, 0.4);
  const back = blend(place, rest, random.uniform(0.5, 1));
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
        wrist: (u) => blend(place, back, minimumJerk(u)),
        fingers: mixEvenly(posed, LIMP),
      },
    ]),
    caption:
      waves > 0
        ? `${sentence(words(model))} waves and touches nothing.`
        : `${sentence(words(model))} reaches out and touches nothing.`,
  };
}
