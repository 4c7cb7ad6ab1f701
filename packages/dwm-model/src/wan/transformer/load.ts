/** A Wan transformer's weights onto a device, under Wan's names whichever the file has. */
import { type Device, InvalidFileError } from '@dwm/core-tensor';
import { type Checkpoint, type ModelFolder, openCheckpoint } from '@dwm/core-tensor/files';
import { type LoadedBlocks, loadBlocks } from '../../weights/load-blocks.ts';
import type { WanConfig } from './config.ts';
import { diffusersName } from './names.ts';
import { IMAGE_NORM, wanBlockPrefix, wanParameters } from './parameters.ts';

/** The file's name of a weight. */
export const wanStoredName = ({ names }: Pick<WanConfig, 'names'>): ((name: string) => string) =>
  names === 'diffusers' ? diffusersName : (name) => name;

/** The configuration with what only the weights tell: how wide the picture's features are, if it takes any. */
function withWeights(config: WanConfig, checkpoint: Pick<Checkpoint, 'tensors'>): WanConfig {
  if (!config.imageBranch) return config;
  const norm = checkpoint.tensors.get(wanStoredName(config)(IMAGE_NORM));
  return norm?.shape.length === 1 ? { ...config, imageDim: norm.shape[0] } : config;
}

/** `withWeights` of a folder's headers, where the weights are there. @param path of the transformer in it. */
export async function withHeaders(config: WanConfig, folder: ModelFolder, path: string): Promise<WanConfig> {
  let checkpoint: Checkpoint;
  try {
    checkpoint = await openCheckpoint(folder, `${path}diffusion_pytorch_model`);
  } catch (error) {
    if (error instanceof InvalidFileError) return config;
    throw error;
  }
  await checkpoint.close();
  return withWeights(config, checkpoint);
}

/**
 * Takes over `checkpoint`.
 * @param resident blocks that stay on the device, from the first on; all unless told.
 * @throws InvalidFileError as `loadParameters`.
 */
export async function loadWanTransformer(
  device: Device,
  checkpoint: Checkpoint,
  config: WanConfig,
  onProgress?: (doneBytes: number, totalBytes: number) => void,
  resident?: number,
): Promise<LoadedBlocks & { config: WanConfig }> {
  const whole = withWeights(config, checkpoint);
  const weights = { checkpoint, specs: wanParameters(whole), stored: wanStoredName(whole) };
  const layout = { blocks: whole.layers, prefix: wanBlockPrefix, resident };
  return { config: whole, ...(await loadBlocks(device, weights, layout, onProgress)) };
}
