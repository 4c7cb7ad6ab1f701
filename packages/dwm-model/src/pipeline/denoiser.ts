/**
 * One denoising call as a compiled program: the transformer on [negative, positive] and the guidance that combines
 * them. Compiled once for a size and replayed at every step. What the calls differ in goes up once, as tables; latents
 * stay on the device.
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

/** What one call is told. */
export interface DenoiserCall {
  readonly timestep: number;
  /** Counts in guided runs only. */
  readonly guidance: number;
  /** The network sees the latents times this. */
  readonly inputScale: number;
}

type Signature = Record<string, TensorSpec>;
type Inputs = Record<string, Tensor>;
type Outputs = { prediction: Tensor };

/** What changes from call to call, for one. */
const toldOf = (network: DenoisingNetwork): Signature => ({
  ...network.told,
  guidance: spec([1]),
  inputScale: spec([1]),
});

/** What a run is made from, the latents aside as they are at its beginning; `batch` rows of text. */
export function runInputs(
  { inputChannels, textWidth }: DenoisingNetwork,
  { latent, textLength }: Pick<DenoiserShape, 'latent' | 'textLength'>,
  batch: number,
): Record<'sample' | 'condition' | 'text', TensorSpec> {
  const { channels, frames, height, width } = latent;
  return {
    sample: spec([1, frames, channels, height, width]),
    condition: spec([1, frames, inputChannels - channels, height, width]),
    text: spec([batch, textLength, textWidth]),
  };
}

/** What the network sees, the same for each of a batch. */
export function hiddenOf(sample: Tensor, inputScale: Tensor, condition: Tensor, batch: number): Tensor {
  const hidden = concat([mul(sample, inputScale), condition], 2);
  return broadcastTo(hidden, [batch, ...hidden.shape.slice(1)]);
}

/** The guided prediction of one for each, or of a batch of both. */
export const guide = (negative: Tensor, positive: Tensor, guidance: Tensor): Tensor =>
  add(negative, mul(guidance, sub(positive, negative)));

/** @param raw of a batch of one, or of [negative, positive]. */
export const guideBatch = (raw: Tensor, guidance: Tensor): Tensor =>
  raw.shape[0] === 1 ? raw : guide(slice(raw, 0, 0, 1), slice(raw, 0, 1, 1), guidance);

const batchOf = ({ guided }: DenoiserShape) => (guided ? 2 : 1);

const signature = (network: DenoisingNetwork, shape: DenoiserShape): Signature => ({
  ...toldOf(network),
  ...runInputs(network, shape, batchOf(shape)),
});

const predict =
  (network: DenoisingNetwork, shape: DenoiserShape) =>
  ({ sample, condition, text, guidance, inputScale, ...told }: Inputs): Outputs => {
    const raw = network.forward(hiddenOf(sample, inputScale, condition, batchOf(shape)), text, told);
    return { prediction: guideBatch(raw, guidance) };
  };

/** The transformer as one program that predicts a step, guidance included. */
export class Denoiser {
  readonly #program: Program<Signature, Outputs>;
  readonly #condition: DeviceTensor;
  readonly #text: DeviceTensor;
  /** By name what every call is told, [calls, …], and what the one under way is. */
  readonly #tables: ReadonlyMap<string, { readonly all: DeviceTensor; readonly now: DeviceTensor }>;

  private constructor(
    program: Program<Signature, Outputs>,
    condition: DeviceTensor,
    text: DeviceTensor,
    tables: ReadonlyMap<string, { all: DeviceTensor; now: DeviceTensor }>,
  ) {
    this.#program = program;
    this.#condition = condition;
    this.#text = text;
    this.#tables = tables;
  }

  /** The plan of a run, before anything is allocated. */
  static plan(device: Device, network: DenoisingNetwork, shape: DenoiserShape, precision: Precision): Plan {
    const graph = trace(signature(network, shape), predict(network, shape));
    return planProgram(graph, device, precision);
  }

  /**
   * @param condition mask, static and hand latents [1, latent frames, channels, height, width] of one clip; it stays
   *   the caller's.
   * @param text embeddings [guided ? 2 : 1, tokens, dim], negative first.
   */
  static async create(
    device: Device,
    network: DenoisingNetwork,
    shape: DenoiserShape,
    condition: DeviceTensor,
    text: Float32Array,
    calls: readonly DenoiserCall[],
    precision: Precision,
  ): Promise<Denoiser> {
    const inputs = signature(network, shape);
    const program = await compile(device, inputs, predict(network, shape), precision);
    const told = calls.map(({ timestep, guidance, inputScale }) => ({
      ...network.tell(timestep),
      guidance: Float32Array.of(guidance),
      inputScale: Float32Array.of(inputScale),
    })) as Record<string, Float32Array>[];
    const tables = new Map(
      Object.entries(toldOf(network)).map(([name, one]) => {
        const rows = told.map((call) => call[name]);
        const all = new Float32Array(rows.length * rows[0].length);
        for (const [i, row] of rows.entries()) all.set(row, i * row.length);
        return [
          name,
          {
            all: DeviceTensor.from(device, all, [rows.length, ...one.shape], 'f32', `${name} of all steps`),
            now: new DeviceTensor(device, one, name),
          },
        ];
      }),
    );
    const embeddings = DeviceTensor.from(device, text, inputs.text.shape, 'f32', 'text embeddings');
    return new Denoiser(program, condition, embeddings, tables);
  }

  get plan(): Plan {
    return this.#program.plan;
  }

  /**
   * The guided prediction for `sample` in call `call`, which the next one overwrites.
   * @param options `onProgress` hears the finished share of this call, 0 to 1.
   */
  async predict(
    sample: DeviceTensor,
    call: number,
    options: { signal?: AbortSignal; onProgress?: (done: number) => void } = {},
  ): Promise<DeviceTensor> {
    const told: Record<string, DeviceTensor> = {};
    for (const [name, { all, now }] of this.#tables) {
      now.copyFrom(all, { from: call * now.elementCount, count: now.elementCount });
      told[name] = now;
    }
    const { prediction } = await this.#program.run(
      { sample, condition: this.#condition, text: this.#text, ...told },
      options,
    );
    return prediction;
  }

  destroy(): void {
    this.#program.destroy();
    this.#text.destroy();
    for (const { all, now } of this.#tables.values()) {
      all.destroy();
      now.destroy();
    }
  }
}
