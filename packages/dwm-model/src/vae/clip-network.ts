/**
 * Runs encoder or decoder over a clip, one stretch of frames after the other, on the device from end to end. Between
 * them only the convolutions' caches stay. Plans are kept for each shape; the memory they need lives as long as a call.
 *
 * A tensor of a clip is [1, frames, …]: what stretches give lies one after the other.
 */
import {
  type Device,
  DeviceTensor,
  elementCount,
  type Plan,
  PlanTooLargeError,
  type Precision,
  Program,
  planProgram,
  type RunOptions,
  spec,
  type Tensor,
  type TensorSpec,
  trace,
} from '@dwm/core-tensor';
import { beforeUse } from '@dwm/core-tensor/tune';
import { ownBytes } from '../weights/block-loop.ts';
import { specBytes } from '../weights/block-stream.ts';
import type { Parameters } from '../weights/parameters.ts';
import type { Passage } from './layers.ts';

export interface PlannedStretch {
  readonly plan: Plan;
  readonly inputs: Readonly<Record<string, TensorSpec>>;
  readonly frames: number;
  readonly outShape: readonly number[];
  /** What it leaves to the next stretch. */
  readonly caches: Readonly<Record<string, TensorSpec>>;
  /** Device memory that it needs beside the weights. */
  readonly bytes: number;
}

/** Of one stretch, from and to the layouts of the clips that go in and come out. */
export type StretchNetwork = (passage: Passage, x: Tensor) => Tensor;

export class ClipNetwork {
  readonly #device: Device;
  readonly #network: StretchNetwork;
  readonly #parameters: Parameters;
  readonly #precision: Precision;
  readonly #stretches: (frames: number) => readonly number[];
  readonly #plans = new Map<string, PlannedStretch>();

  /**
   * @param stretches input frames of each stretch of a clip; what they leave of it does not go in.
   */
  constructor(
    device: Device,
    network: StretchNetwork,
    parameters: Parameters,
    precision: Precision,
    stretches: (frames: number) => readonly number[],
  ) {
    this.#device = device;
    this.#network = network;
    this.#parameters = parameters;
    this.#precision = precision;
    this.#stretches = stretches;
  }

  /** The stretches of a clip of `shape`, in order. */
  plan([, frames, ...picture]: readonly number[]): PlannedStretch[] {
    const counts = this.#stretches(frames);
    let caches: PlannedStretch['caches'] | undefined;
    return counts.map((count) => {
      const planned = this.planStretch([1, count, ...picture], caches, counts.length > 1);
      caches = planned.caches;
      return planned;
    });
  }

  /**
   * @param shape [1, frames, …] of the clip that goes in.
   * @param read gives the input frames [frame, frame + frames), which are destroyed after use.
   * @param options progress is that of this clip.
   * @returns [1, frames, …], the caller's.
   * @throws PlanTooLargeError before anything is allocated; the signal's reason when aborted.
   */
  async run(
    shape: readonly number[],
    read: (frame: number, frames: number) => Promise<DeviceTensor>,
    options: RunOptions,
  ): Promise<DeviceTensor> {
    const device = this.#device;
    await beforeUse.prove(device, () => this.plan(shape).map(({ plan }) => plan));
    const planned = this.plan(shape);
    const outSpec = spec(outShapeOf(planned));
    this.#checkMemory(planned, 4 * elementCount(outSpec.shape));
    const flops = planned.reduce((sum, { plan }) => sum + plan.cost.flops, 0);
    const out = new DeviceTensor(device, outSpec, 'clip');

    let finished = 0;
    let frame = 0;
    let written = 0;
    let program: Program<Record<string, TensorSpec>, Record<string, Tensor>> | undefined;
    const caches: Record<string, DeviceTensor> = {};
    const forget = (tensors: object) => {
      for (const tensor of Object.values(tensors)) if (tensor instanceof DeviceTensor) tensor.destroy();
    };
    try {
      for (const [i, { plan, inputs, frames }] of planned.entries()) {
        options.signal?.throwIfAborted();
        if (program?.plan !== plan) {
          program?.destroy();
          program = undefined;
          program = await Program.create(device, plan, inputs);
        }
        const x = await read(frame, frames);
        try {
          await program.run(
            { ...caches, clip: x },
            {
              signal: options.signal,
              ...(options.onProgress && {
                onProgress: (done) => options.onProgress?.((finished + done * plan.cost.flops) / flops),
              }),
            },
          );
          const { clip, ...next } = program.outputs;
          if (i < planned.length - 1) keepCaches(caches, next);
          out.copyFrom(clip, { to: written, count: clip.elementCount });
          written += clip.elementCount;
          // What is freed now is then free on the device too.
          await device.done();
        } finally {
          forget([x]);
        }
        frame += frames;
        finished += plan.cost.flops;
      }
      return out;
    } catch (error) {
      out.destroy();
      throw error;
    } finally {
      program?.destroy();
      forget(caches);
    }
  }

  /**
   * One stretch.
   * @param shape [1, frames, …] of what goes in.
   * @param caches what the stretch before leaves; undefined for a clip's first.
   * @param keepsCaches whether another follows.
   */
  planStretch(
    shape: readonly number[],
    caches: PlannedStretch['caches'] | undefined,
    keepsCaches = true,
  ): PlannedStretch {
    // Kernels that were decided since make another plan.
    const { decisions } = this.#device;
    const key = `${shape}, ${caches ? 'next' : 'first'}, ${keepsCaches}, ${decisions.changes}`;
    let planned = this.#plans.get(key);
    if (planned) return planned;
    const inputs = { ...caches, clip: spec(shape) };
    const outputs = trace<Record<string, TensorSpec>, Record<string, Tensor>>(
      inputs,
      ({ clip, ...previous }) => {
        const passage: Passage = {
          parameters: this.#parameters,
          caches: caches && previous,
          nextCaches: {},
        };
        return { clip: this.#network(passage, clip), ...(keepsCaches && passage.nextCaches) };
      },
    );
    const plan = planProgram(outputs, this.#device, this.#precision);
    const { clip, ...next } = outputs;
    const nextSpecs = Object.fromEntries(
      Object.entries(next).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
    );
    planned = {
      plan,
      inputs,
      frames: shape[1],
      outShape: clip.shape,
      caches: nextSpecs,
      // The caches that are kept take the place of those before.
      bytes: ownBytes(plan) + specBytes({ clip: inputs.clip }) + specBytes(caches ?? nextSpecs),
    };
    this.#plans.set(key, planned);
    return planned;
  }

  #checkMemory(planned: readonly PlannedStretch[], resultBytes: number): void {
    const { allocated, limit } = this.#device.memory;
    const neededBytes = resultBytes + Math.max(...planned.map(({ bytes }) => bytes));
    if (allocated + neededBytes <= limit) return;
    throw new PlanTooLargeError(
      `the VAE needs ${neededBytes} bytes beside the ${allocated} in use, but this machine has ${limit}; turn on tiling, or use a smaller size`,
      { neededBytes, allocatedBytes: allocated, limitBytes: limit },
    );
  }
}

/** Takes over the caches that a stretch leaves, into those before it: a program's next run overwrites its outputs. */
export function keepCaches(
  caches: Record<string, DeviceTensor>,
  next: Readonly<Record<string, DeviceTensor>>,
): void {
  for (const [name, cache] of Object.entries(next)) {
    if (caches[name]) caches[name].copyFrom(cache);
    else caches[name] = cache.clone(name);
  }
}

/** Of what comes out of all stretches together. */
export function outShapeOf(planned: readonly PlannedStretch[]): number[] {
  const [, , ...picture] = planned[0].outShape;
  return [1, planned.reduce((sum, { outShape }) => sum + outShape[1], 0), ...picture];
}
