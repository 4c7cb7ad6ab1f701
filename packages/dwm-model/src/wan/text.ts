/** umT5 with its tokenizer: padding is not attended to, and rows beyond a prompt's own tokens are zeros. */
import { type Device, type ModelFolder, openTensorFile, subfolder } from '@dwm/core-tensor';
import type { LoadProgress, TextReader } from '../families/family.ts';
import { T5Encoder, umt5ConfigOf } from '../text-encoder/index.ts';
import { loadTokenizer, textReader } from '../text-encoder/text-reader.ts';
import { firstThere } from '../weights/model-files.ts';
import { UMT5_FILES, UMT5_TOKENIZERS } from './files.ts';

/** @returns nothing where the folder has no text encoder. */
export async function loadUmt5(
  device: Device,
  folder: ModelFolder,
  onProgress: LoadProgress,
): Promise<TextReader | undefined> {
  const own = await firstThere(folder, UMT5_FILES);
  if (own === undefined && !(await folder.exists('text_encoder/config.json'))) return undefined;
  const path = (await firstThere(folder, UMT5_TOKENIZERS)) ?? UMT5_TOKENIZERS[0];
  const tokenizer = await loadTokenizer(folder, path, 'plain');
  let encoder: T5Encoder;
  if (own === undefined) {
    encoder = await T5Encoder.load(device, subfolder(folder, 'text_encoder'), { onProgress });
  } else {
    const checkpoint = await openTensorFile(await folder.open(own));
    try {
      encoder = await T5Encoder.fromCheckpoint(device, umt5ConfigOf(checkpoint), checkpoint, { onProgress });
    } finally {
      await checkpoint.close();
    }
  }
  return textReader(encoder, tokenizer, 'zeros');
}
