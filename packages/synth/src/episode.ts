/**
 * An episode: several acts one after the other in one room, each planned for the room as the ones before left it. What
 * was pulled open is pushed shut again, left open by hands that do something else, or reached for in vain.
 */
import { type HandSide, type Hands, SIDES, type Trajectory } from '@dwm/renderer';
import { headPath } from './camera/head.ts';
import { captionOf } from './caption/caption-of.ts';
import { clipOf } from './clip-of.ts';
import { fault } from './fault.ts';
import { planHands } from './motion/actions.ts';
import { forearmsFor, handFrames } from './motion/plan-action.ts';
import { wristOf } from './motion/skeleton.ts';
import { type HandsRun, runHands } from './physics/run-hands.ts';
import { Random } from './random.ts';
import type { Act, Action, ClipSettings, Rejected, Rejection, SimulatedClip } from './types.ts';
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

/** An act that was planned and played. */
interface Played {
  readonly act: Act;
  readonly hands: readonly Hands[];
  readonly run: HandsRun;
}

/** @param settings with two `acts` or more. @throws what Rapier throws where WebAssembly cannot run. */
export async function simulateEpisode(
  world: World,
  settings: ClipSettings,
  fixedCamera: boolean,
): Promise<SimulatedClip | Rejected> {
  const { seed } = world;
  const { acts, frames, fps = 8 } = { acts: 2, ...settings };
  const room: World = { ...world, handSize: Random.fork(seed, 'hand size').uniform(0.92, 1.12) };
  const seconds = Array.from({ length: frames }, (_, i) => i / fps);
  const look = Random.fork(seed, 'camera');
  const camera = headPath(look, room, { ...settings, seconds, fixed: fixedCamera });
  const acting = (hands: readonly Hands[]): Trajectory => ({
    fps,
    frames: hands.map((now, i) => ({
      ...{ seconds: seconds[i], intrinsics: camera.intrinsics, camera: camera.poses[i], hands: now },
    })),
  });

  /** The act from `from` to before `to`, after the hands and the run so far. */
  const play = async (
    [from, to]: readonly [number, number],
    before: Played | undefined,
    action: Action,
    random: Random,
  ): Promise<Played | Rejection> => {
    const now = before ? worldAt(room, before.run.moving, from - 1) : room;
    const place = action === 'take-another' ? (anotherOf(now) ?? now) : now;
    const own: World = { ...place, action: ownAction(place) };
    const plan = planHands(own, action === 'take-another' ? own.action : action, random);
    const wrists = before && wristsOf(before.hands.at(-1)!);
    const { hands, actingFrames } = handFrames(plan, to - from, wrists);
    const all = [...(before?.hands ?? []), ...hands];
    const run = await runHands(room, acting(all));
    // With the frame before, in which all is as the acts before left it.
    const first = Math.max(0, from - 1);
    const part = { ...acting(all), frames: acting(all).frames.slice(first) };
    const problem = fault(
      own,
      {
        ...{ action: action === 'take-another' ? own.action : action, caption: plan.caption, forearms: {} },
        ...{ acting: part, actingFrames: actingFrames.map((frame) => frame + from - first) },
      },
      since(run, first),
    );
    return problem ?? { act: { action, from }, hands: all, run };
  };

  const played: Played[] = [];
  for (let k = 0; k < acts; k++) {
    const span = [Math.round((k * frames) / acts), Math.round(((k + 1) * frames) / acts)] as const;
    const before = played.at(-1);
    let result: Played | Rejection = 'no-motion';
    for (let tried = 0; tried < TRIES && typeof result === 'string'; tried++) {
      const random = Random.fork(seed, `act ${k} ${tried}`);
      const now = before ? worldAt(room, before.run.moving, span[0] - 1) : room;
      const action = before ? random.weighted(following(now)) : (settings.action ?? room.action);
      result = await play(span, before, action, random);
    }
    if (typeof result === 'string') return { seed, action: settings.action ?? room.action, rejected: result };
    played.push(result);
  }

  const { hands, run } = played.at(-1)!;
  const trajectory = acting(hands);
  const plan = {
    action: played[0].act.action,
    caption: captionOf(room, trajectory, run),
    ...{ acting: trajectory, forearms: forearmsFor(room, trajectory) },
  };
  return { ...clipOf(room, plan, run, fixedCamera), acts: played.map(({ act }) => act) };
}

/** How far a joint is on its way, 0 to 1; undefined for what is on none. */
function openness({ motion }: ReturnType<typeof findBody>): number | undefined {
  if (!isJoint(motion)) return undefined;
  const [low, high] = motion.limits;
  return (motion.opening - low) / (high - low);
}

/** What opens or closes the room's thing as it is now. */
function ownAction(world: World): Action {
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
  // As often left open as shut again.
  if (open > 0.3) return [[ownAction(world), 4], ...idle, ...failing];
  const isDrawer = ownAction(world) === 'pull-drawer';
  return [
    [ownAction(world), 4],
    ...idle,
    ...failing,
    ['graze', 1],
    ...(isDrawer ? ([['push-shut-drawer', 1]] as const) : []),
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
