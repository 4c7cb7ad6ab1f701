/** umT5 with its tokenizer: padding is not attended to, and rows beyond a prompt's own tokens are zeros. */
import type { Device } from '@dwm/core-tensor';
import { type ModelFolder, openTensorFile } from '@dwm/core-tensor/files';
import { openT5 } from '../cogvideox/text.ts';
import type { LoadProgress, TextReader, TextWeights } from '../families/family.ts';
import { umt5ConfigOf } from '../text-encoder/config.ts';
import { loadTextReader, loadTokenizer } from '../text-encoder/text-reader.ts';
import { firstThere } from '../weights/model-files.ts';
import { hasUmt5, UMT5_FILES, UMT5_TOKENIZERS } from './files.ts';

/** The text encoder, its weights unread; nothing where the folder has none. */
export async function openUmt5(folder: ModelFolder) {
  const own = await firstThere(folder, UMT5_FILES);
  if (own === undefined) {
    if (!(await folder.exists('text_encoder/config.json'))) return undefined;
    return openT5(folder);
  }
  const checkpoint = await openTensorFile(await folder.open(own));
  try {
    return { config: umt5ConfigOf(checkpoint), checkpoint };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

/** @returns nothing where the folder has no text encoder. */
export async function loadUmt5(
  device: Device,
  folder: ModelFolder,
  onProgress: LoadProgress,
  weights?: TextWeights,
): Promise<TextReader | undefined> {
  if (!(await hasUmt5(folder))) return undefined;
  const path = (await firstThere(folder, UMT5_TOKENIZERS)) ?? UMT5_TOKENIZERS[0];
  const tokenizer = await loadTokenizer(folder, path, 'plain');
  return loadTextReader(device, (await openUmt5(folder))!, tokenizer, 'zeros', { weights, onProgress });
}
