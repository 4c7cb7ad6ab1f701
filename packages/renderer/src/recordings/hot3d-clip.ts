/**
 * A clip of HOT3D-Clips, a tar of small files: `NNNNNN.cameras.json`, `NNNNNN.hands.json` and `NNNNNN.info.json` for each
 * frame, beside its pictures, and `__hand_shapes.json__`. Each stream of pictures has its own camera:
 *
 *   cameras.json   { "214-1": { "T_world_from_camera": { quaternion_wxyz, translation_xyz }, "calibration": … }, … }
 *   hands.json     { "left": { "mano_pose": { thetas [15], wrist_xform [6] } }, "right": … }
 *   info.json      { "image_timestamps_ns": { "214-1": … } }
 *
 * `thetas` are principal components without the mean; `wrist_xform` is an axis-angle and a place, as in smplx. A left
 * hand is given for a left model; ours is the right one mirrored. The cameras are fisheyes: their poses are taken, with
 * a pinhole.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { BinaryFile } from '@dwm/core-tensor/files';
import type { Intrinsics } from '../camera/intrinsics.ts';
import { placedCamera, withAxes } from '../camera/pose.ts';
import type { ManoModel } from '../mano/model.ts';
import { type HandSide, mirroredAngles, pcaToPose } from '../mano/pose.ts';
import { Field } from '../trajectory/fields.ts';
import { type HandPose, meanFps, type Trajectory } from '../trajectory/types.ts';

/** The colour camera of Aria; Quest 3 has none, and its first grey one is taken. */
const STREAMS = ['214-1', '1201-1'];

const BLOCK = 512;
/** Of one JSON. */
const MOST_BYTES = 2 ** 26;

/** Whether the bytes are a tar, as POSIX has it; for telling formats apart. */
export const isTar = (bytes: Uint8Array): boolean =>
  bytes.length >= BLOCK && new TextDecoder('latin1').decode(bytes.subarray(257, 262)) === 'ustar';

/**
 * @param intrinsics the pinhole that takes the place of the fisheye.
 * @throws InvalidFileError naming the file in the tar, the field, and what was expected.
 */
export function importHot3dClip(file: BinaryFile, model: ManoModel, intrinsics: Intrinsics): Trajectory {
  const entries = readTar(file);
  const json = (name: string): Field | undefined => {
    const bytes = entries.get(name);
    return bytes && Field.parse({ name: file.name, text: new TextDecoder().decode(bytes) }, name);
  };
  const frames = [...entries.keys()]
    .flatMap((name) => /^(\d{6})\.cameras\.json$/.exec(name)?.[1] ?? [])
    .sort();
  if (frames.length === 0)
    throw new InvalidFileError(file.name, 'holds no NNNNNN.cameras.json, expected a clip of HOT3D-Clips');
  const shapes = json('__hand_shapes.json__');
  const betas = shapes?.get('mano').numbers(10);
  const stream = streamOf(json(`${frames[0]}.cameras.json`)!);
  const times = frames.map((frame) => timeOf(json(`${frame}.info.json`), file.name, frame, stream));
  const seconds = times.map((time) => (time - times[0]) / 1e9);
  const back = seconds.findIndex((time, i) => i > 0 && !(time > seconds[i - 1]));
  if (back > 0)
    throw new InvalidFileError(
      file.name,
      `${frames[back]}.info.json: image_timestamps_ns: expected increasing times`,
    );
  return {
    fps: meanFps(seconds, 30),
    frames: frames.map((frame, i) => {
      const place = json(`${frame}.cameras.json`)!.get(stream).get('T_world_from_camera');
      const [x, y, z] = place.get('translation_xyz').numbers(3);
      const camera = placedCamera('opencv', [x, y, z], place.get('quaternion_wxyz').quaternionWxyz());
      const hands = json(`${frame}.hands.json`);
      const hand = (side: HandSide) => (hands ? readHand(hands.get(side), side, model, betas) : null);
      return {
        ...{ seconds: seconds[i], intrinsics, camera: withAxes(camera, 'opengl') },
        hands: { left: hand('left'), right: hand('right') },
      };
    }),
  };
}

function streamOf(cameras: Field): string {
  const stream = STREAMS.find((name) => !cameras.get(name).absent);
  if (stream === undefined) throw cameras.error(`a camera ${STREAMS.join(' or ')}`);
  return stream;
}

/** Nanoseconds; a double holds those of a clip to less than a microsecond. */
function timeOf(info: Field | undefined, file: string, frame: string, stream: string): number {
  if (!info) throw new InvalidFileError(file, `holds no ${frame}.info.json, which has the frame's time`);
  return info.get('image_timestamps_ns').get(stream).number('a whole number of nanoseconds');
}

function readHand(
  field: Field,
  side: HandSide,
  model: ManoModel,
  betas: Float64Array | undefined,
): HandPose | null {
  if (field.absent || field.get('mano_pose').absent) return null;
  if (!betas)
    throw new InvalidFileError(
      field.file,
      'holds no __hand_shapes.json__, expected the shape of the hands that it has',
    );
  const given = field.get('mano_pose');
  const [rx, ry, rz, ...transl] = given.get('wrist_xform').numbers(6);
  const turn = [rx, ry, rz];
  const orient = side === 'left' ? mirroredAngles(turn) : turn;
  const pose = pcaToPose(model, given.get('thetas').numbers(15));
  return { mano: { orient, pose, betas, transl, flat: false } };
}

/** Small files of a tar, by name; larger ones are passed over. @throws InvalidFileError where it is damaged. */
function readTar({ name: file, bytes }: BinaryFile): Map<string, Uint8Array> {
  const entries = new Map<string, Uint8Array>();
  const text = (at: number, size: number) =>
    new TextDecoder('latin1').decode(bytes.subarray(at, at + size)).split('\0', 1)[0];
  // A block of zeros is the end.
  for (let at = 0; bytes[at] !== 0; ) {
    const octal = text(at + 124, 12).trim();
    const size = Number.parseInt(octal, 8);
    const next = at + BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    if (!/^[0-7]+$/.test(octal) || !isTar(bytes.subarray(at)) || at + BLOCK + size > bytes.length)
      throw new InvalidFileError(file, `its tar is cut off or damaged at byte ${at}; fetch it again`);
    const isFile = bytes[at + 156] === 0x30 || bytes[at + 156] === 0;
    if (isFile && size <= MOST_BYTES)
      entries.set(text(at, 100).replace(/^\.\//, ''), bytes.subarray(at + BLOCK, at + BLOCK + size));
    at = next;
  }
  return entries;
}
