/** DWM's transformer from a model folder: the network it was saved as, or an inpainting base made into it. */
import { type Device, InvalidFileError } from '@dwm/core-tensor';
import { type ModelFolder, openCheckpoint } from '@dwm/core-tensor/files';
import type { LoadedTransformer, LoadTransformerOptions } from '../families/family.ts';
import {
  blockPrefix,
  readTransformerConfig,
  type TransformerConfig,
  transformerParameters,
} from '../transformer/index.ts';
import { readJson } from '../weights/config.ts';
import { widenChannels } from '../weights/input-channels.ts';
import { loadBlocks, loadWithLoras } from '../weights/load-blocks.ts';
import type { GivenLoras } from '../weights/lora-files.ts';

/**
 * Channels of DWM's input for C latent channels: noisy C, mask 1, static C, hand C; its inpainting base has no hand.
 */
export const dwmChannels = (latent: number) => 3 * latent + 1;

const PATCH_WEIGHT = 'patch_embed.proj.weight';

/**
 * @param given fine-tuned weights to merge in; several stay beside the network's.
 * @throws InvalidFileError naming file, field and what was expected.
 */
export async function loadTransformer(
  device: Device,
  folder: ModelFolder,
  given: GivenLoras | undefined,
  onProgress: (done: number, total: number) => void,
  { residentBlocks }: LoadTransformerOptions = {},
): Promise<LoadedTransformer<TransformerConfig>> {
  const { json, file } = await readJson(folder, 'transformer/config.json');
  const base = readTransformerConfig(json, file);
  return loadWithLoras(device, given, {
    async load() {
      const checkpoint = await openCheckpoint(folder, 'transformer/diffusion_pytorch_model');
      const weights = { checkpoint, specs: transformerParameters(base) };
      const layout = { blocks: base.num_layers, prefix: blockPrefix, resident: residentBlocks };
      return { config: base, ...(await loadBlocks(device, weights, layout, onProgress)) };
    },
    patch: PATCH_WEIGHT,
    async fit({ parameters }, trained) {
      // An inpainting base (33 channels in the 5B) becomes DWM's network (49) with zero weights for the hands.
      const expected = dwmChannels(base.out_channels);
      const wanted = trained ?? expected;
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
      return config;
    },
  });
}
