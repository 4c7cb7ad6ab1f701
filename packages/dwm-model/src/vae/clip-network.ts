/**
 * Runs encoder or decoder over a clip, one stretch of frames after the other. Between them only the
 * convolutions' caches stay on the device. Plans are kept for each shape; the memory they need lives as long
 * as a call.
 */
import {
  beforeUse,
  bytesOf,
  choicesOf,
  type Device,
  DeviceTensor,
  elementCount,
  type HostData,
  type Plan,
  PlanTooLargeError,
  type Precision,
  Program,
  permute,
  planProgram,
  type RunOptions,
  spec,
  type Tensor,
  type TensorSpec,
  trace,
  verdictsOf,
} from '@dwm/core-tensor';
import { ownBytes } from '../weights/block-loop.ts';
import { specBytes } from '../weights/block-stream.ts';
import type { Parameters } from '../weights/parameters.ts';
import { type Clip, type ClipShape, copyBox, emptyClip } from './clip.ts';
import type { Passage } from './layers.ts';

export interface PlannedStretch {
  readonly plan: Plan;
  readonly inputs: Readonly<Record<string, TensorSpec>>;
  readonly frames: number;
  readonly outShape: ClipShape;
  /** What it leaves to the next stretch. */
  readonly caches: Readonly<Record<string, TensorSpec>>;
  /** Device memory that it needs beside the weights. */
  readonly bytes: number;
}

export class ClipNetwork {
  readonly #device: Device;
  readonly #network: (passage: Passage, x: Tensor) => Tensor;
  readonly #parameters: Parameters;
  readonly #precision: Precision;
  readonly #stretches: (frames: number) => readonly number[];
  readonly #plans = new Map<string, PlannedStretch>();

  /**
   * @param network of one stretch, channels last.
   * @param stretches input frames of each stretch of a clip; what they leave of it does not go in.
   */
  constructor(
    device: Device,
    network: (passage: Passage, x: Tensor) => Tensor,
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
  plan([batch, channels, frames, height, width]: ClipShape): PlannedStretch[] {
    const counts = this.#stretches(frames);
    let caches: PlannedStretch['caches'] | undefined;
    return counts.map((count) => {
      const planned = this.#planStretch([batch, channels, count, height, width], caches, counts.length > 1);
      caches = planned.caches;
      return planned;
    });
  }

  /**
   * @param read gives the input frames [frame, frame + frames); a DeviceTensor is destroyed after use.
   * @param options progress is that of this clip.
   * @throws PlanTooLargeError before anything is allocated; the signal's reason when aborted.
   */
  async run(
    shape: ClipShape,
    read: (frame: number, frames: number) => Promise<HostData | DeviceTensor>,
    options: RunOptions,
  ): Promise<Clip> {
    const device = this.#device;
    await beforeUse.prove(device, () => this.plan(shape).map(({ plan }) => plan));
    const planned = this.plan(shape);
    this.#checkMemory(planned);
    const flops = planned.reduce((sum, { plan }) => sum + plan.cost.flops, 0);
    const [batch, channels, , height, width] = planned[0].outShape;
    const outFrames = planned.reduce((sum, { outShape }) => sum + outShape[2], 0);
    const out = emptyClip([batch, channels, outFrames, height, width]);

    let finished = 0;
    let frame = 0;
    let outFrame = 0;
    let program: Program<Record<string, TensorSpec>, Record<string, Tensor>> | undefined;
    let caches: Record<string, DeviceTensor> = {};
    const forget = (tensors: object) => {
      for (const tensor of Object.values(tensors)) if (tensor instanceof DeviceTensor) tensor.destroy();
    };
    try {
      for (const [i, { plan, inputs, frames, outShape }] of planned.entries()) {
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
          forget(caches);
          caches = {};
          // A program's outputs are overwritten by its next run, which reads them.
          if (i < planned.length - 1) {
            for (const [name, cache] of Object.entries(next)) caches[name] = cache.clone(name);
          }
          const data = (await clip.read()) as Float32Array;
          const [, , count] = outShape;
          const whole = { frame: 0, frames: count, top: 0, height, left: 0, width };
          copyBox({ shape: outShape, data }, whole, out, { frame: outFrame, top: 0, left: 0 });
          outFrame += count;
        } finally {
          forget([x]);
        }
        frame += frames;
        finished += plan.cost.flops;
      }
    } finally {
      program?.destroy();
      forget(caches);
    }
    return out;
  }

  #planStretch(
    shape: ClipShape,
    caches: PlannedStretch['caches'] | undefined,
    keepsCaches: boolean,
  ): PlannedStretch {
    // Kernels that were decided since make another plan.
    const { caps } = this.#device;
    const decided = choicesOf(caps).size + verdictsOf(caps).size;
    const key = `${shape}, ${caches ? 'next' : 'first'}, ${keepsCaches}, ${decided}`;
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
        const y = this.#network(passage, permute(clip, [0, 2, 3, 4, 1]));
        return { clip: permute(y, [0, 4, 1, 2, 3]), ...(keepsCaches && passage.nextCaches) };
      },
    );
    const plan = planProgram(outputs, this.#device.caps, this.#precision);
    const { clip, ...next } = outputs;
    const nextSpecs = Object.fromEntries(
      Object.entries(next).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
    );
    const cacheBytes = Object.values(nextSpecs).reduce(
      (sum, { shape, dtype }) => sum + elementCount(shape) * bytesOf(dtype),
      0,
    );
    planned = {
      plan,
      inputs,
      frames: shape[2],
      outShape: clip.shape as ClipShape,
      caches: nextSpecs,
      // The caches are copied while the program is there.
      bytes: ownBytes(plan) + specBytes(inputs) + cacheBytes,
    };
    this.#plans.set(key, planned);
    return planned;
  }

  #checkMemory(planned: readonly PlannedStretch[]): void {
    const { allocated, limit } = this.#device.memory;
    const neededBytes = Math.max(...planned.map(({ bytes }) => bytes));
    if (allocated + neededBytes <= limit) return;
    throw new PlanTooLargeError(
      `the VAE needs ${neededBytes} bytes beside the ${allocated} in use, but this machine has ${limit}; turn on tiling, or use a smaller size`,
      { neededBytes, allocatedBytes: allocated, limitBytes: limit },
    );
  }
}
