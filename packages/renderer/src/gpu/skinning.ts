/**
 * Linear blend skinning on the device, once per pose: world vertices that every later pass reads like any other
 * vertex buffer.
 *
 * position = sum_k w_k M_k p and normal = normalize(sum_k w_k mat3(M_k) n), with M_k = world(joint k) x
 * inverseBind_k, rows of 3x4 matrices. The normal's sum is the matrix itself and not its inverse transpose, as the
 * hands' contract has it; for rigid joints the two differ only where they blend.
 *
 * Layout: positions and normals [vertices, 3] f32, joints and weights [vertices, influences]. One invocation a
 * vertex, 64 a workgroup; rows of as many workgroups as the device takes.
 */
import type { Device, DeviceBuffer } from '@dwm/core-tensor';
import { type Matrix, multiply } from '../scene/matrix.ts';
import type { Primitive } from '../scene/scene.ts';

const SHADER = /* wgsl */ `
struct Sizes { vertices: u32, influences: u32, hasNormals: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> matrices: array<vec4f>;
@group(0) @binding(2) var<storage, read> positions: array<f32>;
@group(0) @binding(3) var<storage, read> normals: array<f32>;
@group(0) @binding(4) var<storage, read> joints: array<u32>;
@group(0) @binding(5) var<storage, read> weights: array<f32>;
@group(0) @binding(6) var<storage, read_write> skinned: array<f32>;
@group(0) @binding(7) var<storage, read_write> skinnedNormals: array<f32>;

@compute @workgroup_size(64) fn skin(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let v = id.x + id.y * groups.x * 64;
  if (v >= sizes.vertices) { return; }
  var rows = array<vec4f, 3>();
  for (var i = 0u; i < sizes.influences; i++) {
    let weight = weights[v * sizes.influences + i];
    let joint = joints[v * sizes.influences + i] * 3;
    for (var row = 0u; row < 3; row++) { rows[row] += weight * matrices[joint + row]; }
  }
  let p = vec4f(positions[3 * v], positions[3 * v + 1], positions[3 * v + 2], 1);
  for (var row = 0u; row < 3; row++) { skinned[3 * v + row] = dot(rows[row], p); }
  if (sizes.hasNormals == 0) { return; }
  let n = vec3f(normals[3 * v], normals[3 * v + 1], normals[3 * v + 2]);
  var turned = vec3f(dot(rows[0].xyz, n), dot(rows[1].xyz, n), dot(rows[2].xyz, n));
  turned *= inverseSqrt(max(dot(turned, turned), 1e-38));
  for (var row = 0u; row < 3; row++) { skinnedNormals[3 * v + row] = turned[row]; }
}
`;

function pipelineOf({ gpu }: Device): GPUComputePipeline {
  const module = gpu.createShaderModule({ label: 'skinning', code: SHADER });
  return gpu.createComputePipeline({ label: 'skinning', layout: 'auto', compute: { module } });
}

/** One primitive with its skin; `positions` and `normals` hold world vertices once `write` has run. */
export class SkinnedVertices {
  readonly positions: DeviceBuffer;
  readonly normals: DeviceBuffer;
  readonly #device: Device;
  readonly #vertices: number;
  readonly #matrices: DeviceBuffer;
  readonly #owned: DeviceBuffer[];
  readonly #pipeline: GPUComputePipeline;
  readonly #group: GPUBindGroup;

  /** @param primitive must have joints and weights. */
  constructor(device: Device, primitive: Primitive, joints: number) {
    const { gpu } = device;
    this.#device = device;
    this.#vertices = primitive.positions.length / 3;
    const upload = (data: Float32Array | Uint32Array, label: string) => {
      const buffer = device.createBuffer(
        Math.max(4, data.byteLength),
        GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
        label,
      );
      gpu.queue.writeBuffer(buffer.gpu, 0, data as Float32Array<ArrayBuffer>);
      return buffer;
    };
    const out = (label: string) =>
      device.createBuffer(
        Math.max(12, this.#vertices * 12),
        GPUBufferUsage.STORAGE | GPUBufferUsage.VERTEX | GPUBufferUsage.COPY_SRC,
        label,
      );
    this.positions = out('skinned positions');
    this.normals = out('skinned normals');
    this.#matrices = upload(new Float32Array(joints * 12), 'joint matrices');
    const sizes = device.createBuffer(16, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST, 'skin sizes');
    gpu.queue.writeBuffer(
      sizes.gpu,
      0,
      Uint32Array.of(this.#vertices, primitive.influences, primitive.normals ? 1 : 0, 0),
    );
    const inputs = [
      sizes,
      this.#matrices,
      upload(primitive.positions, 'rest positions'),
      upload(primitive.normals ?? new Float32Array(1), 'rest normals'),
      upload(primitive.joints!, 'vertex joints'),
      upload(primitive.weights!, 'vertex weights'),
      this.positions,
      this.normals,
    ];
    this.#owned = inputs;
    this.#pipeline = device.once(pipelineOf);
    this.#group = gpu.createBindGroup({
      layout: this.#pipeline.getBindGroupLayout(0),
      entries: inputs.map((buffer, binding) => ({ binding, resource: { buffer: buffer.gpu } })),
    });
  }

  /** Submits the skinning of one pose. @param worlds one world matrix a joint of the skin. */
  write(worlds: readonly Matrix[], inverseBind: readonly Matrix[]): void {
    const { gpu } = this.#device;
    const rows = new Float32Array(worlds.length * 12);
    worlds.forEach((world, k) => {
      rows.set(multiply(world, inverseBind[k]).subarray(0, 12), k * 12);
    });
    gpu.queue.writeBuffer(this.#matrices.gpu, 0, rows);
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass({ label: 'skinning' });
    pass.setPipeline(this.#pipeline);
    pass.setBindGroup(0, this.#group);
    const groups = Math.ceil(this.#vertices / 64);
    const most = this.#device.caps.limits.maxComputeWorkgroupsPerDimension;
    pass.dispatchWorkgroups(Math.min(groups, most), Math.ceil(groups / most));
    pass.end();
    gpu.queue.submit([encoder.finish()]);
  }

  destroy(): void {
    for (const buffer of this.#owned) buffer.destroy();
  }
}
