/**
 * A compiled plan: pipelines, arena, uniforms and bind groups made once, replayed at every `run`. Long
 * programs are submitted in slices, so that no submit runs long enough to trip a watchdog, progress can be
 * shown, and an abort takes effect between slices.
 */
import { bytesOf, elementCount } from '@dwm/kernels-wgsl';
import type { Device, DeviceBuffer } from './device/device.ts';
import type { Filled } from './device/verdicts.ts';
import { DeviceTensor } from './device-tensor.ts';
import { InvalidArgumentError } from './errors.ts';
import { pipelinesOf } from './pipelines.ts';
import {
  type Plan,
  type PlannedDispatch,
  PlanTooLargeError,
  planProgram,
  uniformStride,
} from './plan/plan.ts';
import { type HostData, input, type Precision, type Tensor, type TensorSpec } from './tensor.ts';
import { beforeUse } from './tune/before-use.ts';

/** Options of `Program.run`. */
export interface RunOptions {
  readonly signal?: AbortSignal;
  /** Called with the finished share of the program's work, 0 to 1. */
  readonly onProgress?: (done: number) => void;
}

/** Work per submit: about a tenth of a second on a CPU adapter, and far less than a watchdog on a GPU. */
const SLICE = {
  software: { flops: 1e9, bytes: 1e9 },
  hardware: { flops: 2e12, bytes: 2e11 },
};

/** Bind groups kept for one dispatch, for programs run on changing buffers (ping-pong of caches). */
const GROUPS_KEPT = 4;

interface Step {
  readonly dispatch: PlannedDispatch;
  readonly pipeline: GPUComputePipeline;
  readonly uniform?: { offset: number; size: number };
  readonly groups: Map<string, GPUBindGroup>;
}

/** What a run is given: tensors on the device, or arrays. */
export type Inputs<I extends Record<string, TensorSpec>> = { [K in keyof I]: DeviceTensor | HostData };

/** A compiled graph: compile once, run often. */
export class Program<I extends Record<string, TensorSpec>, O extends Record<string, Tensor>> {
  readonly plan: Plan;
  /** The result tensors; every run overwrites them. */
  readonly outputs: { [K in keyof O]: DeviceTensor };
  readonly #device: Device;
  readonly #inputs: I;
  readonly #steps: readonly Step[];
  /** Of all steps, as in `RunOptions.onProgress`: FLOPs and bytes. */
  readonly #work: number;
  readonly #slabs: readonly DeviceBuffer[];
  readonly #uniforms: DeviceBuffer | undefined;
  readonly #constants: Map<Tensor, DeviceTensor>;
  readonly #uploads = new Map<string, DeviceTensor>();
  #freed = false;

  private constructor(
    device: Device,
    plan: Plan,
    inputs: I,
    steps: readonly Step[],
    slabs: readonly DeviceBuffer[],
    uniforms: DeviceBuffer | undefined,
    constants: Map<Tensor, DeviceTensor>,
    outputs: { [K in keyof O]: DeviceTensor },
  ) {
    this.#device = device;
    this.plan = plan;
    this.#inputs = inputs;
    this.#steps = steps;
    this.#work = steps.reduce((sum, { dispatch: { cost } }) => sum + cost.flops + cost.bytes, 0);
    this.#slabs = slabs;
    this.#uniforms = uniforms;
    this.#constants = constants;
    this.outputs = outputs;
  }

  /** @throws PlanTooLargeError when the device's memory is known and cannot hold the plan. */
  static async create<I extends Record<string, TensorSpec>, O extends Record<string, Tensor>>(
    device: Device,
    plan: Plan,
    inputs: I,
  ): Promise<Program<I, O>> {
    await beforeUse.settle(device, plan);
    return Program.build(device, plan, inputs);
  }

  /** `create` for a program that is only measured: its choices are on trial. */
  static async build<I extends Record<string, TensorSpec>, O extends Record<string, Tensor>>(
    device: Device,
    plan: Plan,
    inputs: I,
  ): Promise<Program<I, O>> {
    const { memory } = device;
    const needed = plan.memory.total - plan.memory.parameters;
    if (memory.allocated + needed > memory.limit) {
      throw new PlanTooLargeError(
        `the program needs ${needed} bytes beside the ${memory.allocated} in use, but this machine has ${memory.limit}; use a smaller size, fewer frames or tiling`,
        { neededBytes: needed, allocatedBytes: memory.allocated, limitBytes: memory.limit },
      );
    }
    const pipelines = pipelinesOf(device);
    const compiled = await device.wait(
      Promise.all(plan.dispatches.map((dispatch) => pipelines.get(dispatch))),
    );

    const owned: { destroy(): void }[] = [];
    const own = <T extends { destroy(): void }>(made: T): T => {
      owned.push(made);
      return made;
    };
    try {
      return await Program.#allocate<I, O>(device, plan, inputs, compiled, own);
    } catch (error) {
      for (const made of owned) made.destroy();
      throw error;
    }
  }

  static async #allocate<I extends Record<string, TensorSpec>, O extends Record<string, Tensor>>(
    device: Device,
    plan: Plan,
    inputs: I,
    pipelines: readonly GPUComputePipeline[],
    own: <T extends { destroy(): void }>(made: T) => T,
  ): Promise<Program<I, O>> {
    const slabs = plan.slabs.map((bytes, i) =>
      own(device.createBuffer(bytes, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC, `arena ${i}`)),
    );
    let offset = 0;
    const steps = plan.dispatches.map((dispatch, i): Step => {
      const step = { dispatch, pipeline: pipelines[i], groups: new Map() };
      if (dispatch.uniforms.length === 0) return step;
      const uniform = { offset, size: Math.ceil((dispatch.uniforms.length * 4) / 16) * 16 };
      offset += uniformStride(device.caps, dispatch.uniforms.length);
      return { ...step, uniform };
    });
    let uniforms: DeviceBuffer | undefined;
    if (offset > 0) {
      const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
      uniforms = own(device.createBuffer(offset, usage, 'uniforms'));
      const words = new Uint32Array(offset / 4);
      for (const { uniform, dispatch } of steps)
        if (uniform) words.set(dispatch.uniforms, uniform.offset / 4);
      device.gpu.queue.writeBuffer(uniforms.gpu, 0, words);
    }
    const constants = new Map<Tensor, DeviceTensor>();
    for (const tensor of plan.externals) {
      if (tensor.source.kind !== 'constant') continue;
      const { shape, dtype, source } = tensor;
      const made = own(new DeviceTensor(device, { shape, dtype }, 'constant'));
      const { buffer, byteOffset, byteLength } = source.data;
      made.writeBytes(new Uint8Array(buffer, byteOffset, byteLength));
      constants.set(tensor, made);
    }
    const outputs: Record<string, DeviceTensor> = {};
    for (const [name, spec] of plan.outputs) outputs[name] = own(new DeviceTensor(device, spec, name));
    const program = new Program<I, O>(
      device,
      plan,
      inputs,
      steps,
      slabs,
      uniforms,
      constants,
      outputs as { [K in keyof O]: DeviceTensor },
    );
    await device.wait(Promise.resolve());
    return program;
  }

  /**
   * Runs the program. Inputs on the device are bound where they are; host arrays are uploaded first.
   * Resolves when the work is submitted and WebGPU has accepted it, except that long programs wait for all but
   * their last slices.
   * @throws the signal's reason when aborted between slices; InvalidArgumentError for an input of another shape or
   * dtype, or one that was destroyed; what went wrong in this run, and in any earlier call that nobody waited for.
   * The outputs then refuse to be read until a run succeeds.
   */
  async run(inputs: Inputs<I>, options: RunOptions = {}): Promise<{ [K in keyof O]: DeviceTensor }> {
    const device = this.#device;
    const fills = Object.values(this.outputs).map(({ buffer }) => buffer);
    // What one slice leaves in the arena, the next reads.
    const intermediates: Filled = { fault: undefined };
    const verdicts: Promise<Error | undefined>[] = [];
    const inFlight: Promise<void>[] = [];
    const budget = SLICE[device.caps.adapter.kind];
    let finished = 0;
    let at = 0;
    let told: Error | undefined;
    try {
      const bound = new Map<string, DeviceTensor>();
      for (const [name, spec] of Object.entries(this.#inputs))
        bound.set(name, this.#bind(name, spec, inputs[name]));
      const reads = this.#reads(bound);
      while (at < this.#steps.length) {
        options.signal?.throwIfAborted();
        const encoder = device.gpu.createCommandEncoder();
        const pass = encoder.beginComputePass();
        let flops = 0;
        let bytes = 0;
        do {
          const step = this.#steps[at++];
          pass.setPipeline(step.pipeline);
          pass.setBindGroup(0, this.#group(step, bound));
          pass.dispatchWorkgroups(...step.dispatch.workgroups);
          flops += step.dispatch.cost.flops;
          bytes += step.dispatch.cost.bytes;
        } while (at < this.#steps.length && flops < budget.flops && bytes < budget.bytes);
        pass.end();
        device.gpu.queue.submit([encoder.finish()]);
        const last = at === this.#steps.length;
        device.note({ reads: [...reads, intermediates], fills: [...fills, intermediates], whole: last });
        verdicts.push(device.verdict(reads));
        if (last && verdicts.length === 1 && !options.onProgress) break;
        const done = device.finished().then(() => {
          finished += flops + bytes;
          options.onProgress?.(Math.min(1, finished / this.#work));
        });
        done.catch(() => {});
        inFlight.push(done);
        // Two slices in flight keep the device busy while the next is encoded.
        if (inFlight.length >= 2 && !last) await inFlight.shift();
      }
      while (verdicts.length > 0) {
        told = await verdicts.shift();
        if (told) throw told;
      }
      await Promise.all(inFlight);
      return this.outputs;
    } catch (error) {
      // Refused or aborted: some of the outputs may be new and some are not.
      if (!told) device.note({ reads: [{ fault: asError(error) }], fills, whole: false });
      for (const { groups } of this.#steps) groups.clear();
      for (const verdict of verdicts) verdict.then((late) => late && device.deliver(late));
      throw error;
    }
  }

  /** Frees everything the program owns but its outputs, which are handed over to the caller. */
  release(): { [K in keyof O]: DeviceTensor } {
    this.#freeInternals();
    return this.outputs;
  }

  /** Frees everything the program owns, outputs included. */
  destroy(): void {
    this.#freeInternals();
    for (const tensor of Object.values(this.outputs)) tensor.destroy();
  }

  #freeInternals(): void {
    this.#freed = true;
    for (const slab of this.#slabs) slab.destroy();
    this.#uniforms?.destroy();
    for (const tensor of this.#constants.values()) tensor.destroy();
    for (const tensor of this.#uploads.values()) tensor.destroy();
  }

  /** Buffers whose bytes the results depend on. @throws InvalidArgumentError where one is gone. */
  #reads(bound: Map<string, DeviceTensor>): DeviceBuffer[] {
    if (this.#freed)
      throw new InvalidArgumentError('program', 'was destroyed or released, and cannot run again');
    return this.plan.externals.map(({ source }, i) => {
      if (source.kind === 'constant') return this.#constants.get(this.plan.externals[i])!.buffer;
      const tensor =
        source.kind === 'parameter' ? source.tensor : bound.get((source as { name: string }).name);
      const name = source.kind === 'input' ? `input ${source.name}` : `parameter ${tensor?.buffer.label}`;
      if (!tensor) throw new InvalidArgumentError(name, 'is missing');
      if (tensor.buffer.destroyed) throw new InvalidArgumentError(name, 'was destroyed before the run');
      if (tensor.device !== this.#device) throw new InvalidArgumentError(name, 'lives on another device');
      return tensor.buffer;
    });
  }

  #bind(name: string, spec: TensorSpec, value: DeviceTensor | HostData): DeviceTensor {
    if (value instanceof DeviceTensor) {
      const fits = value.dtype === spec.dtype && value.shape.join() === spec.shape.join();
      if (!fits) {
        throw new InvalidArgumentError(
          `input ${name}`,
          `expected ${spec.dtype} [${spec.shape}], got ${value.dtype} [${value.shape}]`,
        );
      }
      return value;
    }
    // Two of i4 are a byte.
    if (value?.length !== elementCount(spec.shape) * Math.min(1, bytesOf(spec.dtype))) {
      throw new InvalidArgumentError(
        `input ${name}`,
        `expected ${elementCount(spec.shape)} values, got ${value?.length}`,
      );
    }
    let upload = this.#uploads.get(name);
    if (!upload) {
      upload = new DeviceTensor(this.#device, spec, name);
      this.#uploads.set(name, upload);
    }
    upload.write(value);
    return upload;
  }

  #group({ dispatch, pipeline, uniform, groups }: Step, bound: Map<string, DeviceTensor>): GPUBindGroup {
    let key = '';
    const buffers = dispatch.bindings.map(({ location }): GPUBuffer => {
      if (location.kind === 'slab') return this.#slabs[location.slab].gpu;
      if (location.kind === 'output') return Object.values(this.outputs)[location.index].buffer.gpu;
      const { source } = location.tensor;
      if (source.kind === 'parameter') return source.tensor.buffer.gpu;
      if (source.kind === 'constant') return this.#constants.get(location.tensor)!.buffer.gpu;
      if (source.kind !== 'input') throw new Error('an intermediate outside the arena');
      const tensor = bound.get(source.name);
      key += `${tensor!.id},`;
      return tensor!.buffer.gpu;
    });
    let group = groups.get(key);
    if (group) return group;
    const entries: GPUBindGroupEntry[] = dispatch.bindings.map(({ location, byteOffset, byteLength }, k) => ({
      binding: k + 1,
      resource: {
        buffer: buffers[k],
        offset: byteOffset + (location.kind === 'slab' ? location.offset : 0),
        size: byteLength,
      },
    }));
    if (uniform) entries.unshift({ binding: 0, resource: { buffer: this.#uniforms!.gpu, ...uniform } });
    group = this.#device.gpu.createBindGroup({
      label: dispatch.label,
      layout: pipeline.getBindGroupLayout(0),
      entries,
    });
    if (groups.size >= GROUPS_KEPT) groups.delete(groups.keys().next().value!);
    groups.set(key, group);
    return group;
  }
}

/**
 * Traces `fn` on symbolic inputs, plans it for `device` and compiles it.
 *
 * @param inputs shape and dtype of what `run` will be given, by name.
 * @param fn model code; returns the results by name.
 */
export async function compile<I extends Record<string, TensorSpec>, O extends Record<string, Tensor>>(
  device: Device,
  inputs: I,
  fn: (inputs: { [K in keyof I]: Tensor }) => O,
  precision: Precision = 'f32',
): Promise<Program<I, O>> {
  const outputs = trace(inputs, fn);
  const plan = () => planProgram(outputs, device, precision);
  await beforeUse.tune(device, () => [plan()]);
  return Program.create(device, plan(), inputs);
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

/** Runs `fn` on symbolic inputs: the graph of its results. */
export function trace<I extends Record<string, TensorSpec>, O extends Record<string, Tensor>>(
  inputs: I,
  fn: (inputs: { [K in keyof I]: Tensor }) => O,
): O {
  const symbols = Object.fromEntries(Object.entries(inputs).map(([name, spec]) => [name, input(name, spec)]));
  return fn(symbols as { [K in keyof I]: Tensor });
}

/** Evaluates tensors that need no inputs, once: for loading, tests and notebooks, not for the hot path. */
export async function evaluate<O extends Record<string, Tensor>>(
  device: Device,
  outputs: O,
  precision: Precision = 'f32',
): Promise<{ [K in keyof O]: DeviceTensor }> {
  const plan = planProgram(outputs, device, precision);
  const program = await Program.create<Record<string, never>, O>(device, plan, {});
  try {
    await program.run({});
  } catch (error) {
    program.destroy();
    throw error;
  }
  return program.release();
}
