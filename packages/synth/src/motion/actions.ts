/** The phases of every action's hands. */
import { type HandSide, rotations, SIDES, type Vec3 } from '@dwm/renderer';
import {
  lifted,
  movedJoint,
  nothingTouched,
  pickedUp,
  poured,
  pushed,
  putDown,
  say,
  tipped,
  tryingCaption,
} from '../caption/words.ts';
import { Random } from '../random.ts';
import type { Action } from '../types.ts';
import { halfExtents, type Placement, placed, placePoint } from '../world/solid.ts';
import {
  anotherOf,
  type Body,
  findBody,
  firstPlace,
  type Grip,
  isJoint,
  type PostureName,
  placeAt,
  type World,
} from '../world/world.ts';
import { clearOf, type HandsPlan, handOf, LIMP, mixEvenly, oneHand, restPlace, still } from './hand-plan.ts';
import { letGo, miss, stopShort, wander } from './near-misses.ts';
import { angles, type Closure, closeUntilContact, OPEN } from './posture.ts';
import { boneFrame, type HandModel } from './skeleton.ts';
import { blend, minimumJerk, type Phase, throughPlaces } from './timeline.ts';
import { clearanceOf, gripRotation, withdrawn, wristAt } from './wrist.ts';

const { add, direction, scale, slerp, subtract } = rotations;

export function planHands(world: World, action: Action, random: Random): HandsPlan {
  const body = findBody(world, world.actor);
  // The very motion that would do what the room is made for.
  const own = () => planHands(world, world.action, Random.fork(world.seed, `hands ${world.action}`));
  switch (action) {
    case 'miss':
      return miss(world, own(), random);
    case 'stop-short':
      return stopShort(world, own(), random);
    case 'let-go':
      return letGo(world, own(), random);
    case 'graze':
      return graze(world, body, random);
    case 'wander':
      return wander(world, random);
    case 'take-another':
      return takeAnother(world, own);
    case 'push-drawer':
    case 'push-shut-drawer':
      return pushDrawer(world, body, random);
    case 'try-drawer':
      return tryDrawer(world, random);
    case 'pull-drawer':
    case 'open-door':
    case 'close-door':
    case 'open-lid':
    case 'close-lid':
    case 'flip-switch':
      return moveJoint(world, body, random);
    case 'pick-and-place':
      return body.grips.length > 0 ? carry(world, body, random) : carryWithBoth(world, body, random);
    case 'push-object':
    case 'topple':
      return push(world, body, action === 'topple', random);
    case 'pour':
      return pour(world, body, random);
    default:
      return touchNothing(world, body, random);
  }
}

/** Shares of the clip for approach, closing, acting, opening and going back, a little different every time. */
function shares(random: Random): [number, number, number, number, number] {
  const approach = random.uniform(0.26, 0.32);
  const close = 0.075;
  const act = random.uniform(0.33, 0.4);
  const open = 0.07;
  return [approach, close, act, open, 1 - approach - close - act - open];
}

/** Next to where the hand holds; hooked fingers have to pass over what they hook on. */
const beside = (place: Placement, posture: PostureName, [back, out]: readonly [number, number]) =>
  withdrawn(place, posture === 'hook' ? 0.008 : back, out);
const apart = (place: Placement, [back, out]: readonly [number, number]) =>
  withdrawn(place, back + 0.06, out + 0.04);

const reachFor = (rest: Placement, start: Placement, posture: PostureName, off: readonly [number, number]) =>
  throughPlaces([rest, apart(start, off), beside(start, posture, off), start], [0, 0.5, 0.76, 1]);

/** Reach, grasp, act along `wristAlong`, let go, go back. */
function graspPhases(
  world: World,
  random: Random,
  model: HandModel,
  posture: PostureName,
  closure: Closure,
  wristAlong: (u: number) => Placement,
  [back, out]: readonly [number, number],
  [approach, close, act, open, leave] = shares(random),
): Phase[] {
  const rest = restPlace(world, model, random);
  const [start, end] = [wristAlong(0), wristAlong(1)];
  const [opened, closed] = [angles(posture, OPEN), angles(posture, closure)];
  const reach = reachFor(rest, start, posture, [back, out]);
  // Two hands beside a large thing would knock it on their way back.
  const home = blend(
    apart(end, [back, out]),
    restPlace(world, model, random),
    posture === 'flat' ? 0.1 : 0.7,
  );
  const away = throughPlaces(
    [end, beside(end, posture, [back, out]), apart(end, [back, out]), home],
    [0, 0.25, 0.5, 1],
  );
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

function moveJoint(world: World, body: Body, random: Random): HandsPlan {
  const { motion } = body;
  if (!isJoint(motion)) return touchNothing(world, body, random);
  const grip = random.pick(body.grips);
  const [low, high] = motion.limits;
  // What is open is closed, and the other way round.
  const opens = motion.opening < (low + high) / 2;
  const target = opens ? high - (high - low) * random.uniform(0, 0.15) : low;
  const from = motion.opening;
  const handle = placePoint(placeAt(body, 0), grip.point)[0];
  const natural: HandSide = handle > 0 ? 'right' : 'left';
  const side = motion.kind === 'prismatic' ? (random.chance(0.65) ? 'right' : 'left') : natural;
  const model = handOf(world, side, random);
  // A hand on a door's handle turns less than the door does.
  const follow = motion.kind === 'revolute' ? random.uniform(0.45, 0.65) : 1;
  const first = gripRotation(model, grip, placeAt(body, 0));
  const last = gripRotation(model, grip, placeAt(body, high));
  const along = (u: number): Placement => {
    const opening = from + (target - from) * u;
    return wristAt(model, grip, placeAt(body, opening), slerp(first, last, (follow * opening) / high));
  };
  const closure = closeUntilContact(model, along(0), grip.posture, grip.solids, firstPlace(body));
  const off = clearanceOf(grip.posture);
  return {
    hands: oneHand(model, graspPhases(world, random, model, grip.posture, closure, along, off)),
    caption: say([side], movedJoint(body, opens)),
  };
}

/** The palm pushes the drawer in by its handle. */
function pushDrawer(world: World, body: Body, random: Random): HandsPlan {
  const { motion } = body;
  if (!isJoint(motion)) return touchNothing(world, body, random);
  const model = handOf(world, random.chance(0.65) ? 'right' : 'left', random);
  const forward = direction([
    (model.side === 'right' ? -1 : 1) * random.uniform(0, 0.35),
    1,
    -random.uniform(0.5, 1),
  ])!;
  const handle = body.grips[0];
  const aside = random.uniform(-0.03, 0.03);
  const rotation = boneFrame(forward, [0, 0.2, 1]);
  const grip: Grip = { ...handle, posture: 'flat', radius: 0 };
  const palm = (gap: number) => (opening: number) => {
    const { position } = placeAt(body, opening);
    const shifted: Placement = { position: add(position, [aside, 0, gap]), rotation: [0, 0, 0, 1] };
    return wristAt(model, grip, shifted, rotation);
  };
  const ahead = handle.radius + 0.012;
  const [approach, , act] = shares(random);
  const along = (u: number) =>
    palm(ahead + 0.02 * (1 - u) - 0.008 * u)(motion.opening * (1 - minimumJerk(u)));
  return {
    hands: oneHand(
      model,
      pushPhases(world, random, model, along, withdrawn(along(0), 0.04, 0.06), approach, act + 0.1),
    ),
    caption: say([model.side], movedJoint(body, false)),
  };
}

/** The palm slides over the front of what is shut, past its handle, and takes hold of nothing. */
function graze(world: World, body: Body, random: Random): HandsPlan {
  if (!isJoint(body.motion)) return touchNothing(world, body, random);
  const model = handOf(world, random.chance(0.65) ? 'right' : 'left', random);
  const out = model.side === 'right' ? 1 : -1;
  const handle = random.pick(body.grips);
  const grip: Grip = { ...handle, posture: 'flat', radius: 0 };
  const place = firstPlace(body);
  const rotation = boneFrame(
    direction([-out * random.uniform(0.1, 0.5), 1, -random.uniform(0.5, 1)])!,
    [0, 0.2, 1],
  );
  const [from, to] = [random.uniform(0.03, 0.1), -random.uniform(0.03, 0.1)].map(
    (aside) => aside * random.sign(),
  );
  const lift = random.uniform(-0.02, 0.03);
  const along = (u: number): Placement => {
    const aside = from + (to - from) * minimumJerk(u);
    const shifted = { ...place, position: add(place.position, [aside, lift, handle.radius + 0.016]) };
    return wristAt(model, grip, shifted, rotation);
  };
  const [approach, , act] = shares(random);
  return {
    hands: oneHand(
      model,
      pushPhases(world, random, model, along, withdrawn(along(0), 0.04, 0.06), approach, act + 0.1),
    ),
    caption: say([model.side], ['stroke', body.words]),
  };
}

/** Another drawer or door of the same furniture; the room's own where there is one only. */
function takeAnother(world: World, own: () => HandsPlan): HandsPlan {
  const others = anotherOf(world);
  return others ? planHands(others, world.action, Random.fork(world.seed, `hands ${world.action}`)) : own();
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
function tryDrawer(world: World, random: Random): HandsPlan {
  const body = random.pick(world.bodies.filter(({ motion, grips }) => isJoint(motion) && grips.length > 0));
  const grip = random.pick(body.grips);
  const model = handOf(world, random.chance(0.65) ? 'right' : 'left', random);
  const held = wristAt(model, grip, placeAt(body, 0));
  const jitter = (most: number): Vec3 => [0, 1, 2].map(() => random.uniform(-most, most)) as unknown as Vec3;
  const axis = random.weighted(WAYS);
  const way = direction(add(axis, jitter(0.5)))!;
  // What pushes any farther goes through what it pushes.
  const metres = random.uniform(0.06, 0.36) * (axis[2] < 0 ? 0.2 : 1);
  const from = add(held.position, jitter(0.015));
  const along = (u: number): Placement => ({ ...held, position: add(from, scale(way, metres * u)) });
  const closure = closeUntilContact(model, along(0), grip.posture, grip.solids, placeAt(body, 0));
  const off = clearanceOf(grip.posture);
  return {
    hands: oneHand(model, graspPhases(world, random, model, grip.posture, closure, along, off)),
    caption: tryingCaption(model.side),
  };
}

/** Reach by way of `before`, push along `wristAlong`, and go back. */
function pushPhases(
  world: World,
  random: Random,
  model: HandModel,
  wristAlong: (u: number) => Placement,
  before: Placement,
  approach: number,
  act: number,
): Phase[] {
  const rest = restPlace(world, model, random);
  const flat = angles('flat', OPEN);
  const [start, end] = [wristAlong(0), wristAlong(1)];
  const to = throughPlaces([rest, before, start], [0, 0.7, 1]);
  // Off the way it came, so that nothing is dragged along.
  const off = withdrawn(end, 0.02, 0.06);
  const away = throughPlaces([end, off, blend(off, rest, 0.7)], [0, 0.4, 1]);
  return [
    { share: approach, wrist: (u) => to(minimumJerk(u)), fingers: mixEvenly(LIMP, flat) },
    { share: act, wrist: wristAlong, fingers: still(flat), acts: true },
    { share: 1 - approach - act, wrist: (u) => away(minimumJerk(u)), fingers: mixEvenly(flat, LIMP) },
  ];
}

/** The grip turned so that the fingers come from the hand's own side, world axes. */
function sideGrip(world: World, grip: Grip, body: Placement, { side }: HandModel, random: Random): Grip {
  const point = placePoint(body, grip.point);
  if (grip.roll === 'palm') return { ...grip, point, forward: rotations.rotate(body.rotation, grip.forward) };
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

/** Up, across and down: how a thing that stands at `from` is moved, and turned about the vertical. */
function carryPath(from: Vec3, goal: Vec3, random: Random): (u: number) => Placement {
  const height = random.uniform(0.07, 0.12);
  const turned = rotations.fromAxisAngle([0, random.uniform(-0.3, 0.3), 0]);
  return (u) => {
    const across = minimumJerk(Math.min(1, Math.max(0, (u - 0.12) / 0.76)));
    const rise = height * (1 - (2 * u - 1) ** 4) + 0.002 * u;
    return {
      position: add(from, add(scale(subtract(goal, from), across), [0, rise, 0])),
      rotation: slerp([0, 0, 0, 1], turned, across),
    };
  };
}

/** A wrist that goes with what it holds. */
const carriedBy = (path: (u: number) => Placement, wrist: Placement) => {
  const offset = { position: subtract(wrist.position, path(0).position), rotation: wrist.rotation };
  return (u: number) => placed(path(u), offset);
};

function carry(world: World, body: Body, random: Random): HandsPlan {
  const place = firstPlace(body);
  const goal = world.goal!;
  const side: HandSide = place.position[0] > 0 ? 'right' : 'left';
  const model = handOf(world, side, random);
  const grip = sideGrip(world, random.pick(body.grips), place, model, random);
  const wrist = wristAt(model, grip, WORLD);
  const along = carriedBy(carryPath(place.position, goal, random), wrist);
  const closure = closeUntilContact(model, wrist, grip.posture, body.solids, place);
  return {
    hands: oneHand(
      model,
      graspPhases(
        world,
        random,
        model,
        grip.posture,
        closure,
        along,
        grip.posture === 'wrap' ? [0.07, 0.055] : [0.02, 0.07],
      ),
    ),
    caption: say([side], pickedUp(body), putDown(wayOf(place.position, goal))),
  };
}

const wayOf = (from: Vec3, goal: Vec3) => (goal[0] > from[0] ? 'right' : 'left');

/** Two flat hands press a thing from both sides and carry it together. */
function carryWithBoth(world: World, body: Body, random: Random): HandsPlan {
  const place = firstPlace(body);
  const goal = world.goal!;
  const [halfWidth, halfHeight] = halfExtents(body.solids[0].shape);
  const path = carryPath(place.position, goal, random);
  const { size } = handOf(world, 'right', random);
  const timing = shares(random);
  const hands = Object.fromEntries(
    SIDES.map((side) => {
      const out = side === 'right' ? 1 : -1;
      const model: HandModel = { side, size };
      const grip: Grip = {
        point: add(place.position, [out * (halfWidth + 0.002), Math.max(halfHeight, 0.055), 0.01]),
        forward: direction([-out * 0.05, -0.1, -1])!,
        roll: 'palm',
        up: [out, 0, 0],
        posture: 'flat',
        radius: 0,
        solids: body.solids,
      };
      const wrist = wristAt(model, grip, WORLD);
      const along = carriedBy(path, wrist);
      return [
        side,
        { model, phases: graspPhases(world, random, model, 'flat', OPEN, along, [0.03, 0.06], timing) },
      ];
    }),
  );
  return {
    hands,
    caption: say(SIDES, lifted(body), putDown(wayOf(place.position, goal))),
  };
}

/** Lift, bring it beside the goal, and tip it over. */
function pour(world: World, body: Body, random: Random): HandsPlan {
  const place = firstPlace(body);
  const from = place.position;
  const goal = world.goal!;
  const side: HandSide = from[0] > 0 ? 'right' : 'left';
  const model = handOf(world, side, random);
  const out = side === 'right' ? 1 : -1;
  const grip = sideGrip(world, random.pick(body.grips), place, model, random);
  const wrist = wristAt(model, grip, WORLD);
  const above: Vec3 = [
    goal[0] + out * random.uniform(0.1, 0.12),
    goal[1] + random.uniform(0.09, 0.12),
    goal[2],
  ];
  const tilt = out * random.uniform(1.8, 2.05);
  const path = (u: number): Placement => {
    const moved = minimumJerk(Math.min(1, u / 0.42));
    const lift = Math.min(1, moved * 1.6);
    const tipped = minimumJerk(Math.min(1, Math.max(0, (u - 0.26) / 0.44)));
    return {
      position: [
        from[0] + (above[0] - from[0]) * moved,
        from[1] + (above[1] - from[1]) * lift,
        from[2] + (above[2] - from[2]) * moved,
      ],
      rotation: rotations.fromAxisAngle([0, 0, tilt * tipped]),
    };
  };
  const along = carriedBy(path, wrist);
  const closure = closeUntilContact(model, wrist, grip.posture, grip.solids, place);
  const [opened, closed] = [angles(grip.posture, OPEN), angles(grip.posture, closure)];
  const [approach, close] = shares(random);
  const to = reachFor(restPlace(world, model, random), wrist, grip.posture, [0.07, 0.055]);
  return {
    hands: oneHand(model, [
      {
        share: approach,
        wrist: (u) => to(minimumJerk(u)),
        fingers: (u) => mixEvenly(LIMP, opened)(Math.min(1, u / 0.55)),
      },
      { share: close, wrist: still(wrist), fingers: mixEvenly(opened, closed) },
      { share: 1 - approach - close, wrist: along, fingers: still(closed), acts: true },
    ]),
    caption: say([side], poured(body)),
  };
}

function push(world: World, body: Body, over: boolean, random: Random): HandsPlan {
  const from = firstPlace(body).position;
  const goal = world.goal!;
  const way = direction(subtract(goal, from))!;
  const side: HandSide = way[0] < 0 ? 'right' : 'left';
  const model = handOf(world, side, random);
  const { solids } = body;
  const top = Math.max(...solids.map(({ shape, position }) => position[1] + halfExtents(shape)[1]));
  const level = over ? Math.max(0.06, top * 0.9) : Math.max(0.052 * model.size, Math.min(0.07, top * 0.6));
  // Thumb up, the palm ahead.
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
  const size = Math.max(
    ...solids.map(({ shape }) => Math.hypot(halfExtents(shape)[0], halfExtents(shape)[2])),
  );
  const reach = over ? 0.19 : rotations.length(subtract(goal, from));
  const start = -size - 0.03;
  const along = (u: number) => hold(start + (reach + 0.03) * minimumJerk(u));
  const first = along(0);
  const before = { ...first, position: add(first.position, [side === 'right' ? 0.05 : -0.05, 0.06, 0.05]) };
  const [approach, , act] = shares(random);
  return {
    hands: oneHand(model, pushPhases(world, random, model, along, before, approach, act + 0.1)),
    caption: say([side], over ? tipped(body) : pushed(body, wayOf(from, goal))),
  };
}

/** A hand that comes near, waves or waits, and goes back. */
function touchNothing(world: World, body: Body, random: Random): HandsPlan {
  const side: HandSide = random.chance(0.65) ? 'right' : 'left';
  const model = handOf(world, side, random);
  const out = side === 'right' ? 1 : -1;
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
