/** T5 with its tokenizer; padding is attended to. */
import { type Device, type ModelFolder, subfolder } from '@dwm/core-tensor';
import type { LoadProgress, TextReader } from '../families/family.ts';
import { T5Encoder } from '../text-encoder/index.ts';
import { loadTokenizer, textReader } from '../text-encoder/text-reader.ts';
import { firstThere } from '../weights/model-files.ts';
import { T5_TOKENIZERS } from './files.ts';

/** @returns nothing where the folder has no text encoder. */
export async function loadT5(
  device: Device,
  folder: ModelFolder,
  onProgress: LoadProgress,
): Promise<TextReader | undefined> {
  if (!(await folder.exists('text_encoder/config.json'))) return undefined;
  const path = (await firstThere(folder, T5_TOKENIZERS)) ?? T5_TOKENIZERS.at(-1)!;
  const tokenizer = await loadTokenizer(folder, path);
  const encoder = await T5Encoder.load(device, subfolder(folder, 'text_encoder'), { onProgress });
  return textReader(encoder, tokenizer, 'attended');
}
