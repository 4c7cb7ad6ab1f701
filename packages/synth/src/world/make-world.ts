/**
 * A room for an action, from a seed: one main piece of furniture in front of the viewer, the thing that the action is
 * for, and clutter, brought to rest in the physics so that nothing moves or floats in frame 0.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { Vec3 } from '@dwm/renderer';
import { Bodies } from '../physics/bodies.ts';
import { Random } from '../random.ts';
import { type Action, ROOMS } from '../types.ts';
import { SceneBuilder } from './builder.ts';
import { addBowl, addChest, addLever, addPitcher } from './containers.ts';
import { addCupboard, addDrawers, addTable, type Surface } from './furniture.ts';
import { lighting, palette } from './look.ts';
import { addCrate, addThing, type Made, THINGS, type Thing } from './objects.ts';
import { type Part, suits } from './parts.ts';
import { addRoom } from './room.ts';
import type { Body, World } from './world.ts';

/** How often each action comes up that is not asked for by name. */
const SHARES: readonly (readonly [Action, number])[] = [
  ['pull-drawer', 5],
  ['push-drawer', 3],
  ['open-door', 4],
  ['close-door', 2],
  ['open-lid', 2],
  ['close-lid', 1.5],
  ['flip-switch', 2],
  ['pick-and-place', 4],
  ['push-object', 3],
  ['topple', 2],
  ['pour', 2],
  ['touch-nothing', 3],
];

/** An action, drawn by the shares that data sets have. */
export const chooseAction = (random: Random): Action => random.weighted(SHARES);

/** Seconds that loose things are given to come to rest. */
const SETTLE = 0.6;

/** Near misses have a room for what they miss. */
const roomFor = (seed: number, action: Action): Action =>
  ROOMS.includes(action) ? action : Random.fork(seed, 'room').pick(['pull-drawer', 'open-door'] as const);

/**
 * The same seed, action and parts give the same world. @param asked chosen by the seed where it is left out.
 * @param parts may stand about and be acted on, each as likely as one of our own kinds of things.
 * @param rest what `restOf` gave for the same world: the physics, which is large, is then not loaded.
 * @throws InvalidArgumentError where `rest` is of another world.
 */
export async function makeWorld(
  seed: number,
  asked: Action = chooseAction(Random.fork(seed, 'action')),
  parts: readonly Part[] = [],
  rest?: readonly number[],
): Promise<World> {
  const action = roomFor(seed, asked);
  const random = Random.fork(seed, 'world');
  const colors = palette(random);
  const lights = lighting(random);
  const scene = new SceneBuilder();
  const set = stage(scene, random, colors, action, parts);
  const bodies = rest ? atRest(scene.bodies, rest) : await settled(scene.bodies);
  return { seed, action, lights, bodies, scene: scene.scene(`seed ${seed}`, bodies), ...set };
}

type Stage = Pick<World, 'actor' | 'goal' | 'eye' | 'focus'>;

function stage(
  scene: SceneBuilder,
  random: Random,
  colors: ReturnType<typeof palette>,
  action: Action,
  parts: readonly Part[],
): Stage {
  // Nothing is touched beside any kind of furniture.
  const theme =
    action === 'touch-nothing'
      ? random.pick([
          'pull-drawer',
          'push-drawer',
          'open-door',
          'open-lid',
          'pick-and-place',
          'flip-switch',
        ] as const)
      : action;
  switch (theme) {
    case 'pull-drawer':
    case 'push-drawer':
    case 'push-shut-drawer':
    case 'try-drawer':
      return drawerStage(scene, random, colors, theme === 'push-drawer', parts);
    case 'open-door':
    case 'close-door':
      return doorStage(scene, random, colors, theme === 'close-door', parts);
    case 'open-lid':
    case 'close-lid':
      return lidStage(scene, random, colors, theme === 'close-lid', parts);
    case 'flip-switch':
      return leverStage(scene, random, colors);
    case 'pour':
      return pourStage(scene, random, colors, parts);
    default:
      return tableStage(scene, random, colors, theme, parts);
  }
}

/** What an action is done to. */
const KINDS: Partial<Record<Action, readonly Thing[]>> = {
  'push-object': ['box', 'book', 'cup', 'can', 'ball'],
  topple: ['bottle', 'bottle', 'carton'],
  'pick-and-place': ['cup', 'bottle', 'box', 'can'],
};

function lidStage(
  scene: SceneBuilder,
  random: Random,
  colors: ReturnType<typeof palette>,
  open: boolean,
  parts: readonly Part[],
): Stage {
  const table = addTable(scene, random, colors);
  addRoom(scene, random, colors, { floor: 0, wall: table.back - random.uniform(0.08, 0.4) });
  const foot: Vec3 = [random.uniform(-0.05, 0.05), table.y, random.uniform(-0.06, 0.02)];
  const { actor, floor, halfWidth, halfDepth } = addChest(scene, random, colors, foot, open);
  if (random.chance(0.75))
    addThing(
      scene,
      random,
      random.pick(['ball', 'ball', 'book'] as const),
      [foot[0] + random.uniform(-0.3, 0.3) * halfWidth, floor, foot[2] + 0.2 * halfDepth],
      false,
      0.6,
    );
  clutter(
    scene,
    random,
    { ...table, halfWidth: 0.34, front: -0.06, back: Math.max(table.back, -0.28) },
    random.integer(0, 2),
    [{ at: foot, radius: 0.2 }],
    parts,
  );
  return {
    actor: actor.name,
    eye: [
      random.uniform(-0.1, 0.1),
      table.y + random.uniform(0.42, 0.5),
      foot[2] + random.uniform(0.46, 0.54),
    ],
    focus: [foot[0], table.y + 0.15, foot[2] + 0.02],
  };
}

function leverStage(scene: SceneBuilder, random: Random, colors: ReturnType<typeof palette>): Stage {
  addRoom(scene, random, colors, { floor: 0, wall: 0, bare: true });
  const at = [random.uniform(-0.05, 0.05), random.uniform(1.1, 1.3)] as const;
  const up = random.chance(0.5);
  const actor = addLever(scene, random, at, up);
  return {
    actor: actor.name,
    eye: [at[0] + random.uniform(-0.14, 0.14), at[1] + random.uniform(0.12, 0.24), random.uniform(0.5, 0.58)],
    focus: [at[0], at[1] - 0.01, 0.08],
  };
}

function pourStage(
  scene: SceneBuilder,
  random: Random,
  colors: ReturnType<typeof palette>,
  parts: readonly Part[],
): Stage {
  const table = addTable(scene, random, colors);
  addRoom(scene, random, colors, { floor: 0, wall: table.back - random.uniform(0.08, 0.5) });
  const side = random.sign();
  const from: Vec3 = [side * random.uniform(0.1, 0.14), table.y, random.uniform(-0.02, 0.04)];
  const goal: Vec3 = [-side * random.uniform(0.05, 0.09), table.y, from[2] + random.uniform(-0.02, 0.02)];
  addBowl(scene, random, { position: goal, rotation: [0, 0, 0, 1] });
  const { body } = addPitcher(scene, random, from);
  const keep = [from, goal].map((at) => ({ at, radius: 0.15 }));
  clutter(
    scene,
    random,
    { ...table, halfWidth: 0.34, front: -0.1, back: Math.max(table.back, -0.28) },
    random.integer(0, 2),
    keep,
    parts,
  );
  return {
    actor: body.name,
    goal,
    eye: [
      random.uniform(-0.06, 0.06),
      table.y + random.uniform(0.38, 0.46),
      from[2] + random.uniform(0.46, 0.54),
    ],
    focus: [mid(from, goal)[0], table.y + 0.1, from[2]],
  };
}

function drawerStage(
  scene: SceneBuilder,
  random: Random,
  colors: ReturnType<typeof palette>,
  open: boolean,
  parts: readonly Part[],
): Stage {
  const { actor, top } = addDrawers(scene, random, colors, open);
  addRoom(scene, random, colors, { floor: 0, wall: top.back - 0.05 });
  clutter(scene, random, top, random.integer(0, 3), [], parts);
  const y = actor.place.position[1];
  return {
    actor: actor.name,
    eye: [random.uniform(-0.14, 0.14), y + random.uniform(0.34, 0.44), random.uniform(0.62, 0.74)],
    focus: [0, y + random.uniform(-0.03, 0.02), random.uniform(0.16, 0.22)],
  };
}

function doorStage(
  scene: SceneBuilder,
  random: Random,
  colors: ReturnType<typeof palette>,
  open: boolean,
  parts: readonly Part[],
): Stage {
  const { actor, top, inside } = addCupboard(scene, random, colors, open);
  addRoom(scene, random, colors, { floor: 0, wall: top.back - 0.05 });
  clutter(scene, random, inside, random.integer(1, 3), [], parts);
  clutter(scene, random, top, random.integer(0, 2), [], parts);
  const [x, y] = actor.place.position;
  return {
    actor: actor.name,
    eye: [
      x + random.uniform(-0.12, 0.12),
      y + random.uniform(0.15, 0.32),
      random.uniform(0.7, 0.82) + (open ? 0.08 : 0),
    ],
    focus: [x, y + random.uniform(-0.03, 0.04), open ? 0.16 : 0.08],
  };
}

function tableStage(
  scene: SceneBuilder,
  random: Random,
  colors: ReturnType<typeof palette>,
  action: Action,
  parts: readonly Part[],
): Stage {
  const table = addTable(scene, random, colors);
  addRoom(scene, random, colors, { floor: 0, wall: table.back - random.uniform(0.08, 0.5) });
  const side = random.sign();
  const from: Vec3 = [side * random.uniform(0.04, 0.14), table.y, random.uniform(-0.02, 0.08)];
  const kinds = [
    ...(KINDS[action] ?? KINDS['pick-and-place']!),
    ...parts.filter((part) => suits(part, action)),
  ];
  const made =
    action === 'pick-and-place' && random.chance(0.25)
      ? addCrate(scene, random, from)
      : addThing(scene, random, random.pick(kinds), from, true);
  const goal: Vec3 =
    action === 'push-object'
      ? [from[0] - side * random.uniform(0.16, 0.24), table.y, from[2] + random.uniform(-0.03, 0.03)]
      : [from[0] - side * random.uniform(0.18, 0.28), table.y, from[2] + random.uniform(-0.08, 0.06)];
  const keep = [from, goal, mid(from, goal)].map((at) => ({ at, radius: 0.13 }));
  clutter(
    scene,
    random,
    { ...table, halfWidth: 0.34, front: -0.06, back: Math.max(table.back, -0.28) },
    random.integer(0, 3),
    keep,
    parts,
  );
  return {
    actor: made.body.name,
    goal,
    eye: [random.uniform(-0.1, 0.1), table.y + random.uniform(0.36, 0.46), random.uniform(0.44, 0.54)],
    focus: [mid(from, goal)[0] * 0.7, table.y + 0.05, from[2]],
  };
}

const mid = (a: Vec3, b: Vec3): Vec3 => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2];

/** Metres from the middle to a corner. */
const spread = ({ half }: Part): number => Math.hypot(half[0], half[2]);

/** Things on a surface, apart from each other and from what is kept free; where none fits, fewer. */
function clutter(
  scene: SceneBuilder,
  random: Random,
  { y, halfWidth, front, back }: Surface,
  count: number,
  keep: readonly { readonly at: Vec3; readonly radius: number }[],
  parts: readonly Part[],
): Made[] {
  const taken = [...keep];
  const kinds = [...THINGS, ...parts.filter((part) => spread(part) < 0.11)];
  const made: Made[] = [];
  for (let tries = 0; tries < 30 && made.length < count; tries++) {
    const at: Vec3 = [
      random.uniform(-halfWidth, halfWidth),
      y,
      random.uniform(Math.min(back + 0.06, front), Math.max(front - 0.06, back)),
    ];
    const kind = random.pick(kinds);
    const radius = typeof kind === 'object' ? spread(kind) : kind === 'book' ? 0.11 : 0.06;
    if (taken.some((other) => Math.hypot(other.at[0] - at[0], other.at[2] - at[2]) < radius + other.radius))
      continue;
    taken.push({ at, radius });
    made.push(addThing(scene, random, kind, at));
  }
  return made;
}

/** The bodies with loose ones where they come to rest. */
async function settled(bodies: readonly Body[]): Promise<Body[]> {
  const physics = await Bodies.create({ bodies });
  try {
    const steps = Math.round(SETTLE * physics.stepsPerFrame(1));
    for (let step = 0; step < steps; step++) physics.step();
    const places = new Map(physics.movable.map((movable) => [movable.body, physics.placement(movable)]));
    return bodies.map((body) => (body.motion === 'loose' ? { ...body, place: places.get(body)! } : body));
  } finally {
    physics.destroy();
  }
}

const isLoose = ({ motion }: Body) => motion === 'loose';

/** Where the loose things of a world came to rest: position and rotation of each, seven numbers a thing. */
export const restOf = ({ bodies }: World): number[] =>
  bodies.filter(isLoose).flatMap(({ place }) => [...place.position, ...place.rotation]);

function atRest(bodies: readonly Body[], rest: readonly number[]): Body[] {
  const count = bodies.filter(isLoose).length;
  if (rest.length !== 7 * count)
    throw new InvalidArgumentError('rest', `must have ${7 * count} numbers, got ${rest.length}`);
  let next = 0;
  return bodies.map((body) => {
    if (!isLoose(body)) return body;
    const [x, y, z, qx, qy, qz, qw] = rest.slice(7 * next, 7 * next + 7);
    next++;
    return { ...body, place: { position: [x, y, z], rotation: [qx, qy, qz, qw] } };
  });
}
