/** The files of a LoRA: which they are called, opening and closing them, and what their headers tell. */
import { type Checkpoint, type ModelFolder, openTensorFile } from '@dwm/core-tensor/files';
import { readJson } from './config.ts';
import { wholeNames } from './lora-names.ts';
import { type LoraConfig, readLoraConfig } from './lora-scale.ts';
import { firstThere } from './model-files.ts';

/** File name of a LoRA as diffusers saves it. */
export const LORA_FILE = 'pytorch_lora_weights.safetensors';
/** File name of the weights that were trained whole beside a LoRA. */
export const NON_LORA_FILE = 'non_lora_weights.safetensors';

/** Names of the LoRA file, the first that is there: the original's for CogVideoX and for Wan, an older form, PEFT's. */
export const LORA_FILES = [
  LORA_FILE,
  'lora_diffusion_pytorch_model.safetensors',
  'pytorch_lora_weights.bin',
  'adapter_model.safetensors',
  'adapter_model.bin',
] as const;

const NON_LORA_FILES = [NON_LORA_FILE, 'non_lora_weights.pt'];
const PEFT_CONFIG = 'adapter_config.json';

/** The files of a LoRA folder, opened. */
export interface LoraFiles {
  readonly lora: Checkpoint;
  /** Tensors trained whole, by their name in the network. */
  readonly whole?: Checkpoint;
  /** What the file, or PEFT's config beside it, says of alpha and rank. */
  readonly config?: LoraConfig;
}

/** A LoRA that a network is loaded with. */
export interface LoraChoice {
  readonly folder: ModelFolder;
  /** It counts so many times; 1 unless told. */
  readonly weight?: number;
}

/** A folder, or several with their weights, which stay beside the network's. */
export type GivenLoras = ModelFolder | readonly LoraChoice[];

/** The given LoRAs one by one; a folder alone is one of them. */
const loraChoices = (given: GivenLoras | undefined): readonly LoraChoice[] => {
  if (!given) return [];
  return 'open' in given ? [{ folder: given }] : given;
};

/** Whether there is a LoRA in the folder. */
export const hasLora = async (folder: ModelFolder): Promise<boolean> =>
  (await firstThere(folder, LORA_FILES)) !== undefined;

/** @throws InvalidFileError when the folder has no LoRA file, or what it says of itself cannot be. */
export async function openLora(folder: ModelFolder): Promise<LoraFiles> {
  const lora = await openTensorFile(await folder.open((await firstThere(folder, LORA_FILES)) ?? LORA_FILE));
  try {
    const beside = (await folder.exists(PEFT_CONFIG)) ? await readJson(folder, PEFT_CONFIG) : undefined;
    const config = readLoraConfig(lora.name, lora.metadata, beside);
    const wholeFile = await firstThere(folder, NON_LORA_FILES);
    const whole = wholeFile === undefined ? undefined : await openTensorFile(await folder.open(wholeFile));
    return { lora, whole, config };
  } catch (error) {
    await lora.close();
    throw error;
  }
}

/** Closes the files of a LoRA. */
export async function closeLora({ lora, whole }: LoraFiles): Promise<void> {
  await lora.close();
  await whole?.close();
}

/** A LoRA that is open, and how often it counts. */
interface OpenedLora {
  readonly files: LoraFiles;
  readonly weight: number;
}

/** @throws InvalidFileError as `openLora`. */
export async function openLoras(given: GivenLoras | undefined): Promise<OpenedLora[]> {
  const opened: OpenedLora[] = [];
  try {
    for (const { folder, weight = 1 } of loraChoices(given))
      opened.push({ files: await openLora(folder), weight });
    return opened;
  } catch (error) {
    await closeLoras(opened);
    throw error;
  }
}

/** Closes the files of all of them. */
export async function closeLoras(opened: readonly OpenedLora[]): Promise<void> {
  for (const { files } of opened) await closeLora(files);
}

/** Input channels of the patch projection `patch` that was trained whole, if there is one. */
export function trainedChannels({ lora, whole }: LoraFiles, patch: string): number | undefined {
  for (const file of [whole, lora]) {
    const name = file && wholeNames(file.tensors.keys(), new Set([patch])).whole.get(patch);
    const shape = name === undefined ? undefined : file!.tensors.get(name)!.shape;
    if (shape && shape.length > 3) return shape[1];
  }
  return undefined;
}
