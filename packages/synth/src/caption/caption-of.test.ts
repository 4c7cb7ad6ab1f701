import { NO_HANDS, type Trajectory } from '@dwm/renderer';
import { expect, test } from 'vitest';
import {
  type Action,
  type Contact,
  captionOf,
  fault,
  findBody,
  firstPlace,
  type HandsRun,
  makeMotion,
  makeWorld,
  ROOMS,
  runHands,
  type World,
} from '../index.ts';
import { worldMatrix } from '../world/world.ts';

const SETTINGS = { width: 96, height: 64, frames: 17, fps: 8, fixedCamera: true };

/** The first seed whose motion works out, so that what hands set out to do happens. */
async function acted(action: Action) {
  for (let seed = 1000; seed < 1020; seed++) {
    const world = await makeWorld(seed, action);
    const motion = makeMotion(world, SETTINGS);
    const run = await runHands(world, motion.acting);
    if (!fault(world, motion, run)) return { world, motion, run };
  }
  throw new Error(`20 seeds of ${action} are rejected`);
}

// What is tried, or pushed though it is shut, is told by what comes of it.
test.each(ROOMS.filter((action) => action !== 'try-drawer' && action !== 'push-shut-drawer'))(
  '%s: what the hands did is told in the words of the motion, without the motion',
  async (action) => {
    const { world, motion, run } = await acted(action);
    expect(captionOf(world, motion.acting, run)).toBe(motion.caption);
  },
);

test('a hand that does something else than the room is for is told by what it does', async () => {
  const world = await makeWorld(1000, 'pull-drawer');
  const idle = makeMotion(world, { ...SETTINGS, action: 'touch-nothing' }).acting;
  const told = captionOf(world, idle, await runHands(world, idle));
  expect(told).toMatch(/^The (left|right) hand (waves|reaches out) and touches nothing\.$/);
  const gone = { ...idle, frames: idle.frames.map((frame) => ({ ...frame, hands: NO_HANDS })) };
  expect(captionOf(world, gone, await runHands(world, gone))).toBe('Nobody is there, and nothing moves.');
});

/** A run in which a part goes along `places` (its shift from where it began), touched and held by hands. */
function made(
  world: World,
  part: string,
  shifts: readonly (readonly [number, number, number])[],
  { sides = ['right'], held = false }: { sides?: readonly ('left' | 'right')[]; held?: boolean } = {},
): HandsRun {
  const body = findBody(world, part);
  const { position, rotation } = firstPlace(body);
  const contacts = shifts.flatMap((_, frame) => sides.map((side): Contact => ({ frame, side, part })));
  return {
    moving: [
      {
        node: body.node,
        name: part,
        worlds: shifts.map((shift) =>
          worldMatrix({
            position: [position[0] + shift[0], position[1] + shift[1], position[2] + shift[2]],
            rotation,
          }),
        ),
      },
    ],
    contacts,
    holds: held ? contacts.slice(0, -sides.length) : [],
  };
}

test('things: which way they go, by whom, and whether they are put down', async () => {
  const world = await makeWorld(1000, 'push-object');
  const { acting } = makeMotion(world, SETTINGS);
  const short: Trajectory = { ...acting, frames: acting.frames.slice(0, 3) };
  const { words } = findBody(world, world.actor);
  const told = (last: readonly [number, number, number], how?: Parameters<typeof made>[3], rise = 0) =>
    captionOf(world, short, made(world, world.actor, [[0, 0, 0], [0, rise, 0], last], how));
  expect(told([0.1, 0, 0])).toBe(`The right hand pushes ${words} to the right.`);
  expect(told([-0.1, 0, 0.02], { sides: ['left'] })).toBe(`The left hand pushes ${words} to the left.`);
  expect(told([0, 0, -0.1])).toBe(`The right hand pushes ${words} away.`);
  expect(told([0, 0, 0.1])).toBe(`The right hand pulls ${words} back.`);
  expect(told([0, -0.7, 0.1])).toBe(`The right hand knocks ${words} down.`);
  expect(told([0.01, 0, 0])).toBe(`The right hand touches ${words}.`);
  expect(told([0.01, 0, 0], { held: true })).toBe(`The right hand takes hold of ${words}.`);
  expect(told([0.2, 0, 0], { held: true }, 0.1)).toBe(
    `The right hand picks up ${words} and puts it down on the right.`,
  );
  expect(told([0, 0, 0], { held: true, sides: ['left', 'right'] }, 0.1)).toBe(
    `Both hands lift ${words} and put it down.`,
  );
});

test('what opens: in the end, or to and fro', async () => {
  const world = await makeWorld(1000, 'pull-drawer');
  const { acting } = makeMotion(world, SETTINGS);
  const { words } = findBody(world, world.actor);
  const still = { ...acting, frames: acting.frames.map(() => acting.frames[0]) };
  const told = (opening: readonly number[], held = true, hands: Trajectory = still) => {
    const shifts = opening.map((value) => [0, 0, value] as const);
    const run = made(world, world.actor, shifts, { held });
    return captionOf(world, hands, { ...run, moving: [{ ...run.moving[0], opening }] });
  };
  expect(told([0, 0.1, 0.2])).toBe(`The right hand pulls open ${words}.`);
  expect(told([0, 0.2, 0])).toBe(`The right hand pulls open ${words} and pushes it shut.`);
  expect(told([0, 0.001, 0])).toBe('The right hand takes hold of a handle.');
  expect(told([0, 0.001, 0], false)).toBe(`The right hand touches ${words}.`);
  expect(told([0, 0.001, 0], false, acting)).toBe(`The right hand pushes ${words} shut.`);
});

test('two things that were moved are told one after the other, one that was only touched is not', async () => {
  const world = await makeWorld(1000, 'push-object');
  const { acting } = makeMotion(world, SETTINGS);
  const short: Trajectory = { ...acting, frames: acting.frames.slice(0, 2) };
  const loose = world.bodies.filter(({ motion }) => motion === 'loose').map(({ name }) => name);
  expect(loose.length).toBeGreaterThan(2);
  const runs = loose.slice(0, 3).map((name, i) =>
    made(
      world,
      name,
      [
        [0, 0, 0],
        [i === 2 ? 0.01 : 0.1, 0, 0],
      ],
      { sides: [i === 1 ? 'left' : 'right'] },
    ),
  );
  const run = {
    moving: runs.flatMap(({ moving }) => moving),
    contacts: runs.flatMap(({ contacts }) => contacts),
    holds: [],
  };
  const [first, second] = loose.map((name) => findBody(world, name).words);
  expect(captionOf(world, short, run)).toBe(
    `The right hand pushes ${first} to the right. The left hand pushes ${second} to the right.`,
  );
});
