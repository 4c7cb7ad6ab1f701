/**
 * Plans everything that `generate` runs for a model from its configuration alone: no weight is read, nothing is
 * allocated. For tuning, which wants the shapes of the kernels, and for what a machine could run.
 */
import type { Device, Plan, Precision } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import { cogVideoXShapes } from '../cogvideox/family.ts';
import type { ModelShapes } from '../families/family.ts';
import { familyOf } from '../families/index.ts';
import { allIn, planTextBlock } from '../families/symbols.ts';
import { type PublishedModel, publishedTransformer } from '../transformer/index.ts';
import { parseVaeConfig } from '../vae/index.ts';
import { Denoiser } from './denoiser.ts';

/**
 * Of a model folder; only configurations and the headers of checkpoints are read.
 * @throws InvalidFileError naming file and field.
 */
export const readModelShapes = async (folder: ModelFolder): Promise<ModelShapes> =>
  (await familyOf(folder)).shapes(folder);

/** A published transformer with the VAE of all of them, in bf16. */
export const publishedShapes = (model: PublishedModel): ModelShapes =>
  cogVideoXShapes(
    { config: publishedTransformer(model), stored: allIn('bf16') },
    { config: parseVaeConfig({}, `${model}/vae/config.json`), stored: allIn('bf16') },
  );

/** Size of a run that is planned. */
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
  { network, vae, text, tiling }: ModelShapes,
  size: PlanSize,
  precision: Precision,
): Plan[] {
  const tokens = network.textTokens;
  const clips = vae(device, precision);
  const latent = clips.latentSize(size);
  return [
    ...(text ? [planTextBlock(text, [size.guided ? 2 : 1, tokens], device, precision)] : []),
    ...clips.estimateEncode(size, { tiling }).plans,
    ...clips.estimateDecode(latent, { tiling }).plans,
    Denoiser.plan(device, network, { latent, textLength: tokens, guided: size.guided }, precision),
  ];
}
