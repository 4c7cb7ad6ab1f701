/**
 * A MANO hand on the device: the model is uploaded once, a pose is the few numbers of `manoSkinning`, and two compute
 * passes make world vertices and normals in the buffers that are drawn.
 *
 *   rest = B c,  B = [template | shape directions | pose directions],  c = [1 | betas | vec(R - I)]
 *   vertex = (sum_k w_k G_k) [rest | 1] + transl
 *   normal = normalize(sum over the vertex's triangles of (b - a) x (c - a))
 *
 * The maths is `posedMano`'s and `vertexNormals`', in f32. G_k comes without the translation, which is added last:
 * hands are 0.2 m and may be metres from the origin, where f32 is coarser.
 *
 * Layout, f32: B [146, 778 * 3], weights [778, 16], G [16, 3, 4]; u32: triangles [F, 3], and each vertex's triangles
 * in ascending order, `starts[v]` to `starts[v + 1]` of `incident`. One invocation a vertex, 64 a workgroup. Sums run
 * in a fixed order, so equal poses give equal bits.
 */
import type { Device, DeviceBuffer } from '@dwm/core-tensor';
import { MANO_JOINTS, MANO_VERTICES, type ManoModel } from '../mano/model.ts';
import { type HandSide, type ManoParams, type ManoRotations, manoSkinning } from '../mano/pose.ts';
import type { HandGeometry, HandPart } from './hand-geometry.ts';

const SHAPES = 10;
const POSES = 135;
/** Columns of B. */
const TERMS = 1 + SHAPES + POSES;

/** `Pose` in words: where its translation and coefficients start, and its size, a multiple of four. */
const TRANSL_AT = MANO_JOINTS * 12;
const COEFFICIENTS_AT = TRANSL_AT + 3;
const POSE_WORDS = Math.ceil((COEFFICIENTS_AT + TERMS) / 4) * 4;

const SHADER = /* wgsl */ `
struct Pose {
  joints: array<vec4f, ${MANO_JOINTS * 3}>,
  transl: vec3f,
  coefficients: array<f32, ${TERMS}>,
}

@group(0) @binding(0) var<storage, read> pose: Pose;
@group(0) @binding(1) var<storage, read> directions: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> positions: array<f32>;
@group(0) @binding(4) var<storage, read> triangles: array<u32>;
@group(0) @binding(5) var<storage, read> starts: array<u32>;
@group(0) @binding(6) var<storage, read> incident: array<u32>;
@group(0) @binding(7) var<storage, read_write> normals: array<f32>;

@compute @workgroup_size(64) fn place(@builtin(global_invocation_id) id: vec3u) {
  let v = id.x;
  if (v >= ${MANO_VERTICES}) { return; }
  // The template, which is the largest term, comes last: small ones are not rounded to its size.
  var rest = vec3f();
  for (var i = ${TERMS}u; i > 0; i--) {
    let at = (i - 1) * ${MANO_VERTICES * 3} + 3 * v;
    rest += pose.coefficients[i - 1] * vec3f(directions[at], directions[at + 1], directions[at + 2]);
  }
  var rows = array<vec4f, 3>();
  for (var k = 0u; k < ${MANO_JOINTS}; k++) {
    let weight = weights[${MANO_JOINTS} * v + k];
    for (var row = 0u; row < 3; row++) { rows[row] += weight * pose.joints[3 * k + row]; }
  }
  for (var row = 0u; row < 3; row++) {
    positions[3 * v + row] = dot(rows[row], vec4f(rest, 1)) + pose.transl[row];
  }
}

fn corner(i: u32) -> vec3f {
  let at = 3 * triangles[i];
  return vec3f(positions[at], positions[at + 1], positions[at + 2]);
}

@compute @workgroup_size(64) fn face(@builtin(global_invocation_id) id: vec3u) {
  let v = id.x;
  if (v >= ${MANO_VERTICES}) { return; }
  var sum = vec3f();
  for (var i = starts[v]; i < starts[v + 1]; i++) {
    let first = 3 * incident[i];
    let a = corner(first);
    sum += cross(corner(first + 1) - a, corner(first + 2) - a);
  }
  // A vertex of no triangle, or of flat ones only, keeps a zero normal.
  let normal = sum * inverseSqrt(max(dot(sum, sum), 1e-37));
  for (var axis = 0u; axis < 3; axis++) { normals[3 * v + axis] = normal[axis]; }
}
`;

interface Pipelines {
  readonly place: GPUComputePipeline;
  readonly face: GPUComputePipeline;
}

function pipelinesOf({ gpu }: Device): Pipelines {
  const module = gpu.createShaderModule({ label: 'MANO', code: SHADER });
  const create = (entryPoint: string) =>
    gpu.createComputePipeline({
      label: `MANO ${entryPoint}`,
      layout: 'auto',
      compute: { module, entryPoint },
    });
  return { place: create('place'), face: create('face') };
}

/** A hand posed by MANO parameters, from the user's own MANO file. */
export class ManoHand implements HandGeometry {
  readonly parts: readonly HandPart[];
  /** World vertices and normals [778, 3] f32 once `pose` has run. */
  readonly positions: DeviceBuffer;
  readonly normals: DeviceBuffer;
  readonly #device: Device;
  readonly #model: ManoModel;
  readonly #side: HandSide;
  readonly #pose: DeviceBuffer;
  readonly #owned: readonly DeviceBuffer[];
  readonly #passes: readonly { readonly pipeline: GPUComputePipeline; readonly group: GPUBindGroup }[];

  /** Copies the model to the device. @throws OutOfMemoryError. */
  constructor(device: Device, model: ManoModel, side: HandSide) {
    const { gpu } = device;
    this.#device = device;
    this.#model = model;
    this.#side = side;
    const { STORAGE, COPY_DST, COPY_SRC, VERTEX, INDEX } = GPUBufferUsage;
    const upload = (data: Float32Array | Uint32Array, label: string, usage = 0) => {
      const buffer = device.createBuffer(
        Math.max(4, data.byteLength),
        STORAGE | COPY_DST | usage,
        `MANO ${label}`,
      );
      gpu.queue.writeBuffer(buffer.gpu, 0, data as Float32Array<ArrayBuffer>);
      return buffer;
    };
    const out = (label: string) =>
      device.createBuffer(MANO_VERTICES * 12, STORAGE | VERTEX | COPY_SRC, `MANO ${label}`);

    const faces = side === 'left' ? model.leftIndices : model.indices;
    const { starts, incident } = trianglesByVertex(faces);
    const triangles = upload(faces, 'triangles', INDEX);
    this.#pose = upload(new Float32Array(POSE_WORDS), 'pose');
    this.positions = out('positions');
    this.normals = out('normals');
    this.#owned = [
      this.#pose,
      upload(directionsOf(model), 'directions'),
      upload(Float32Array.from(model.weights), 'weights'),
      this.positions,
      triangles,
      upload(starts, 'triangle starts'),
      upload(incident, 'incident triangles'),
      this.normals,
    ];
    this.parts = [
      {
        positions: this.positions.gpu,
        normals: this.normals.gpu,
        indices: triangles.gpu,
        indexCount: faces.length,
      },
    ];
    const { place, face } = device.once(pipelinesOf);
    const pass = (pipeline: GPUComputePipeline, bindings: readonly number[]) => ({
      pipeline,
      group: gpu.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: bindings.map((binding) => ({ binding, resource: { buffer: this.#owned[binding].gpu } })),
      }),
    });
    this.#passes = [pass(place, [0, 1, 2, 3]), pass(face, [3, 4, 5, 6, 7])];
  }

  /**
   * Submits the making of one pose's vertices and normals.
   * @throws InvalidArgumentError where an array has the wrong length.
   */
  pose(params: ManoParams | ManoRotations): void {
    const { transforms, poseFeature } = manoSkinning(this.#model, params, this.#side);
    const { betas, transl } = params;
    const words = new Float32Array(POSE_WORDS);
    for (let k = 0; k < MANO_JOINTS; k++)
      for (let i = 0; i < 12; i++)
        words[12 * k + i] = transforms[16 * k + i] - (i % 4 === 3 ? transl[(i - 3) / 4] : 0);
    words.set(transl, TRANSL_AT);
    words[COEFFICIENTS_AT] = 1;
    words.set(betas, COEFFICIENTS_AT + 1);
    words.set(poseFeature, COEFFICIENTS_AT + 1 + SHAPES);

    const { gpu } = this.#device;
    gpu.queue.writeBuffer(this.#pose.gpu, 0, words);
    const encoder = gpu.createCommandEncoder();
    const compute = encoder.beginComputePass({ label: 'MANO' });
    for (const { pipeline, group } of this.#passes) {
      compute.setPipeline(pipeline);
      compute.setBindGroup(0, group);
      compute.dispatchWorkgroups(Math.ceil(MANO_VERTICES / 64));
    }
    compute.end();
    gpu.queue.submit([encoder.finish()]);
  }

  destroy(): void {
    for (const buffer of this.#owned) buffer.destroy();
  }
}

/** B [146, 778 * 3]: neighbouring invocations read neighbouring words. */
function directionsOf({ template, shapeDirections, poseDirections }: ManoModel): Float32Array {
  const count = MANO_VERTICES * 3;
  const directions = new Float32Array(TERMS * count);
  for (let i = 0; i < count; i++) {
    directions[i] = template[i];
    for (let b = 0; b < SHAPES; b++) directions[(1 + b) * count + i] = shapeDirections[SHAPES * i + b];
    for (let p = 0; p < POSES; p++) directions[(1 + SHAPES + p) * count + i] = poseDirections[POSES * i + p];
  }
  return directions;
}

/** The triangles around every vertex, in ascending order: `incident[starts[v] .. starts[v + 1]]`. */
function trianglesByVertex(indices: Uint32Array): { starts: Uint32Array; incident: Uint32Array } {
  const around = Array.from({ length: MANO_VERTICES }, (): number[] => []);
  indices.forEach((vertex, i) => {
    around[vertex].push(Math.floor(i / 3));
  });
  const starts = new Uint32Array(MANO_VERTICES + 1);
  around.forEach(({ length }, v) => {
    starts[v + 1] = starts[v] + length;
  });
  return { starts, incident: Uint32Array.from(around.flat()) };
}
