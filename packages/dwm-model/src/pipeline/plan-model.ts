/**
 * Plans everything that `generate` runs for a model from its configuration alone: no weight is read, nothing is
 * allocated. For tuning, which wants the shapes of the kernels, and for what a machine could run.
 */
import {
  type Device,
  type DType,
  InvalidFileError,
  input,
  type ModelFolder,
  openCheckpoint,
  type Precision,
  planProgram,
  spec,
  subfolder,
  type Tensor,
  trace,
} from '@dwm/core-tensor';
import { readT5Config, type T5Config } from '../text-encoder/config.ts';
import { t5Encoder, t5Parameters } from '../text-encoder/network.ts';
import {
  type PublishedModel,
  publishedTransformer,
  readTransformerConfig,
  type TransformerConfig,
  transformerParameters,
} from '../transformer/index.ts';
import {
  CogVideoXVae,
  latentSize,
  parseVaeConfig,
  readVaeConfig,
  type VaeConfig,
  vaeParameters,
} from '../vae/index.ts';
import { readJson } from '../weights/config.ts';
import { type ParameterSpecs, Parameters } from '../weights/parameters.ts';
import { Denoiser } from './denoiser.ts';

/** A network's configuration, and the dtype of its weights. */
interface Network<Config> {
  readonly config: Config;
  readonly dtype: DType;
}

export interface ModelShapes {
  readonly transformer: Network<TransformerConfig>;
  readonly vae: Network<VaeConfig>;
  readonly text?: Network<T5Config>;
}

const DTYPES: Readonly<Record<string, DType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

/** The dtype of a checkpoint's first tensor; bf16, as models are published, where there is no checkpoint. */
async function dtypeOf(folder: ModelFolder, base: string): Promise<DType> {
  let checkpoint: Awaited<ReturnType<typeof openCheckpoint>>;
  try {
    checkpoint = await openCheckpoint(folder, base);
  } catch (error) {
    if (error instanceof InvalidFileError) return 'bf16';
    throw error;
  }
  try {
    const [first] = checkpoint.tensors.values();
    return DTYPES[first?.dtype ?? ''] ?? 'bf16';
  } finally {
    await checkpoint.close();
  }
}

/**
 * Of a model folder in diffusers' layout; only configurations and the headers of checkpoints are read.
 * @throws InvalidFileError naming file and field.
 */
export async function readModelShapes(folder: ModelFolder): Promise<ModelShapes> {
  const { json, file } = await readJson(folder, 'transformer/config.json');
  const base = readTransformerConfig(json, file);
  // An inpainting base is widened by the hands when it is loaded.
  const config = { ...base, in_channels: Math.max(base.in_channels, 3 * base.out_channels + 1) };
  const vae = subfolder(folder, 'vae');
  const shapes: ModelShapes = {
    transformer: { config, dtype: await dtypeOf(folder, 'transformer/diffusion_pytorch_model') },
    vae: { config: await readVaeConfig(vae), dtype: await dtypeOf(vae, 'diffusion_pytorch_model') },
  };
  if (!(await folder.exists('text_encoder/config.json'))) return shapes;
  const text = await readJson(folder, 'text_encoder/config.json');
  return {
    ...shapes,
    text: {
      config: readT5Config(text.json, text.file),
      dtype: await dtypeOf(subfolder(folder, 'text_encoder'), 'model'),
    },
  };
}

/** A published transformer with the VAE of all of them, in bf16. */
export const publishedShapes = (model: PublishedModel): ModelShapes => ({
  transformer: { config: publishedTransformer(model), dtype: 'bf16' },
  vae: { config: parseVaeConfig({}, `${model}/vae/config.json`), dtype: 'bf16' },
});

/** Weights that are names and shapes only. */
class Symbols extends Parameters {
  readonly #specs: ParameterSpecs;
  readonly #dtype: DType;

  constructor(specs: ParameterSpecs, dtype: DType) {
    super(new Map());
    this.#specs = specs;
    this.#dtype = dtype;
  }

  override get(name: string): Tensor {
    const { shape, order } = this.#specs[name] ?? {};
    if (!shape) throw new Error(`no parameter ${name}`);
    return input(name, spec(order ? order.map((d) => shape[d]) : shape, this.#dtype));
  }

  override has(name: string): boolean {
    return name in this.#specs;
  }
}

export interface PlanSize {
  readonly frames: number;
  readonly height: number;
  readonly width: number;
  /** [negative, positive] at once. */
  readonly guided: boolean;
}

/**
 * Plans the text encoder, the VAE both ways, in its tiles, and one block of the transformer between its first and
 * last layers: all blocks have the same shapes.
 * @throws PlanTooLargeError when the device cannot hold one of them.
 */
export function planModel(
  device: Device,
  { transformer, vae, text }: ModelShapes,
  size: PlanSize,
  precision: Precision,
): void {
  const batch = size.guided ? 2 : 1;
  const tokens = transformer.config.max_text_seq_length;
  if (text) {
    const config = { ...text.config, blocks: 1 };
    const weights = new Symbols(t5Parameters(config), text.dtype);
    const ids = spec([batch, tokens], 'u32');
    const graph = trace({ ids }, (given) => ({ out: t5Encoder(config, weights, given.ids).out }));
    planProgram(graph, device.caps, precision);
  }
  const { frames, height, width, guided } = size;
  const weights = new Symbols(vaeParameters(vae.config), vae.dtype);
  const clips = new CogVideoXVae(device, vae.config, weights, precision);
  clips.estimateEncode([1, vae.config.in_channels, frames, height, width], { tiling: true });
  const latent = latentSize(vae.config, size);
  const latents = [1, latent.channels, latent.frames, latent.height, latent.width];
  clips.estimateDecode(latents, { tiling: true });

  const config = { ...transformer.config, num_layers: 1 };
  const blocks = new Symbols(transformerParameters(config), transformer.dtype);
  Denoiser.plan(device, config, blocks, { latent, textLength: tokens, guided }, precision);
}
