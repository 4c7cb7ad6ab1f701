/**
 * From 21 landmarks of a hand to WebXR's 25 joints. The wrist takes the rotation and place that fit the palm best; every
 * finger bone is then swung, by the smallest rotation, from where its parent carries it to the direction between its two
 * landmarks. Only directions are taken from the landmarks, lengths from the hand at rest: landmarks of a video
 * breathe by centimetres, a skeleton does not. The twist of a bone about itself is not observed and stays as at rest.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { fitRigid } from '../camera/fit-rigid.ts';
import {
  add,
  compose,
  direction,
  inverse,
  type Quaternion,
  rotate,
  subtract,
  swing,
  type Vec3,
  vec3At,
} from '../camera/rotation.ts';

/** WebXR joints of each of the 21 landmarks (wrist, then four a finger from thumb to little finger). */
export const LANDMARK_JOINTS = [0, 1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19, 21, 22, 23, 24];

/** Landmarks that a palm does not bend between: wrist, thumb's base, the four knuckles. */
const PALM = [0, 1, 5, 9, 13, 17];

/** Joints carried rigidly by the wrist: the bases of the five chains, and the four metacarpals. */
const ON_WRIST = [1, 5, 6, 10, 11, 15, 16, 20, 21];

/**
 * Joints [25, 7] (x y z qx qy qz qw) of the hand `rest` posed like the landmarks.
 * @param landmarks [21, 3], metres, any space; the joints come out in the same.
 * @param rest the hand at rest, [25, 7] in WebXR's order, any space.
 * @throws InvalidArgumentError where a length is wrong, a number is not finite or the palm has no extent.
 */
export function landmarksToJoints(landmarks: ArrayLike<number>, rest: ArrayLike<number>): Float64Array {
  if (landmarks.length !== 63 || !Array.from(landmarks).every(Number.isFinite))
    throw new InvalidArgumentError('landmarks', 'expected 21 x 3 finite numbers');
  if (rest.length !== 175) throw new InvalidArgumentError('rest', `${rest.length} numbers, expected 25 x 7`);
  const seen = (landmark: number) => vec3At(landmarks, 3 * landmark);
  const restAt = (joint: number) => vec3At(rest, 7 * joint);
  const restTurn = (joint: number): Quaternion =>
    [3, 4, 5, 6].map((k) => rest[7 * joint + k]) as unknown as Quaternion;

  const fit = fitRigid(
    PALM.map((landmark) => restAt(LANDMARK_JOINTS[landmark])),
    PALM.map(seen),
  );
  if (!fit)
    throw new InvalidArgumentError('landmarks', 'the palm has no extent, expected six points that span it');
  const places: Vec3[] = [];
  const turns: Quaternion[] = [];
  const put = (joint: number, place: Vec3, turn: Quaternion) => {
    places[joint] = place;
    turns[joint] = turn;
  };
  /** Where `joint` goes if `parent` carries it as at rest. */
  const carried = (joint: number, parent: number): { place: Vec3; turn: Quaternion } => {
    const change = compose(turns[parent], inverse(restTurn(parent)));
    const offset = rotate(change, subtract(restAt(joint), restAt(parent)));
    return { place: add(places[parent], offset), turn: compose(change, restTurn(joint)) };
  };
  put(0, add(rotate(fit.rotation, restAt(0)), fit.translation), compose(fit.rotation, restTurn(0)));
  for (const joint of ON_WRIST) {
    const { place, turn } = carried(joint, 0);
    put(joint, place, turn);
  }
  for (let finger = 0; finger < 5; finger++) {
    for (let bone = 0; bone < 3; bone++) {
      const landmark = 1 + 4 * finger + bone;
      const joint = LANDMARK_JOINTS[landmark];
      // The bone's own direction may differ from the joint's -z by a few degrees: real rigs do.
      const now = direction(subtract(carried(joint + 1, joint).place, places[joint]));
      const goal = direction(subtract(seen(landmark + 1), seen(landmark)));
      if (now && goal)
        turns[joint] = compose(swing(now, goal, rotate(turns[joint], [1, 0, 0])), turns[joint]);
      const { place, turn } = carried(joint + 1, joint);
      put(joint + 1, place, turn);
    }
  }
  const joints = new Float64Array(175);
  for (let joint = 0; joint < 25; joint++) joints.set([...places[joint], ...turns[joint]], 7 * joint);
  return joints;
}
