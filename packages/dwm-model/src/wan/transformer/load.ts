/** A Wan transformer's weights onto a device, under Wan's names whichever the file has. */
import type { Checkpoint, Device } from '@dwm/core-tensor';
import { loadParameters, type Parameters } from '../../weights/parameters.ts';
import type { WanConfig } from './config.ts';
import { diffusersName } from './names.ts';
import { IMAGE_NORM, wanParameters } from './parameters.ts';

/** The file's name of a weight. */
export const wanStoredName = ({ names }: Pick<WanConfig, 'names'>): ((name: string) => string) =>
  names === 'diffusers' ? diffusersName : (name) => name;

/** The configuration with what only the weights tell: how wide the picture's features are, if it takes any. */
export function withWeights(config: WanConfig, checkpoint: Pick<Checkpoint, 'tensors'>): WanConfig {
  if (!config.imageBranch) return config;
  const norm = checkpoint.tensors.get(wanStoredName(config)(IMAGE_NORM));
  return norm?.shape.length === 1 ? { ...config, imageDim: norm.shape[0] } : config;
}

/** @throws InvalidFileError as `loadParameters`. */
export async function loadWanTransformer(
  device: Device,
  checkpoint: Checkpoint,
  config: WanConfig,
  onProgress?: (doneBytes: number, totalBytes: number) => void,
): Promise<{ config: WanConfig; parameters: Parameters }> {
  const whole = withWeights(config, checkpoint);
  const parameters = await loadParameters(device, checkpoint, wanParameters(whole), {
    stored: wanStoredName(whole),
    onProgress,
  });
  return { config: whole, parameters };
}
