/** The phases of a hand that takes hold: it reaches, closes, acts, lets go, and goes back. */
import type { Random } from '../random.ts';
import type { Placement } from '../world/solid.ts';
import type { PostureName, World } from '../world/world.ts';
import { LIMP, mixEvenly, restPlace, still } from './hand-motion.ts';
import { angles, type Closure, OPEN } from './posture.ts';
import type { HandModel } from './skeleton.ts';
import { blend, minimumJerk, type Phase, type Shares, shares, throughPlaces } from './timeline.ts';
import { withdrawn } from './wrist.ts';

/** A hand's hold of something. */
export interface Hold {
  readonly model: HandModel;
  readonly posture: PostureName;
  readonly closure: Closure;
  /** How far off the hand waits: back along its fingers and out along its back, metres. */
  readonly off: readonly [back: number, out: number];
}

/** Reach for what is held at `wrist`, and close on it. */
export function takeHold(
  world: World,
  random: Random,
  { model, posture, closure, off }: Hold,
  wrist: Placement,
  [approach, close]: Readonly<Shares>,
): Phase[] {
  const rest = restPlace(world, model, random);
  const [opened, closed] = [angles(posture, OPEN), angles(posture, closure)];
  const reach = throughPlaces(
    [rest, apart(wrist, off), beside(wrist, posture, off), wrist],
    [0, 0.5, 0.76, 1],
  );
  return [
    {
      share: approach,
      wrist: (u) => reach(minimumJerk(u)),
      fingers: (u) => mixEvenly(LIMP, opened)(Math.min(1, u / 0.55)),
    },
    { share: close, wrist: still(wrist), fingers: mixEvenly(opened, closed) },
  ];
}

/** Take hold, act along `wristAlong`, let go, go back. */
export function graspPhases(
  world: World,
  random: Random,
  hold: Hold,
  wristAlong: (u: number) => Placement,
  timing = shares(random),
): Phase[] {
  const { model, posture, closure, off } = hold;
  const taken = takeHold(world, random, hold, wristAlong(0), timing);
  const [, , act, open, leave] = timing;
  const end = wristAlong(1);
  const [opened, closed] = [angles(posture, OPEN), angles(posture, closure)];
  // Two hands beside a large thing would knock it on their way back.
  const back = posture === 'flat' ? 0.1 : 0.7;
  const home = blend(apart(end, off), restPlace(world, model, random), back);
  const away = throughPlaces([end, beside(end, posture, off), apart(end, off), home], [0, 0.25, 0.5, 1]);
  return [
    ...taken,
    { share: act, wrist: (u) => wristAlong(minimumJerk(u)), fingers: still(closed), acts: true },
    { share: open, wrist: still(end), fingers: mixEvenly(closed, opened) },
    { share: leave, wrist: (u) => away(minimumJerk(u)), fingers: mixEvenly(opened, LIMP) },
  ];
}

/** Next to where the hand holds; hooked fingers have to pass over what they hook on. */
const beside = (place: Placement, posture: PostureName, [back, out]: Hold['off']) =>
  withdrawn(place, posture === 'hook' ? 0.008 : back, out);
const apart = (place: Placement, [back, out]: Hold['off']) => withdrawn(place, back + 0.06, out + 0.04);
