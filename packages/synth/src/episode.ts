/**
 * An episode: several acts one after the other in one room, each made for the room as the ones before left it. What
 * was pulled open is pushed shut again, left open by hands that do something else, or reached for in vain.
 */
import { type HandSide, type Hands, SIDES } from '@dwm/renderer';
import { captionOf } from './caption/caption-of.ts';
import { clipOf } from './clip-of.ts';
import { fault } from './fault.ts';
import { handsMotion } from './motion/actions.ts';
import { cameraFor, forearmsFor, handFrames, type MotionSettings } from './motion/make-motion.ts';
import { wristOf } from './motion/skeleton.ts';
import { type HandsRun, runHands } from './physics/run-hands.ts';
import { Random } from './random.ts';
import type { Act, Action, Rejected, Rejection, SimulatedClip } from './types.ts';
import type { Placement } from './world/solid.ts';
import { anotherOf, findBody, isJoint, type World, worldAt } from './world/world.ts';

/** Frames that an act needs at least. */
export const SHORTEST_ACT = 12;

/** How often another act is tried where one fails. */
const TRIES = 6;

/** What a drawer, a door and a lid are opened and closed by. */
const JOINTS: readonly {
  readonly rooms: readonly Action[];
  readonly opens: Action;
  readonly closes: Action;
}[] = [
  {
    rooms: ['pull-drawer', 'push-drawer', 'push-shut-drawer', 'try-drawer'],
    ...{ opens: 'pull-drawer', closes: 'push-drawer' },
  },
  { rooms: ['open-door', 'close-door'], opens: 'open-door', closes: 'close-door' },
  { rooms: ['open-lid', 'close-lid'], opens: 'open-lid', closes: 'close-lid' },
];

/** An act as it was played. */
interface Played {
  readonly act: Act;
  readonly hands: readonly Hands[];
  readonly run: HandsRun;
}

/** What hands do in a room as it is when they begin. */
export type ChooseAct = (now: World, random: Random) => Action;

/** What may follow an act, at random. */
export const nextAct: ChooseAct = (now, random) => random.weighted(following(now));

/**
 * `begin`, or, in half of the rooms with something to open or close, whatever may follow: a model that only ever saw
 * the first act open a thing opens it for any hand.
 */
export const firstAct =
  (begin: Action): ChooseAct =>
  (now, random) =>
    isJoint(findBody(now, now.actor).motion) && random.chance(0.5) ? nextAct(now, random) : begin;

/** The frames that acts start in: each as long. */
export const evenStarts = (acts: number, frames: number): readonly number[] =>
  Array.from({ length: acts }, (_, k) => Math.round((k * frames) / acts));

/** The same with lengths at random, none below `SHORTEST_ACT`. */
export function anyStarts(acts: number, frames: number, random: Random): readonly number[] {
  const spare = frames - acts * SHORTEST_ACT;
  const cuts = Array.from({ length: acts - 1 }, () => random.integer(0, spare)).sort((a, b) => a - b);
  return [0, ...cuts.map((cut, k) => cut + (k + 1) * SHORTEST_ACT)];
}

/**
 * @param acts one or more.
 * @param starts the frame of each act's start.
 * @throws what Rapier throws where WebAssembly cannot run.
 */
export async function simulateEpisode(
  world: World,
  settings: MotionSettings,
  acts: readonly ChooseAct[],
  starts: readonly number[],
): Promise<SimulatedClip | Rejected> {
  const { seed } = world;
  const { frames, fixedCamera } = settings;
  const room: World = { ...world, handSize: Random.fork(seed, 'hand size').uniform(0.92, 1.12) };
  const seen = cameraFor(room, settings);

  /** The act from `from` to before `to`, in the room as it is `now`, after the hands so far. */
  const play = async (
    [from, to]: readonly [number, number],
    now: World,
    before: readonly Hands[],
    action: Action,
    random: Random,
  ): Promise<Played | Rejection> => {
    const { own, does } = aimed(now, action);
    const motion = handsMotion(own, does, random);
    const last = before.at(-1);
    const { hands, actingFrames } = handFrames(motion, to - from, last && wristsOf(last));
    const all = [...before, ...hands];
    const acting = seen(all);
    const run = await runHands(room, acting);
    // With the frame before, in which all is as the acts before left it.
    const first = Math.max(0, from - 1);
    const part = {
      action: does,
      acting: { ...acting, frames: acting.frames.slice(first) },
      actingFrames: actingFrames.map((frame) => frame + from - first),
    };
    return fault(own, part, since(run, first)) ?? { act: { action, from }, hands: all, run };
  };

  const played: Played[] = [];
  for (const [k, choose] of acts.entries()) {
    const span = [starts[k], starts[k + 1] ?? frames] as const;
    const before = played.at(-1);
    const now = before ? worldAt(room, before.run.moving, span[0] - 1) : room;
    let result: Played | Rejection = 'no-motion';
    for (let tried = 0; tried < TRIES && typeof result === 'string'; tried++) {
      const random = Random.fork(seed, `act ${k} ${tried}`);
      result = await play(span, now, before?.hands ?? [], choose(now, random), random);
    }
    if (typeof result === 'string') return { seed, action: settings.action ?? room.action, rejected: result };
    played.push(result);
  }

  const { hands, run } = played.at(-1)!;
  const acting = seen(hands);
  const motion = {
    action: played[0].act.action,
    caption: captionOf(room, acting, run),
    acting,
    forearms: forearmsFor(room, acting),
  };
  return { ...clipOf(room, motion, run, fixedCamera), acts: played.map(({ act }) => act) };
}

/** The room for an action, with what opens or closes its thing as it is now, and what the hands do. */
function aimed(world: World, action: Action): { readonly own: World; readonly does: Action } {
  const takesOther = action === 'take-another';
  const place = takesOther ? (anotherOf(world) ?? world) : world;
  const own = { ...place, action: ownAction(place) };
  return { own, does: takesOther ? own.action : action };
}

/** How far a joint is on its way, 0 to 1; undefined for what is on none. */
function openness({ motion }: ReturnType<typeof findBody>): number | undefined {
  if (!isJoint(motion)) return undefined;
  const [low, high] = motion.limits;
  return (motion.opening - low) / (high - low);
}

/** What opens or closes the room's thing as it is now. */
export function ownAction(world: World): Action {
  const open = openness(findBody(world, world.actor));
  const joint = JOINTS.find(({ rooms }) => rooms.includes(world.action));
  if (open === undefined || !joint) return world.action;
  return open > 0.5 ? joint.closes : joint.opens;
}

/** What may come next in a room, and how often. */
function following(world: World): readonly (readonly [Action, number])[] {
  const open = openness(findBody(world, world.actor));
  const idle = [
    ['touch-nothing', 1],
    ['wander', 1],
  ] as const;
  // A thing that was carried, poured or knocked over is not where its action wants it.
  if (open === undefined) return idle;
  const failing = [
    ['stop-short', 1],
    ['miss', 1],
  ] as const;
  const own = ownAction(world);
  // As often left open as shut again.
  const always = [[own, 4], ...idle, ...failing] as const;
  if (open > 0.3) return always;
  return [
    ...always,
    ['graze', 1],
    ...(own === 'pull-drawer' ? ([['push-shut-drawer', 1]] as const) : []),
    ...(anotherOf(world) ? ([['take-another', 1.5]] as const) : []),
  ];
}

const wristsOf = (hands: Hands): Partial<Record<HandSide, Placement>> =>
  Object.fromEntries(
    SIDES.flatMap((side) => {
      const joints = hands[side]?.joints;
      return joints ? [[side, wristOf(joints)]] : [];
    }),
  );

/** What happened from a frame on, counted from there. */
function since({ moving, contacts, holds }: HandsRun, first: number): HandsRun {
  const later = (events: HandsRun['contacts']) =>
    events.flatMap((event) => (event.frame > first ? [{ ...event, frame: event.frame - first }] : []));
  return {
    moving: moving.map((part) => ({
      ...part,
      worlds: part.worlds.slice(first),
      ...(part.opening && { opening: part.opening.slice(first) }),
    })),
    contacts: later(contacts),
    holds: later(holds),
  };
}
