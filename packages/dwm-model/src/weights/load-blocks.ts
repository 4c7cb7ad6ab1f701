/** Loads a transformer of which perhaps only the first blocks stay on the device, a LoRA merged into all of it. */
import type { Device } from '@dwm/core-tensor';
import { BlockStream, type StoredWeights } from './block-stream.ts';
import { closeLora, type LoraFiles, type MergedLora, type MergeOptions, mergeLora } from './lora.ts';
import { loadParameters, type Parameters } from './parameters.ts';

export interface BlockLayout {
  /** Blocks of the network. */
  readonly blocks: number;
  /** What the names of a block's weights begin with. */
  readonly prefix: (index: number) => string;
  /** Blocks that stay on the device, from the first on; all of them where left out, and nothing is streamed then. */
  readonly resident?: number | undefined;
}

export interface LoadedBlocks {
  readonly parameters: Parameters;
  /** Reads the file until it is destroyed, and closes it then. */
  readonly stream?: BlockStream;
}

/**
 * Takes over `checkpoint`: it is closed when all is read, by the stream, or where this throws.
 * @throws InvalidFileError as `loadParameters`, before any weight is read.
 */
export async function loadBlocks(
  device: Device,
  weights: StoredWeights,
  { blocks, prefix, resident }: BlockLayout,
  onProgress?: (done: number, total: number) => void,
): Promise<LoadedBlocks> {
  const { checkpoint, specs, stored } = weights;
  const streams = resident !== undefined;
  const away = streams ? Array.from({ length: blocks - resident }, (_, i) => prefix(resident + i)) : [];
  let parameters: Parameters | undefined;
  try {
    parameters = await loadParameters(device, checkpoint, specs, {
      ...(stored && { stored }),
      ...(onProgress && { onProgress }),
      only: (name) => !away.some((start) => name.startsWith(start)),
    });
  } finally {
    if (!streams || !parameters) await checkpoint.close();
  }
  if (!streams) return { parameters };
  return {
    parameters,
    stream: new BlockStream(device, { ...weights, blocks, prefix, resident, kept: parameters }),
  };
}

/**
 * Merges a LoRA into the weights at hand, and into every block that is streamed when it comes. Its files are then
 * closed with the stream; where there is none, by the caller.
 * @throws InvalidFileError as `mergeLora`.
 */
export async function mergeInto(
  device: Device,
  { parameters, stream }: LoadedBlocks,
  lora: LoraFiles,
  options: MergeOptions = {},
): Promise<MergedLora> {
  if (!stream) return mergeLora(device, parameters, lora, options);
  const network = new Set(stream.names);
  stream.mergeWith(
    async (block) => {
      await mergeLora(device, block, lora, { ...options, network, onlyAtHand: true });
    },
    () => closeLora(lora),
  );
  return mergeLora(device, parameters, lora, { ...options, network });
}
