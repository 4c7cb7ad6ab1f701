/** Loads a transformer of which perhaps only the first blocks stay on the device, a LoRA merged into all of it. */
import { type Device, InvalidArgumentError, isPacked } from '@dwm/core-tensor';
import { BlockStream, type StoredWeights } from './block-stream.ts';
import {
  closeLora,
  closeLoras,
  type GivenLoras,
  type LoraFiles,
  openLoras,
  trainedChannels,
} from './lora-files.ts';
import { MOST_LORAS } from './low-rank.ts';
import { inOne, type MergedLora, type MergeOptions, mergeLora } from './merge-lora.ts';
import { loadParameters, type Parameters } from './parameters.ts';
import { withScales } from './quantized.ts';

interface BlockLayout {
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
  given: StoredWeights,
  { blocks, prefix, resident }: BlockLayout,
  onProgress?: (done: number, total: number) => void,
): Promise<LoadedBlocks> {
  const { checkpoint } = given;
  const streams = resident !== undefined;
  const away = streams ? Array.from({ length: blocks - resident }, (_, i) => prefix(resident + i)) : [];
  let parameters: Parameters | undefined;
  let weights = given;
  try {
    weights = withScales(given);
    const { specs, stored } = weights;
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

/** Whether weights of the network are quantized. */
function isQuantized({ parameters, stream }: LoadedBlocks): boolean {
  const streamed = stream ? Object.values(stream.specs(stream.blocks - 1)) : [];
  return [...parameters.tensors.values(), ...streamed].some(({ dtype }) => isPacked(dtype));
}

/**
 * Merges a LoRA into the weights at hand, and into every block that is streamed when it comes. Its files are then
 * closed with the stream; where there is none, by the caller. Beside weights that are quantized it stays as it is.
 * @param several keep it beside other weights, too.
 * @throws InvalidFileError as `mergeLora`.
 */
export async function mergeInto(
  device: Device,
  loaded: LoadedBlocks,
  lora: LoraFiles,
  given: MergeOptions = {},
  several = false,
): Promise<MergedLora> {
  const { parameters, stream } = loaded;
  const { besides } = parameters;
  const stays = several || isQuantized(loaded);
  if (stays && besides.length >= MOST_LORAS)
    throw new InvalidArgumentError(
      'lora',
      `at most ${MOST_LORAS} can be beside the weights; merge some ahead`,
    );
  const options = stays ? { ...given, beside: besides.push(new Map()) - 1 } : given;
  if (!stream) return mergeLora(device, parameters, lora, options);
  const network = stream.shapes;
  stream.mergeWith(
    async (block) => {
      await mergeLora(device, block, lora, { ...options, network, onlyAtHand: true });
    },
    () => closeLora(lora),
  );
  return mergeLora(device, parameters, lora, { ...options, network });
}

type LoadedNetwork<Config> = LoadedBlocks & { readonly config: Config };

/** How a network is loaded that LoRAs belong to. */
interface NetworkLoad<Config> {
  readonly load: () => Promise<LoadedNetwork<Config>>;
  /** Name of the weight of the patch projection. */
  readonly patch: string;
  /**
   * Makes the network one that the LoRAs fit.
   * @param trained channels of the patch projection, where a LoRA has it whole.
   * @returns its configuration then.
   */
  readonly fit: (loaded: LoadedNetwork<Config>, trained: number | undefined) => Promise<Config>;
  readonly merge?: MergeOptions;
}

/**
 * Loads a network and merges one LoRA, or keeps several beside the weights. Their files are closed then, or with the
 * stream.
 * @throws InvalidFileError as `openLoras`, `loadBlocks` and `mergeLora`; nothing stays on the device then.
 */
export async function loadWithLoras<Config>(
  device: Device,
  given: GivenLoras | undefined,
  { load, patch, fit, merge }: NetworkLoad<Config>,
): Promise<LoadedNetwork<Config> & { readonly lora: MergedLora | undefined }> {
  const loras = await openLoras(given);
  let loaded: LoadedNetwork<Config> | undefined;
  try {
    loaded = await load();
    const trained = loras.map(({ files }) => trainedChannels(files, patch)).find(Boolean);
    const config = await fit(loaded, trained);
    const merged: MergedLora[] = [];
    for (const { files, weight } of loras)
      merged.push(await mergeInto(device, loaded, files, { ...merge, weight }, loras.length > 1));
    return { ...loaded, config, lora: inOne(merged) };
  } catch (error) {
    await loaded?.stream?.destroy();
    loaded?.parameters.destroy();
    loaded = undefined;
    throw error;
  } finally {
    if (!loaded?.stream) await closeLoras(loras);
  }
}
