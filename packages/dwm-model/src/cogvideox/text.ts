/** T5 with its tokenizer; padding is attended to. */
import type { Device } from '@dwm/core-tensor';
import { type ModelFolder, subfolder } from '@dwm/core-tensor/files';
import type { LoadProgress, TextReader, TextWeights } from '../families/family.ts';
import { readT5Config } from '../text-encoder/config.ts';
import { openEncoder } from '../text-encoder/llama-names.ts';
import { loadTextReader, loadTokenizer } from '../text-encoder/text-reader.ts';
import { readJson } from '../weights/config.ts';
import { firstThere } from '../weights/model-files.ts';
import { T5_TOKENIZERS } from './files.ts';

/** A text encoder in diffusers' layout, its weights unread. */
export async function openT5(folder: ModelFolder) {
  const { json, file } = await readJson(folder, 'text_encoder/config.json');
  const config = readT5Config(json, file);
  return { config, checkpoint: await openEncoder(subfolder(folder, 'text_encoder'), 'model') };
}

/** @returns nothing where the folder has no text encoder. */
export async function loadT5(
  device: Device,
  folder: ModelFolder,
  onProgress: LoadProgress,
  weights?: TextWeights,
): Promise<TextReader | undefined> {
  if (!(await folder.exists('text_encoder/config.json'))) return undefined;
  const path = (await firstThere(folder, T5_TOKENIZERS)) ?? T5_TOKENIZERS.at(-1)!;
  const tokenizer = await loadTokenizer(folder, path);
  return loadTextReader(device, await openT5(folder), tokenizer, 'attended', { weights, onProgress });
}
