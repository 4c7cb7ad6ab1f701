/**
 * One's own hand put where landmarks show one. MediaPipe's network knows where its points lie in the picture, and often
 * not how far away they are: a hand that points away it takes for a flat one. So its metres count little, and a hand is
 * turned as those that reach out unless the picture says otherwise. What our head reads is trusted more.
 */
import { type HandSide, type Intrinsics, type Quaternion, rotations, type Vec3 } from '@dwm/renderer';
import type { SeenHand } from '../tracker/types.ts';
import { type Articulation, FREEDOMS, type Posture } from './articulation.ts';
import {
  beyondLimit,
  differences,
  extentOf,
  landmarksOf,
  placed,
  reprojectionError,
  sumOfSquares,
} from './differences.ts';
import { type FittedHand, firstGuess } from './fit-hand.ts';
import { leastSquares } from './least-squares.ts';
import { REACHING_ANGLES, reachingTurn, TURN_DEVIATION } from './reaching.ts';

const { add, compose, fromAxisAngle, inverse, toAxisAngle } = rotations;

/**
 * How far things are off: points in the picture by the hand's extent there, points in space in metres, turns from that
 * of a hand that reaches out in radians.
 */
interface Deviations {
  readonly picture: number;
  readonly space: number;
  readonly turn: number;
}
const OURS: Deviations = { picture: 0.1, space: 0.01, turn: 0.8 };
const MEDIAPIPES: Deviations = { picture: 0.06, space: 0.05, turn: TURN_DEVIATION };
/** Of a hand that may be taken for the other one. */
const DOUBTED = 0.1;
/** Of angles from those of a hand that reaches out; radians. */
const ANGLE_DEVIATION = 1;
const STEPS = 12;

/** A fitted hand, and how little it is like what is seen and like a hand that reaches out. */
export interface OwnHand extends FittedHand {
  readonly cost: number;
}

/**
 * @param seen as that side's hand, see `ownView`.
 * @param side whose hand it is taken for, whatever the network says.
 * @param rest that side's hand at rest, which `hand` bends, [25, 7].
 * @param isDoubted whether it may be of the other side.
 * @param near posture to begin with too, of the frame before.
 * @returns undefined where the landmarks are not those of a hand in front of the camera.
 */
export function fitOwnHand(
  seen: SeenHand,
  side: HandSide,
  camera: Intrinsics,
  hand: Articulation,
  rest: ArrayLike<number>,
  isDoubted: boolean,
  near?: Posture,
): OwnHand | undefined {
  const deviations = seen.own ? OURS : isDoubted ? { ...MEDIAPIPES, space: DOUBTED } : MEDIAPIPES;
  const guess = firstGuess(seen, camera, rest);
  const starts = [
    reaching(seen, side, camera, hand, rest),
    guess && { ...guess, angles: REACHING_ANGLES },
    near,
  ];
  const fits = starts.flatMap((start) =>
    start ? [fitFrom(start, seen, side, camera, hand, deviations)] : [],
  );
  const [best] = fits.filter(({ posture }) => posture.place[2] < 0).sort((a, b) => a.cost - b.cost);
  return best && { ...best, error: reprojectionError(seen, camera, landmarksOf(hand.joints(best.posture))) };
}

/** A hand that reaches out, where the picture shows this one. */
function reaching(
  seen: SeenHand,
  side: HandSide,
  camera: Intrinsics,
  hand: Articulation,
  rest: ArrayLike<number>,
): Posture | undefined {
  const atRest: Quaternion = [rest[3], rest[4], rest[5], rest[6]];
  const rotation = compose(reachingTurn(side), inverse(atRest));
  const posture: Posture = { place: [0, 0, 0], rotation, angles: REACHING_ANGLES };
  const points = landmarksOf(hand.joints(posture));
  const offset = placed(
    seen.points.map((_, i): Vec3 => [points[3 * i], -points[3 * i + 1], -points[3 * i + 2]]),
    seen,
    camera,
  );
  if (!offset) return undefined;
  return { ...posture, place: [offset[0], -offset[1], -offset[2]] };
}

/** A difference by its deviation; none counts more than one of two deviations. */
const tamed = (value: number) => value / Math.sqrt(1 + (value / 2) ** 2);

function fitFrom(
  start: Posture,
  seen: SeenHand,
  side: HandSide,
  camera: Intrinsics,
  hand: Articulation,
  { picture, space, turn }: Deviations,
) {
  const fromUsual = inverse(reachingTurn(side));
  const off = differences(seen, camera, { pixels: picture * extentOf(seen), metres: space });
  const postureOf = (x: readonly number[]): Posture => ({
    place: add(start.place, [x[0], x[1], x[2]]),
    rotation: compose(fromAxisAngle([x[3], x[4], x[5]]), start.rotation),
    angles: x.slice(6),
  });
  const residuals = (x: readonly number[]): number[] => {
    const joints = hand.joints(postureOf(x));
    const out = off(landmarksOf(joints)).map(tamed);
    const turned = toAxisAngle(compose([joints[3], joints[4], joints[5], joints[6]], fromUsual));
    out.push(...turned.map((angle) => angle / turn));
    FREEDOMS.forEach((freedom, i) => {
      const angle = x[6 + i];
      out.push((angle - REACHING_ANGLES[i]) / ANGLE_DEVIATION, beyondLimit(angle, freedom));
    });
    return out;
  };
  const x = leastSquares(residuals, [0, 0, 0, 0, 0, 0, ...start.angles], STEPS);
  return { posture: postureOf(x), cost: sumOfSquares(residuals(x)) };
}
