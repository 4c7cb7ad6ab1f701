/**
 * The little that the splat kernels need of WebGPU: pipelines compiled once a device, dispatches of any number of
 * workgroups, buffers that grow, and small uniforms written in slots of one buffer.
 */
import { type Device, type DeviceBuffer, GpuValidationError, InvalidArgumentError } from '@dwm/core-tensor';

const noPipelines = () => new Map<string, Promise<GPUComputePipeline>>();

/** The pipeline of `wgsl`'s entry point `main`, its layout read off the shader. */
export function computePipeline(device: Device, label: string, wgsl: string): Promise<GPUComputePipeline> {
  const pipelines = device.once(noPipelines);
  let pipeline = pipelines.get(wgsl);
  if (!pipeline) {
    const module = device.gpu.createShaderModule({ code: wgsl, label });
    const descriptor = { label, layout: 'auto', compute: { module, entryPoint: 'main' } } as const;
    pipeline = device.gpu.createComputePipelineAsync(descriptor).catch(async (cause) => {
      const { messages } = await module.getCompilationInfo();
      const first = messages.find(({ type }) => type === 'error');
      const where = first ? `line ${first.lineNum}: ${first.message}` : String(cause);
      throw new GpuValidationError(label, `does not compile: ${where}`, {}, { cause });
    });
    pipelines.set(wgsl, pipeline);
  }
  return pipeline;
}

/** A buffer, a part of one, or a texture, at binding 0, 1, 2 and so on. */
type Binding = DeviceBuffer | GPUBufferBinding | GPUTextureView;

/** Whole buffers are bound as such, so a shader's `arrayLength` is the buffer's, not the data's. */
function resource(binding: Binding): GPUBindingResource {
  return 'bytes' in binding ? { buffer: binding.gpu } : binding;
}

/** In WGSL, the number of this workgroup where `dispatch` laid the workgroups out in rows. */
export const WORKGROUP_NUMBER = 'workgroup.y * workgroups.x + workgroup.x';
export const WORKGROUP_BUILTINS =
  '@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, ' +
  '@builtin(local_invocation_index) local: u32';

/**
 * Encodes a dispatch of `groups` workgroups: a grid, or a number of them, laid out in rows where one dimension
 * cannot hold them all, so that shaders must ignore the surplus.
 */
export function dispatch(
  device: Device,
  pass: GPUComputePassEncoder,
  pipeline: GPUComputePipeline,
  bindings: readonly Binding[],
  groups: number | readonly [columns: number, rows: number],
): void {
  if (groups === 0) return;
  const most = device.caps.limits.maxComputeWorkgroupsPerDimension;
  const [columns, rows] =
    typeof groups === 'number' ? [Math.min(groups, most), Math.ceil(groups / most)] : groups;
  const layout = pipeline.getBindGroupLayout(0);
  const entries = bindings.map((b, binding) => ({ binding, resource: resource(b) }));
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.gpu.createBindGroup({ layout, entries }));
  pass.dispatchWorkgroups(columns, rows);
}

/** Buffers by name, each as large as was ever asked of it. */
export class Scratch {
  readonly #device: Device;
  readonly #label: string;
  readonly #buffers = new Map<string, DeviceBuffer>();

  constructor(device: Device, label: string) {
    this.#device = device;
    this.#label = label;
  }

  /**
   * A storage buffer of at least `bytes`; what it held is lost when it grows.
   * @throws InvalidArgumentError where the device cannot bind as much, OutOfMemoryError where it cannot hold it.
   */
  get(name: string, bytes: number): DeviceBuffer {
    const held = this.#buffers.get(name);
    if (held && held.bytes >= bytes) return held;
    const limit = this.#device.caps.limits.maxStorageBufferBindingSize;
    if (bytes > limit) {
      throw new InvalidArgumentError(
        `${this.#label} ${name}`,
        `needs ${bytes} bytes in one binding, this device allows ${limit}: render fewer splats or pixels at a time`,
        { bytes, limit },
      );
    }
    held?.destroy();
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    // Some room to grow, so that a moving camera does not reallocate at every frame.
    const size = Math.min(limit, Math.max(256, held ? Math.ceil(1.5 * bytes) : bytes));
    const buffer = this.#device.createBuffer(size, usage, `${this.#label} ${name}`);
    this.#buffers.set(name, buffer);
    return buffer;
  }

  destroy(): void {
    for (const buffer of this.#buffers.values()) buffer.destroy();
    this.#buffers.clear();
  }
}

const SLOT = 256;

/** Uniforms of one submit. `reset` only after the submit that used them: a slot is written before all of it. */
export class Uniforms {
  readonly #device: Device;
  readonly #slots: number;
  readonly #buffer: DeviceBuffer;
  #used = 0;

  constructor(device: Device, slots: number, label: string) {
    this.#device = device;
    this.#slots = slots;
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    this.#buffer = device.createBuffer(SLOT * slots, usage, `${label} uniforms`);
  }

  /** Up to 256 bytes, as a binding. */
  add(values: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>): GPUBufferBinding {
    if (this.#used === this.#slots)
      throw new InvalidArgumentError('slots', `more than ${this.#slots} uniforms`);
    const offset = SLOT * this.#used++;
    this.#device.gpu.queue.writeBuffer(this.#buffer.gpu, offset, values);
    return { buffer: this.#buffer.gpu, offset, size: Math.ceil(values.byteLength / 16) * 16 };
  }

  words(...values: number[]): GPUBufferBinding {
    return this.add(Uint32Array.from(values));
  }

  reset(): void {
    this.#used = 0;
  }

  destroy(): void {
    this.#buffer.destroy();
  }
}
