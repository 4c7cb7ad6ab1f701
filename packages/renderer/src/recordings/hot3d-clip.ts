/**
 * A clip of HOT3D-Clips, a tar of small files: `NNNNNN.cameras.json`, `NNNNNN.hands.json` and `NNNNNN.info.json` for each
 * frame, beside its pictures, and `__hand_shapes.json__`; clips for training have `NNNNNN.objects.json` too. Each stream
 * of pictures has its own camera:
 *
 *   cameras.json   { "214-1": { "T_world_from_camera": { quaternion_wxyz, translation_xyz }, "calibration": … }, … }
 *   hands.json     { "left": { "mano_pose": { thetas [15], wrist_xform [6] } }, "right": … }
 *   info.json      { "image_timestamps_ns": { "214-1": … } }
 *   objects.json   { "KEY": [ { object_bop_id, "T_world_from_object": { quaternion_wxyz, translation_xyz } }, … ], … }
 *
 * `thetas` are principal components without the mean; `wrist_xform` is an axis-angle and a place, as in smplx. A left
 * hand is given for a left model; ours is the right one mirrored. The cameras are fisheyes: their poses are taken, turned
 * upright, with a pinhole.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { BinaryFile } from '@dwm/core-tensor/files';
import type { Intrinsics } from '../camera/intrinsics.ts';
import { cameraToWorld, rigidMatrix, withAxes } from '../camera/pose.ts';
import type { ManoModel } from '../mano/model.ts';
import { type HandSide, mirroredAngles, pcaToPose } from '../mano/pose.ts';
import { Field } from '../trajectory/fields.ts';
import { type HandPose, meanFps, type Trajectory } from '../trajectory/types.ts';
import { readTar } from './tar.ts';
import { upright } from './upright.ts';

const ARIA = '214-1';
/** The colour camera of Aria; Quest 3 has none, and its first grey one is taken. */
const STREAMS = [ARIA, '1201-1'];

/** A thing that hands move in a clip. */
export interface Hot3dObject {
  /** Of its model, `obj_NNNNNN.glb`. */
  readonly id: number;
  /** Object to world, [4, 4] row by row, in every frame; null where the clip does not say. */
  readonly worlds: readonly (Float64Array | null)[];
}

/**
 * @param intrinsics the pinhole that takes the place of the fisheye.
 * @throws InvalidFileError naming the file in the tar, the field, and what was expected.
 */
export function importHot3dClip(file: BinaryFile, model: ManoModel, intrinsics: Intrinsics): Trajectory {
  const { json, frames, stream } = openClip(file);
  const shapes = json('__hand_shapes.json__');
  const betas = shapes?.get('mano').numbers(10);
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
      const place = placeOf(json(`${frame}.cameras.json`)!.get(stream).get('T_world_from_camera'));
      const camera = withAxes(cameraToWorld('opencv', upright(place)), 'opengl');
      const hands = json(`${frame}.hands.json`);
      const hand = (side: HandSide) => (hands ? readHand(hands.get(side), side, model, betas) : null);
      return { seconds: seconds[i], intrinsics, camera, hands: { left: hand('left'), right: hand('right') } };
    }),
  };
}

/**
 * What the hands move, frame by frame as in the trajectory, and the world's axis that is up.
 * @throws InvalidFileError naming the file in the tar, the field, and what was expected.
 */
export function readHot3dObjects(file: BinaryFile): {
  readonly up: 'y' | 'z';
  readonly objects: readonly Hot3dObject[];
} {
  const { json, frames, stream } = openClip(file);
  const known = new Map<string, { id: number; worlds: (Float64Array | null)[] }>();
  frames.forEach((frame, i) => {
    const all = json(`${frame}.objects.json`);
    if (!all) return;
    for (const key of Object.keys(all.object()))
      for (const [k, instance] of all.get(key).items().entries()) {
        const id = idOf(instance.get('object_bop_id'));
        // Two of a kind keep their order.
        const name = `${id} ${key} ${k}`;
        const found = known.get(name) ?? { id, worlds: frames.map(() => null) };
        known.set(name, found);
        found.worlds[i] = placeOf(instance.get('T_world_from_object'));
      }
  });
  if (known.size === 0)
    throw new InvalidFileError(
      file.name,
      'has no objects in any NNNNNN.objects.json, expected a clip of train_aria or train_quest3',
    );
  // Aria's world and Quest's differ.
  return { up: stream === ARIA ? 'z' : 'y', objects: [...known.values()] };
}

function openClip(file: BinaryFile) {
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
  return { json, frames, stream: streamOf(json(`${frames[0]}.cameras.json`)!) };
}

/** [4, 4], row by row. */
function placeOf(field: Field): Float64Array {
  const [x, y, z] = field.get('translation_xyz').numbers(3);
  return rigidMatrix([x, y, z], field.get('quaternion_wxyz').quaternionWxyz());
}

/** Written as a number or as its digits. */
function idOf(field: Field): number {
  const id = Number(/^\d{1,6}$/.exec(String(field.value))?.[0]);
  if (!(id > 0)) throw field.error('the number of an object model, from 1 on');
  return id;
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
