/**
 * What hands do: approach, grasp, act, release, for every action, as 25 joints a hand in every frame. The motion knows
 * where things are and not what comes of it; that is physics' part.
 */
import { type HandSide, type Hands, SIDES, type Trajectory } from '@dwm/renderer';
import { headPath, rightOf } from '../camera/head.ts';
import { DESERTED } from '../caption/words.ts';
import { Random } from '../random.ts';
import { type Action, FIRST_TEST_SEED, type Forearm } from '../types.ts';
import { hsv } from '../world/look.ts';
import type { Color } from '../world/mesh.ts';
import type { Placement } from '../world/solid.ts';
import type { World } from '../world/world.ts';
import { handsMotion } from './actions.ts';
import { elbowOf, shoulderOf } from './arm.ts';
import type { HandsMotion } from './hand-motion.ts';
import { poseSkeleton, wristOf } from './skeleton.ts';
import { blend, phaseAt } from './timeline.ts';

/** Size, length and rate of the clip that a motion is made for. */
export interface MotionSettings {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  readonly fps: number;
  readonly fixedCamera: boolean;
  /** Another action than the world was made for, e.g. `touch-nothing` before a drawer. */
  readonly action?: Action;
}

/** What the hands and the camera are to do, frame by frame. */
export interface Motion {
  readonly action: Action;
  readonly caption: string;
  readonly acting: Trajectory;
  readonly forearms: Readonly<Partial<Record<HandSide, Forearm>>>;
  /** Frames in which the hands do what the action is about. */
  readonly actingFrames: readonly number[];
}

/** Skin tones from light to dark, as displayed hue, saturation and value. */
const SKINS = [
  [0.06, 0.28, 0.95],
  [0.065, 0.38, 0.87],
  [0.07, 0.46, 0.75],
  [0.065, 0.5, 0.6],
  [0.06, 0.52, 0.45],
  [0.055, 0.55, 0.33],
] as const;

/**
 * Share of the training clips in which nothing is touched that have no hand at all: what is seen then is the static video.
 * Not for testing, where copying that would be without fault and spoil every mean.
 */
const NOBODY = 0.5;

const isDeserted = (world: World, { action }: MotionSettings): boolean =>
  action === undefined &&
  world.action === 'touch-nothing' &&
  world.seed < FIRST_TEST_SEED &&
  Random.fork(world.seed, 'nobody').chance(NOBODY);

/** Camera and hands for a world's action. */
export function makeMotion(world: World, settings: MotionSettings): Motion {
  const action = settings.action ?? world.action;
  const random = Random.fork(world.seed, `hands ${action}`);
  const motion = isDeserted(world, settings)
    ? { hands: {}, caption: DESERTED }
    : handsMotion(world, action, random);
  const { hands, actingFrames } = handFrames(motion, settings.frames);
  const acting = cameraFor(world, settings)(hands);
  return { action, caption: motion.caption, acting, forearms: forearmsFor(world, acting), actingFrames };
}

/** The camera of a clip, which sees hands in all of its frames or in the first ones. */
export function cameraFor(world: World, settings: MotionSettings): (hands: readonly Hands[]) => Trajectory {
  const { frames, fps, fixedCamera: fixed } = settings;
  const seconds = Array.from({ length: frames }, (_, i) => i / fps);
  const look = Random.fork(world.seed, 'camera');
  const { intrinsics, poses } = headPath(look, world, { ...settings, seconds, fixed });
  return (hands) => ({
    fps,
    frames: hands.map((now, i) => ({ seconds: seconds[i], intrinsics, camera: poses[i], hands: now })),
  });
}

/** Frames in which a hand goes from where it is to where its next act would have it. */
const JOINING = 3;

/**
 * A motion's hands in so many frames, and in which of them they act.
 * @param from wrists in the frame before, where there is one.
 */
export function handFrames(
  { hands }: Pick<HandsMotion, 'hands'>,
  frames: number,
  from: Readonly<Partial<Record<HandSide, Placement>>> = {},
): { readonly hands: readonly Hands[]; readonly actingFrames: readonly number[] } {
  const actingFrames: number[] = [];
  const all = Array.from({ length: frames }, (_, i) => {
    const part = frames > 1 ? i / (frames - 1) : 0;
    const now: Record<HandSide, Hands[HandSide]> = { left: null, right: null };
    for (const side of SIDES) {
      const hand = hands[side];
      if (!hand) continue;
      const { phase, u } = phaseAt(hand.phases, part);
      const wrist = phase.wrist(u);
      const before = i < JOINING - 1 && from[side];
      const place = before ? blend(before, wrist, (i + 1) / JOINING) : wrist;
      now[side] = poseSkeleton(hand.model, place, phase.fingers(u));
      if (phase.acts && actingFrames.at(-1) !== i) actingFrames.push(i);
    }
    return now;
  });
  return { hands: all, actingFrames };
}

/** The arms of whoever lives in the world, behind the hands of any trajectory. */
export function forearmsFor(
  world: Pick<World, 'seed' | 'eye' | 'focus'>,
  { frames }: Trajectory,
): Motion['forearms'] {
  const person = Random.fork(world.seed, 'person');
  const skin = skinColor(person);
  // Nothing that a model is given tells the sleeve, so it is muted and always there.
  const sleeve = hsv(person.uniform(0.55, 0.68), person.uniform(0.15, 0.4), person.uniform(0.2, 0.4));
  const sleeveLength = person.uniform(0.55, 0.75);
  const right = rightOf(world.eye, world.focus);
  const sides = SIDES.filter((side) => frames.some(({ hands }) => hands[side]?.joints));
  return Object.fromEntries(
    sides.map((side) => {
      const shoulders = frames.map(({ camera: { matrix: m }, hands }) =>
        hands[side]?.joints ? shoulderOf(side, [m[3], m[7], m[11]], right) : null,
      );
      const elbows = frames.map(({ hands }, i) => {
        const shoulder = shoulders[i];
        return shoulder && elbowOf(side, shoulder, wristOf(hands[side]!.joints!).position, right);
      });
      return [side, { elbows, shoulders, skin, sleeve, sleeveLength }];
    }),
  );
}

function skinColor(random: Random): Color {
  const [hue, saturation, value] = random.pick(SKINS);
  return hsv(
    hue + random.uniform(-0.008, 0.008),
    saturation + random.uniform(-0.05, 0.05),
    value + random.uniform(-0.04, 0.04),
  );
}
