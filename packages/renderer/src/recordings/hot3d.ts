/**
 * HOT3D's `mano_hand_pose_trajectory.jsonl`: one JSON a line, hand "0" the left and "1" the right. Poses are 15 PCA
 * coefficients without the mean; the wrist's rotation is about the rest wrist, as in smplx, so the numbers carry over. A left
 * hand is given for a left model; ours is the right model mirrored, so its wrist rotation is mirrored back.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { samplePath } from '../camera/path.ts';
import { toAxisAngle } from '../camera/rotation.ts';
import type { ManoModel } from '../mano/model.ts';
import { type HandSide, type ManoParams, mirroredAngles, pcaToPose } from '../mano/pose.ts';
import { Field, type TextFile } from '../trajectory/fields.ts';
import { type HandPose, type Hands, meanFps, type Trajectory } from '../trajectory/types.ts';
import { cameraOnDevice, type DeviceCamera, type DevicePath } from './device-path.ts';

/** Hands over time, without a camera. */
export interface TimedHands {
  /** Time of the first line, nanoseconds on the device's clock. */
  readonly firstNanoseconds: bigint;
  /** Seconds since then. */
  readonly frames: readonly { readonly seconds: number; readonly hands: Hands }[];
}

const PCA_COEFFICIENTS = 15;
const KEYS: Record<HandSide, string> = { left: '0', right: '1' };

/**
 * Reads the hands; the first `betas` found serve all frames, as they are of one person.
 * @param model the user's MANO file, for its principal components and mean pose.
 * @throws InvalidFileError naming the line and the field.
 */
export function readHot3dHands(file: TextFile, model: ManoModel): TimedHands {
  const lines = file.text
    .split(/\r?\n/)
    .map((text, i) => ({ text, line: `line ${i + 1}` }))
    .filter(({ text }) => text.trim() !== '')
    .map(({ text, line }) => ({ text, line: Field.parse({ name: file.name, text }, line) }));
  if (lines.length === 0) throw new InvalidFileError(file.name, 'holds no lines, expected one JSON a line');
  const hands = lines.map(({ line }) => line.get('hand_poses'));
  const betas = findBetas(hands);
  const times = lines.map(({ text, line }) => nanoseconds(text, line));
  const frames = hands.map((field, i) => {
    const seconds = Number(times[i] - times[0]) / 1e9;
    if (i > 0 && times[i] <= times[i - 1]) throw lines[i].line.get('timestamp_ns').error('increasing times');
    const hand = (side: HandSide) => readHand(field.get(KEYS[side]), side, model, betas);
    return { seconds, hands: { left: hand('left'), right: hand('right') } };
  });
  return { firstNanoseconds: times[0], frames };
}

/** Read off the text: JSON's numbers end at 2^53, nanoseconds since 1970 do not. */
function nanoseconds(text: string, line: Field): bigint {
  const digits = /"timestamp_ns"\s*:\s*(-?\d{1,19})\s*[,}]/.exec(text)?.[1];
  if (digits === undefined) throw line.get('timestamp_ns').error('a whole number of nanoseconds');
  return BigInt(digits);
}

function findBetas(hands: readonly Field[]): Float64Array | undefined {
  for (const field of hands)
    for (const key of ['0', '1']) {
      const hand = field.get(key);
      if (!hand.absent && !hand.get('betas').absent) return hand.get('betas').numbers(10);
    }
  return undefined;
}

function readHand(
  field: Field,
  side: HandSide,
  model: ManoModel,
  betas: Float64Array | undefined,
): HandPose | null {
  if (field.absent) return null;
  if (!betas) throw field.get('betas').error('10 shape numbers in at least one hand of the file');
  const wrist = field.get('wrist_xform');
  const orient = toAxisAngle(wrist.get('q_wxyz').quaternionWxyz());
  const pose = pcaToPose(model, field.get('pose').numbers(PCA_COEFFICIENTS)).map((v, i) => v + model.mean[i]);
  const mano: ManoParams = {
    orient: side === 'left' ? mirroredAngles(orient) : orient,
    pose,
    betas,
    transl: wrist.get('t_xyz').numbers(3),
    flat: true,
  };
  return { mano };
}

/**
 * Hands seen by a camera on the headset, at the times of the hands that the headset's path covers.
 * @throws InvalidFileError where the two recordings do not overlap in time.
 */
export function hot3dTrajectory(hands: TimedHands, path: DevicePath, camera: DeviceCamera): Trajectory {
  const offset = Number(hands.firstNanoseconds - path.firstNanoseconds) / 1e9;
  const last = path.poses.at(-1)!.seconds;
  const seen = hands.frames.filter(({ seconds }) => seconds + offset >= 0 && seconds + offset <= last);
  if (seen.length === 0)
    throw new InvalidFileError(
      'headset trajectory',
      'covers no time of the hand poses; are they of one recording?',
    );
  const poses = samplePath(
    path.poses,
    seen.map(({ seconds }) => seconds + offset),
  );
  const seconds = seen.map((frame) => frame.seconds - seen[0].seconds);
  return {
    fps: meanFps(seconds),
    frames: seen.map((frame, i) => ({
      seconds: seconds[i],
      intrinsics: camera.intrinsics,
      camera: cameraOnDevice(poses[i], camera),
      hands: frame.hands,
    })),
  };
}
