/** DWM's transformer from a model folder: the network it was saved as, or an inpainting base made into it. */
import { type Device, InvalidFileError, type ModelFolder, openCheckpoint } from '@dwm/core-tensor';
import type { LoadedTransformer } from '../families/family.ts';
import {
  readTransformerConfig,
  type TransformerConfig,
  transformerParameters,
} from '../transformer/index.ts';
import { readJson } from '../weights/config.ts';
import { mergeLora, trainedChannels, widenChannels, withLora } from '../weights/lora.ts';
import { loadParameters } from '../weights/parameters.ts';

/** Channels of DWM's input for C latent channels: noisy C, mask 1, static C, hand C; its inpainting base has no hand. */
export const dwmChannels = (latent: number) => 3 * latent + 1;

const PATCH_WEIGHT = 'patch_embed.proj.weight';

/**
 * @param loraFolder fine-tuned weights to merge in.
 * @throws InvalidFileError naming file, field and what was expected.
 */
export async function loadTransformer(
  device: Device,
  folder: ModelFolder,
  loraFolder: ModelFolder | undefined,
  onProgress: (done: number, total: number) => void,
): Promise<LoadedTransformer<TransformerConfig>> {
  const { json, file } = await readJson(folder, 'transformer/config.json');
  const base = readTransformerConfig(json, file);
  return withLora(loraFolder, async (lora) => {
    const checkpoint = await openCheckpoint(folder, 'transformer/diffusion_pytorch_model');
    const specs = transformerParameters(base);
    const parameters = await loadParameters(device, checkpoint, specs, { onProgress }).finally(() =>
      checkpoint.close(),
    );
    try {
      // An inpainting base (33 channels in the 5B) becomes DWM's network (49) with zero weights for the hands.
      const expected = dwmChannels(base.out_channels);
      const wanted = (lora && trainedChannels(lora, PATCH_WEIGHT)) ?? expected;
      let config = base;
      if (base.in_channels < wanted && base.patch_size_t === null) {
        await widenChannels(device, parameters, PATCH_WEIGHT, wanted - base.in_channels);
        config = { ...base, in_channels: wanted };
      }
      if (config.in_channels !== expected) {
        throw new InvalidFileError(
          file,
          `in_channels: DWM needs ${expected} channels (or an inpainting base of ${expected - base.out_channels}), got ${base.in_channels}`,
          { field: 'in_channels' },
        );
      }
      return { config, parameters, lora: lora && (await mergeLora(device, parameters, lora)) };
    } catch (error) {
      parameters.destroy();
      throw error;
    }
  });
}
