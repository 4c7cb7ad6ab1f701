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
import { type TransformerConfig, timestepTable, transformer } from '../transformer/index.ts';
import type { LatentSize } from '../vae/index.ts';
import type { Parameters } from '../weights/parameters.ts';

/** Latent size and text of a run. */
export interface DenoiserShape {
  readonly latent: LatentSize;
  readonly textLength: number;
  /** Batch of two, [negative, positive]. */
  readonly guided: boolean;
}

type Inputs = {
  sample: Tensor;
  condition: Tensor;
  text: Tensor;
  time: Tensor;
  guidance: Tensor;
  ofs: Tensor;
};

function signature(config: TransformerConfig, shape: DenoiserShape): Record<keyof Inputs, TensorSpec> {
  const { channels, frames, height, width } = shape.latent;
  return {
    sample: spec([1, frames, channels, height, width]),
    condition: spec([1, frames, config.in_channels - channels, height, width]),
    text: spec([shape.guided ? 2 : 1, shape.textLength, config.text_embed_dim]),
    time: spec([1, config.innerDim]),
    guidance: spec([1]),
    ofs: spec([1, config.ofs_embed_dim ?? 1]),
  };
}

function predict(config: TransformerConfig, parameters: Parameters, shape: DenoiserShape) {
  return ({ sample, condition, text, time, guidance, ofs }: Inputs) => {
    const batch = shape.guided ? 2 : 1;
    const hidden = concat([sample, condition], 2);
    const both = <T extends Tensor>(x: T) => broadcastTo(x, [batch, ...x.shape.slice(1)]);
    const raw = transformer(config, parameters, {
      hidden: both(hidden),
      text,
      time: both(time),
      ...(config.ofs_embed_dim !== null && { ofs }),
    });
    if (!shape.guided) return { prediction: raw, raw };
    const negative = slice(raw, 0, 0, 1);
    const positive = slice(raw, 0, 1, 1);
    return { prediction: add(negative, mul(guidance, sub(positive, negative))), raw };
  };
}

export class Denoiser {
  readonly #config: TransformerConfig;
  readonly #program: Program<Record<keyof Inputs, TensorSpec>, { prediction: Tensor; raw: Tensor }>;
  readonly #fixed: { condition: DeviceTensor; text: DeviceTensor };

  private constructor(
    config: TransformerConfig,
    program: Program<Record<keyof Inputs, TensorSpec>, { prediction: Tensor; raw: Tensor }>,
    fixed: { condition: DeviceTensor; text: DeviceTensor },
  ) {
    this.#config = config;
    this.#program = program;
    this.#fixed = fixed;
  }

  /** The plan of a run, before anything is allocated. */
  static plan(
    device: Device,
    config: TransformerConfig,
    parameters: Parameters,
    shape: DenoiserShape,
    precision: Precision,
  ): Plan {
    const graph = trace(signature(config, shape), predict(config, parameters, shape));
    return planProgram(graph, device.caps, precision);
  }

  /**
   * @param condition mask, static and hand latents [latent frames, channels, height, width] of one clip.
   * @param text embeddings [guided ? 2 : 1, tokens, dim], negative first.
   */
  static async create(
    device: Device,
    config: TransformerConfig,
    parameters: Parameters,
    shape: DenoiserShape,
    condition: Float32Array,
    text: Float32Array,
    precision: Precision,
  ): Promise<Denoiser> {
    const inputs = signature(config, shape);
    const program = await compile(device, inputs, predict(config, parameters, shape), precision);
    return new Denoiser(config, program, {
      condition: DeviceTensor.from(device, condition, inputs.condition.shape, 'f32', 'condition latents'),
      text: DeviceTensor.from(device, text, inputs.text.shape, 'f32', 'text embeddings'),
    });
  }

  get plan(): Plan {
    return this.#program.plan;
  }

  /**
   * The guided prediction for `sample` at `timestep`.
   * @param onProgress finished share of this call, 0 to 1.
   */
  async predict(
    sample: Float32Array,
    timestep: number,
    guidance: number,
    options: { signal?: AbortSignal; onProgress?: (done: number) => void } = {},
  ): Promise<Float32Array> {
    const config = this.#config;
    const ofs =
      config.ofs_embed_dim === null
        ? new Float32Array(1)
        : timestepTable([OFS], config.ofs_embed_dim, config);
    await this.#program.run(
      {
        sample,
        ...this.#fixed,
        time: timestepTable([timestep], config.innerDim, config),
        guidance: Float32Array.of(guidance),
        ofs,
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

/** What CogVideoX 1.5 is always given as its `ofs` value. */
const OFS = 2;
