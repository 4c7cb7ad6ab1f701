/**
 * MANO's maths on the CPU, in float64. The mesh is shaped by betas, bent by pose blend shapes, and skinned to 16
 * joints that turn about their rest places; a left hand is the right one mirrored in x.
 *
 *   T' = T + S betas          J = J_reg T'          v = T' + P vec(R_1 - I, ..., R_15 - I)
 *   G_k = G_parent(k) [R_k | J_k - R_k J_k]         vertex = sum_k w_k G_k v
 *
 * Equations 2-10 of Loper et al., "SMPL", 2015, which MANO follows. `manoSkinning` gives what a GPU needs to do the
 * vertices' part of it itself (see `hands/mano-hand.ts`).
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { fromAxisAngle, toMatrix3, vec3At } from '../camera/rotation.ts';
import { MANO_JOINTS, MANO_PARENTS, MANO_VERTICES, type ManoModel } from './model.ts';

/** Which hand. */
export type HandSide = 'left' | 'right';

/** MANO parameters of one hand, as files hold them. Lengths in metres, angles in radians. */
export interface ManoParams {
  /** Axis-angle of the wrist [3]: a rotation about the wrist joint, not about the origin. */
  readonly orient: ArrayLike<number>;
  /** Axis-angles of the 15 finger joints [45]. */
  readonly pose: ArrayLike<number>;
  /** Shape [10]. */
  readonly betas: ArrayLike<number>;
  /** Added last [3]; not mirrored for a left hand. */
  readonly transl: ArrayLike<number>;
  /** Whether `pose` is relative to the flat hand; false adds the model's mean pose. */
  readonly flat: boolean;
}

/** What linear blend skinning needs. Matrices include mirroring and translation. */
interface ManoSkinning {
  /** [16, 4, 4], row by row: shaped rest space to world. */
  readonly transforms: Float64Array;
  /** vec(R_1 - I, ..., R_15 - I) [135], the weights of the pose blend shapes. */
  readonly poseFeature: Float64Array;
  /** Rest joints of the shaped right hand [16, 3]. */
  readonly restJoints: Float64Array;
}

/** A MANO mesh in a pose. */
export interface PosedMano {
  /** [778, 3], metres. */
  readonly vertices: Float32Array<ArrayBuffer>;
  /** The posed tree's joints [16, 3], metres, in file order. */
  readonly joints: Float64Array;
  /** 21 keypoints in OpenPose order [21, 3]: wrist, then thumb to little finger, four each, the tips last. */
  readonly keypoints: Float64Array;
  /** [F, 3], wound outwards. */
  readonly indices: Uint32Array<ArrayBuffer>;
  readonly skinning: ManoSkinning;
}

/** Vertices at the fingertips: thumb, index, middle, ring, little finger. */
export const MANO_TIPS = [744, 320, 443, 554, 671] as const;

/** OpenPose order over [16 joints, 5 tips]. */
const KEYPOINT_ORDER = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20];

const LENGTHS = { orient: 3, pose: 45, betas: 10, transl: 3 } as const;

/** Pose [45] from the first PCA coefficients: coefficients . components. The mean is not added. */
export function pcaToPose(model: ManoModel, coefficients: ArrayLike<number>): Float64Array {
  if (coefficients.length > 45)
    throw new InvalidArgumentError('pca', `${coefficients.length} coefficients, expected at most 45`);
  const pose = new Float64Array(45);
  for (let c = 0; c < coefficients.length; c++)
    for (let i = 0; i < 45; i++) pose[i] += coefficients[c] * model.components[45 * c + i];
  return pose;
}

/** Axis-angles [3 n] of one hand as those of the other: of a left model's, as ours has them. */
export const mirroredAngles = (angles: ArrayLike<number>): number[] =>
  Array.from(angles, (value, i) => (i % 3 === 0 ? value : -value));

/** The shaped rest mesh T' [778, 3]. */
function shapedMesh(model: ManoModel, betas: ArrayLike<number>): Float64Array {
  return model.template.map((x, i) => {
    let sum = x;
    for (let b = 0; b < 10; b++) sum += model.shapeDirections[10 * i + b] * betas[b];
    return sum;
  });
}

function regressJoints(model: ManoModel, mesh: Float64Array): Float64Array {
  const joints = new Float64Array(MANO_JOINTS * 3);
  for (let j = 0; j < MANO_JOINTS; j++)
    for (let v = 0; v < MANO_VERTICES; v++) {
      const weight = model.jointRegressor[MANO_VERTICES * j + v];
      for (let axis = 0; axis < 3; axis++) joints[3 * j + axis] += weight * mesh[3 * v + axis];
    }
  return joints;
}

/** Rest joints of the right hand with this shape [16, 3], metres. */
export function manoRestJoints(model: ManoModel, betas: ArrayLike<number>): Float64Array {
  return regressJoints(model, shapedMesh(model, betas));
}

/** The 16 rotations as matrices, row by row [16, 3, 3], wrist first, the mean pose added where asked. */
function rotationsOf(model: ManoModel, { orient, pose, flat }: ManoParams): Float64Array {
  const rotations = new Float64Array(MANO_JOINTS * 9);
  for (let j = 0; j < MANO_JOINTS; j++) {
    const at = 3 * (j - 1);
    const angles =
      j === 0
        ? vec3At(orient, 0)
        : flat
          ? vec3At(pose, at)
          : vec3At(
              [0, 1, 2].map((axis) => pose[at + axis] + model.mean[at + axis]),
              0,
            );
    rotations.set(toMatrix3(fromAxisAngle(angles)), 9 * j);
  }
  return rotations;
}

/** Row-major G_k and the mirrored, translated result, from rotations [16, 3, 3] and rest joints [16, 3]. */
function jointTransforms(
  rotations: ArrayLike<number>,
  rest: Float64Array,
  transl: ArrayLike<number>,
  side: HandSide,
): Float64Array {
  const transforms = new Float64Array(MANO_JOINTS * 16);
  // Composed as [R | t] with p -> R p + t, root first: parents come before their children.
  for (let j = 0; j < MANO_JOINTS; j++) {
    const local = new Float64Array(12);
    for (let row = 0; row < 3; row++) {
      let moved = 0;
      for (let k = 0; k < 3; k++) {
        local[4 * row + k] = rotations[9 * j + 3 * row + k];
        moved += local[4 * row + k] * rest[3 * j + k];
      }
      local[4 * row + 3] = rest[3 * j + row] - moved;
    }
    const parent = MANO_PARENTS[j];
    for (let row = 0; row < 3; row++)
      for (let column = 0; column < 4; column++) {
        let sum = local[4 * row + column];
        if (parent >= 0) {
          sum = column === 3 ? transforms[16 * parent + 4 * row + 3] : 0;
          for (let k = 0; k < 3; k++) sum += transforms[16 * parent + 4 * row + k] * local[4 * k + column];
        }
        transforms[16 * j + 4 * row + column] = sum;
      }
    transforms[16 * j + 15] = 1;
  }
  for (let j = 0; j < MANO_JOINTS; j++) {
    if (side === 'left') for (let k = 0; k < 4; k++) transforms[16 * j + k] *= -1;
    for (let row = 0; row < 3; row++) transforms[16 * j + 4 * row + 3] += transl[row];
  }
  return transforms;
}

/** Rotations given as 16 matrices, row by row [16, 3, 3], wrist first: what HaMeR predicts. */
export interface ManoRotations {
  readonly rotations: ArrayLike<number>;
  readonly betas: ArrayLike<number>;
  readonly transl: ArrayLike<number>;
}

/**
 * The joints' part of a pose alone, without the vertices.
 * @throws InvalidArgumentError where an array has the wrong length.
 */
export function manoSkinning(
  model: ManoModel,
  params: ManoParams | ManoRotations,
  side: HandSide,
): ManoSkinning {
  checkLengths(params);
  return skinningOf(model, params, side, shapedMesh(model, params.betas));
}

function skinningOf(
  model: ManoModel,
  params: ManoParams | ManoRotations,
  side: HandSide,
  shaped: Float64Array,
): ManoSkinning {
  const rotations = 'rotations' in params ? params.rotations : rotationsOf(model, params);
  const restJoints = regressJoints(model, shaped);
  const transforms = jointTransforms(rotations, restJoints, params.transl, side);
  const poseFeature = Float64Array.from(
    { length: 135 },
    (_, i) => rotations[9 + i] - ((i % 9) % 4 === 0 ? 1 : 0),
  );
  return { transforms, poseFeature, restJoints };
}

/**
 * Poses the model.
 * @throws InvalidArgumentError where an array has the wrong length.
 */
export function posedMano(model: ManoModel, params: ManoParams | ManoRotations, side: HandSide): PosedMano {
  checkLengths(params);
  const mesh = shapedMesh(model, params.betas);
  const skinning = skinningOf(model, params, side, mesh);
  const { transforms, poseFeature, restJoints } = skinning;

  const vertices = new Float32Array(MANO_VERTICES * 3);
  const blend = new Float64Array(12);
  for (let v = 0; v < MANO_VERTICES; v++) {
    for (let axis = 0; axis < 3; axis++) {
      const row = 135 * (3 * v + axis);
      for (let i = 0; i < 135; i++) mesh[3 * v + axis] += model.poseDirections[row + i] * poseFeature[i];
    }
    blend.fill(0);
    for (let j = 0; j < MANO_JOINTS; j++) {
      const weight = model.weights[MANO_JOINTS * v + j];
      for (let i = 0; i < 12; i++) blend[i] += weight * transforms[16 * j + i];
    }
    vertices.set(transformed(blend, 0, vec3At(mesh, 3 * v)), 3 * v);
  }

  const joints = new Float64Array(MANO_JOINTS * 3);
  for (let j = 0; j < MANO_JOINTS; j++)
    joints.set(transformed(transforms, 16 * j, vec3At(restJoints, 3 * j)), 3 * j);
  const keypoints = new Float64Array(63);
  KEYPOINT_ORDER.forEach((from, to) => {
    const point = from < 16 ? vec3At(joints, 3 * from) : vec3At(vertices, 3 * MANO_TIPS[from - 16]);
    keypoints.set(point, 3 * to);
  });
  const indices = side === 'left' ? model.leftIndices : model.indices;
  return { vertices, joints, keypoints, indices, skinning };
}

function checkLengths(params: ManoParams | ManoRotations): void {
  const expected: Record<string, number> =
    'rotations' in params ? { rotations: 144, betas: 10, transl: 3 } : LENGTHS;
  for (const [field, count] of Object.entries(expected)) {
    const given = (params as unknown as Record<string, ArrayLike<number>>)[field].length;
    if (given !== count) throw new InvalidArgumentError(field, `${given} numbers, expected ${count}`);
  }
}

/** The affine map of 12 numbers at `at`, row by row, applied to a point. */
function transformed(m: Float64Array, at: number, [x, y, z]: readonly [number, number, number]): number[] {
  return [0, 4, 8].map(
    (row) => m[at + row] * x + m[at + row + 1] * y + m[at + row + 2] * z + m[at + row + 3],
  );
}

/** Vertex normals [V, 3]: the cross products of the adjacent triangles added up (so weighted by area), at length one. */
export function vertexNormals(
  vertices: ArrayLike<number>,
  indices: ArrayLike<number>,
): Float32Array<ArrayBuffer> {
  const sums = new Float64Array(vertices.length);
  for (let t = 0; t < indices.length; t += 3) {
    const [a, b, c] = [3 * indices[t], 3 * indices[t + 1], 3 * indices[t + 2]];
    const u = [0, 1, 2].map((k) => vertices[b + k] - vertices[a + k]);
    const v = [0, 1, 2].map((k) => vertices[c + k] - vertices[a + k]);
    const normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    for (const corner of [a, b, c]) for (let k = 0; k < 3; k++) sums[corner + k] += normal[k];
  }
  const normals = new Float32Array(sums.length);
  for (let i = 0; i < sums.length; i += 3) {
    // A vertex of no triangle, or of flat ones only, keeps a zero normal.
    const norm = Math.hypot(sums[i], sums[i + 1], sums[i + 2]) || 1;
    for (let k = 0; k < 3; k++) normals[i + k] = sums[i + k] / norm;
  }
  return normals;
}
