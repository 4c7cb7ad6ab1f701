/**
 * A MANO hand model in memory (Romero, Tzionas, Black, "Embodied hands", 2017), read from the user's own file. The file
 * is licensed to its user and never part of this project; the published one is a pickle and must be converted once.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { BinaryFile } from '@dwm/core-tensor/files';
import { openNpz, shapedArray } from '../trajectory/npy.ts';

/** Vertices of a MANO mesh. */
export const MANO_VERTICES = 778;
/** Joints of a MANO hand, the wrist included. */
export const MANO_JOINTS = 16;

/** Parent of each joint: wrist; index, middle, pinky, ring 1-3; thumb 1-3. */
export const MANO_PARENTS = [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14] as const;

/** The right hand's arrays, C order, float64; float32 copies of them are what a GPU needs. */
export interface ManoModel {
  /** [778, 3], metres. */
  readonly template: Float64Array;
  /** Shape blend shapes [778, 3, 10]. */
  readonly shapeDirections: Float64Array;
  /** Pose blend shapes [778, 3, 135]. */
  readonly poseDirections: Float64Array;
  /** [16, 778]. */
  readonly jointRegressor: Float64Array;
  /** Skinning weights [778, 16]. */
  readonly weights: Float64Array;
  /** Principal components of the pose [45, 45], one a row. */
  readonly components: Float64Array;
  /** Mean pose [45], axis-angles in radians. */
  readonly mean: Float64Array;
  /** Triangles of the right hand [F, 3]. */
  readonly indices: Uint32Array<ArrayBuffer>;
  /** The same for the mirrored hand: two corners swapped. */
  readonly leftIndices: Uint32Array<ArrayBuffer>;
}

/** Makes the .npz from the published pickle; needs `pip install numpy scipy chumpy`. */
const MANO_CONVERTER = `import builtins, inspect, pickle, scipy.sparse, numpy as np
inspect.getargspec = inspect.getfullargspec  # chumpy predates Python 3.11 and NumPy 1.24
for k in 'bool int float complex object str unicode'.split(): hasattr(np, k) or setattr(np, k, getattr(builtins, k, str))
m = pickle.load(open('MANO_RIGHT.pkl', 'rb'), encoding='latin1')
np.savez('MANO_RIGHT.npz', **{k: np.array(getattr(m[k], 'toarray', lambda: getattr(m[k], 'r', m[k]))()) for k in 'v_template shapedirs posedirs J_regressor weights kintree_table hands_components hands_mean f'.split()})`;

/**
 * Reads a MANO model from an `.npz` (stored or compressed) of the published file's arrays. Other entries are skipped.
 * @throws InvalidFileError naming the array and what was expected; for a pickle, with the converter in `details`.
 */
export async function loadMano(file: BinaryFile): Promise<ManoModel> {
  const { bytes, name } = file;
  // Pickles start with \\x80 and their protocol, or, in protocol 0, with "(d" or "c" and a class.
  if (bytes[0] === 0x80 || (bytes[0] === 0x28 && bytes[1] === 0x64) || name.endsWith('.pkl'))
    throw new InvalidFileError(
      name,
      'is a Python pickle, which is never loaded; convert it once to .npz with the five lines of Python in `converter`',
      { converter: MANO_CONVERTER },
    );
  const npz = await openNpz(file);
  const read = async (array: string, shape: number[]) => (await shapedArray(npz, array, shape)).data;
  const faces = await read('f', [-1, 3]);
  const wrong = faces.findIndex((index) => !(Number.isInteger(index) && index >= 0 && index < MANO_VERTICES));
  if (wrong >= 0)
    throw new InvalidFileError(
      name,
      `f holds vertex ${faces[wrong]} at ${wrong}, expected 0 to ${MANO_VERTICES - 1}`,
    );
  const tree = await read('kintree_table', [2, MANO_JOINTS]);
  // The root's parent is -1, or its unsigned spelling.
  if (!MANO_PARENTS.every((parent, joint) => joint === 0 || tree[joint] === parent))
    throw new InvalidFileError(
      name,
      `kintree_table has parents ${tree.slice(0, 16)}, expected ${MANO_PARENTS}`,
    );
  const indices = Uint32Array.from(faces);
  return {
    template: await read('v_template', [MANO_VERTICES, 3]),
    shapeDirections: await read('shapedirs', [MANO_VERTICES, 3, 10]),
    poseDirections: await read('posedirs', [MANO_VERTICES, 3, 135]),
    jointRegressor: await read('J_regressor', [MANO_JOINTS, MANO_VERTICES]),
    weights: await read('weights', [MANO_VERTICES, MANO_JOINTS]),
    components: await read('hands_components', [45, 45]),
    mean: await read('hands_mean', [45]),
    indices,
    leftIndices: indices.map((_, i) => indices[i % 3 === 0 ? i : i % 3 === 1 ? i + 1 : i - 1]),
  };
}
