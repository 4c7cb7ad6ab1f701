/**
 * HaMeR's hand reconstructions (Pavlakos et al., 2024) as an `.npz` with one row a detection: `global_orient`, `hand_pose`
 * (rotation matrices), `betas`, `cam_t`, `right`, `frame`, `img_size`. Each hand stands in front of its own camera, in OpenCV axes, so
 * the camera stays at the origin and the hands are turned to OpenGL's:
 *
 *   v = F (s MANO(R, ...) + cam_t),   F = diag(1, -1, -1),   s = diag(-1, 1, 1) for a left hand, else 1.
 *
 * F commutes with s, so F goes into the wrist's rotation. That turns about J_0, hence
 * orient' = F R and transl' = F (s J_0 + cam_t) - s J_0.
 */
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import type { BinaryFile } from '@dwm/core-tensor/files';
import type { Intrinsics } from '../camera/intrinsics.ts';
import { cameraToWorld } from '../camera/pose.ts';
import { fromMatrix3, toAxisAngle } from '../camera/rotation.ts';
import type { ManoModel } from '../mano/model.ts';
import { type HandSide, type ManoParams, manoRestJoints } from '../mano/pose.ts';
import { openNpz, shapedArray } from '../trajectory/npy.ts';
import { DEFAULT_FPS, type HandPose, type ImportDefaults, type Trajectory } from '../trajectory/types.ts';

/** How HaMeR's results become a trajectory. */
export interface HamerOptions extends Pick<ImportDefaults, 'fps'> {
  /** Frames of the clip; by default up to the last one with a detection. */
  readonly frames?: number;
}

/** HaMeR's focal length on its 256-pixel crop. */
const CROP_FOCAL = 5000 / 256;

/** More than any clip has; a frame number beyond it is damage. */
const MAX_FRAMES = 100_000;

const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];

/**
 * Of several detections of one side in one frame the first is taken.
 * @param model the user's MANO file, for the wrist's place.
 * @throws InvalidFileError naming the array and what was expected.
 */
export async function importHamer(
  file: BinaryFile,
  model: ManoModel,
  options: HamerOptions = {},
): Promise<Trajectory> {
  const npz = await openNpz(file);
  const frameOf = (await shapedArray(npz, 'frame', [-1])).data;
  const n = frameOf.length;
  const read = async (name: string, shape: number[]) => (await shapedArray(npz, name, shape)).data;
  const orients = await read('global_orient', [n, 1, 3, 3]);
  const poses = await read('hand_pose', [n, 15, 3, 3]);
  const betas = await read('betas', [n, 10]);
  const places = await read('cam_t', [n, 3]);
  const isRight = await read('right', [n]);
  const [width, height] = await read('img_size', [2]);
  if (![width, height].every((size) => Number.isInteger(size) && size >= 1 && size <= 65536))
    throw new InvalidFileError(file.name, `img_size is ${width} ${height}, expected 1 to 65536 pixels`);
  const wrong = frameOf.findIndex((frame) => !(Number.isInteger(frame) && frame >= 0 && frame < MAX_FRAMES));
  if (wrong >= 0)
    throw new InvalidFileError(
      file.name,
      `frame is ${frameOf[wrong]} at ${wrong}, expected 0 to ${MAX_FRAMES - 1}`,
    );

  const count = options.frames ?? frameOf.reduce((most, frame) => Math.max(most, frame + 1), 0);
  if (!(Number.isInteger(count) && count > 0 && count <= MAX_FRAMES))
    throw new InvalidArgumentError(
      'frames',
      `${count}, expected 1 to ${MAX_FRAMES}; without detections it must be given`,
    );
  const hands = Array.from(
    { length: count },
    (): Record<HandSide, HandPose | null> => ({ left: null, right: null }),
  );
  for (let i = 0; i < n; i++) {
    const side = isRight[i] > 0.5 ? 'right' : 'left';
    const slot = hands[frameOf[i]];
    if (!slot || slot[side]) continue;
    const rotations = [
      orients.subarray(9 * i, 9 * i + 9),
      ...chunks(poses.subarray(135 * i, 135 * i + 135), 9),
    ];
    slot[side] = {
      mano: toParams(
        model,
        rotations,
        betas.slice(10 * i, 10 * i + 10),
        places.subarray(3 * i, 3 * i + 3),
        side,
      ),
    };
  }
  const focal = CROP_FOCAL * Math.max(width, height);
  const intrinsics: Intrinsics = { fx: focal, fy: focal, cx: width / 2, cy: height / 2, width, height };
  const camera = cameraToWorld('opengl', IDENTITY);
  const fps = options.fps ?? DEFAULT_FPS;
  return { fps, frames: hands.map((pair, i) => ({ seconds: i / fps, intrinsics, camera, hands: pair })) };
}

const chunks = (data: Float64Array, size: number) =>
  Array.from({ length: data.length / size }, (_, i) => data.subarray(i * size, (i + 1) * size));

function toParams(
  model: ManoModel,
  [wrist, ...fingers]: readonly Float64Array[],
  betas: Float64Array,
  place: Float64Array,
  side: HandSide,
): ManoParams {
  const joints = manoRestJoints(model, betas);
  const rest = [side === 'left' ? -joints[0] : joints[0], joints[1], joints[2]];
  // F R flips the rows of y and z.
  const turned = wrist.map((value, i) => (i < 3 ? value : -value));
  return {
    orient: toAxisAngle(fromMatrix3(turned)),
    pose: Float64Array.from(fingers.flatMap((matrix) => toAxisAngle(fromMatrix3(matrix)))),
    betas,
    transl: Float64Array.from(rest, (x, axis) => (axis === 0 ? 1 : -1) * (x + place[axis]) - x),
    flat: true,
  };
}
