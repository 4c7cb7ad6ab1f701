/**
 * One denoising call as a compiled program: the transformer on [negative, positive] and the guidance that
 * combines them. Compiled once for a size and replayed at every step; what does not change stays on the
 * device.
 */
import {
  add,
  broadcastTo,
  compile,
  concat,
  type Device,
  DeviceTensor,
  mul,
  type Plan,
  type Precision,
  type Program,
  planProgram,
  slice,
  spec,
  sub,
  type Tensor,
  type TensorSpec,
  trace,
} from '@dwm/core-tensor';
import type { DenoisingNetwork } from '../families/family.ts';
import type { LatentSize } from '../vae/index.ts';

/** Latent size and text of a run. */
export interface DenoiserShape {
  readonly latent: LatentSize;
  readonly textLength: number;
  /** Batch of two, [negative, positive]. */
  readonly guided: boolean;
}

type Inputs = { sample: Tensor; condition: Tensor; text: Tensor; guidance: Tensor } & Record<string, Tensor>;
type Signature = Record<string, TensorSpec>;

function signature(network: DenoisingNetwork, shape: DenoiserShape): Signature {
  const { channels, frames, height, width } = shape.latent;
  return {
    ...network.told,
    sample: spec([1, frames, channels, height, width]),
    condition: spec([1, frames, network.inputChannels - channels, height, width]),
    text: spec([shape.guided ? 2 : 1, shape.textLength, network.textWidth]),
    guidance: spec([1]),
  };
}

function predict(network: DenoisingNetwork, shape: DenoiserShape) {
  return ({ sample, condition, text, guidance, ...told }: Inputs) => {
    const batch = shape.guided ? 2 : 1;
    const hidden = concat([sample, condition], 2);
    const both = broadcastTo(hidden, [batch, ...hidden.shape.slice(1)]);
    const raw = network.forward(both, text, told);
    if (!shape.guided) return { prediction: raw, raw };
    const negative = slice(raw, 0, 0, 1);
    const positive = slice(raw, 0, 1, 1);
    return { prediction: add(negative, mul(guidance, sub(positive, negative))), raw };
  };
}

/** The network of a run, from its signature to its answer. */
const traced = (network: DenoisingNetwork, shape: DenoiserShape) => ({
  inputs: signature(network, shape),
  run: predict(network, shape) as (inputs: Record<string, Tensor>) => { prediction: Tensor; raw: Tensor },
});

/** The transformer as one program that predicts a step, guidance included. */
export class Denoiser {
  readonly #network: DenoisingNetwork;
  readonly #program: Program<Signature, { prediction: Tensor; raw: Tensor }>;
  readonly #fixed: { condition: DeviceTensor; text: DeviceTensor };

  private constructor(
    network: DenoisingNetwork,
    program: Program<Signature, { prediction: Tensor; raw: Tensor }>,
    fixed: { condition: DeviceTensor; text: DeviceTensor },
  ) {
    this.#network = network;
    this.#program = program;
    this.#fixed = fixed;
  }

  /** The plan of a run, before anything is allocated. */
  static plan(device: Device, network: DenoisingNetwork, shape: DenoiserShape, precision: Precision): Plan {
    const { inputs, run } = traced(network, shape);
    const graph = trace(inputs, run);
    return planProgram(graph, device.caps, precision);
  }

  /**
   * @param condition mask, static and hand latents [latent frames, channels, height, width] of one clip.
   * @param text embeddings [guided ? 2 : 1, tokens, dim], negative first.
   */
  static async create(
    device: Device,
    network: DenoisingNetwork,
    shape: DenoiserShape,
    condition: Float32Array,
    text: Float32Array,
    precision: Precision,
  ): Promise<Denoiser> {
    const { inputs, run } = traced(network, shape);
    const program = await compile(device, inputs, run, precision);
    return new Denoiser(network, program, {
      condition: DeviceTensor.from(device, condition, inputs.condition.shape, 'f32', 'condition latents'),
      text: DeviceTensor.from(device, text, inputs.text.shape, 'f32', 'text embeddings'),
    });
  }

  get plan(): Plan {
    return this.#program.plan;
  }

  /**
   * The guided prediction for `sample` at `timestep`.
   * @param options `onProgress` hears the finished share of this call, 0 to 1.
   */
  async predict(
    sample: Float32Array,
    timestep: number,
    guidance: number,
    options: { signal?: AbortSignal; onProgress?: (done: number) => void } = {},
  ): Promise<Float32Array> {
    await this.#program.run(
      {
        sample,
        ...this.#fixed,
        ...this.#network.tell(timestep),
        guidance: Float32Array.of(guidance),
      },
      options,
    );
    return (await this.#program.outputs.prediction.read()) as Float32Array;
  }

  /** What the network said in the last call before guidance: [guided ? 2 : 1, …]. */
  async raw(): Promise<Float32Array> {
    return (await this.#program.outputs.raw.read()) as Float32Array;
  }

  destroy(): void {
    this.#program.destroy();
    this.#fixed.condition.destroy();
    this.#fixed.text.destroy();
  }
}
