/** umT5 with its tokenizer: padding is not attended to, and rows beyond a prompt's own tokens are zeros. */
import { type Device, type ModelFolder, openTensorFile, subfolder } from '@dwm/core-tensor';
import type { LoadProgress, TextReader } from '../families/family.ts';
import { T5Encoder, umt5ConfigOf } from '../text-encoder/index.ts';
import { T5Tokenizer } from '../tokenizer/index.ts';
import { firstThere, UMT5_FILES, UMT5_TOKENIZERS } from './files.ts';

async function readAll(folder: ModelFolder, path: string): Promise<{ bytes: Uint8Array; file: string }> {
  const source = await folder.open(path);
  try {
    return { bytes: await source.read(0, source.size), file: source.name };
  } finally {
    await source.close?.();
  }
}

async function loadTokenizer(folder: ModelFolder): Promise<T5Tokenizer> {
  const path = (await firstThere(folder, UMT5_TOKENIZERS)) ?? UMT5_TOKENIZERS[0];
  const { bytes, file } = await readAll(folder, path);
  return path.endsWith('.json')
    ? T5Tokenizer.fromTokenizerJson(new TextDecoder().decode(bytes), file)
    : T5Tokenizer.fromSpieceModel(bytes, file, 'plain');
}

/** @returns nothing where the folder has no text encoder. */
export async function loadUmt5(
  device: Device,
  folder: ModelFolder,
  onProgress: LoadProgress,
): Promise<TextReader | undefined> {
  const own = await firstThere(folder, UMT5_FILES);
  if (own === undefined && !(await folder.exists('text_encoder/config.json'))) return undefined;
  const tokenizer = await loadTokenizer(folder);
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
  return {
    width: encoder.config.width,
    async encode(prompts, tokens, precision) {
      const ids = prompts.map((prompt) => tokenizer.encode(prompt, { maxLength: tokens }).ids);
      const mask = ids.map((row) => tokenizer.attentionMask(row));
      const out = await encoder.encode(ids, [prompts.length, tokens], { precision, mask });
      try {
        const rows = (await out.read()) as Float32Array;
        for (const [i, row] of mask.entries()) {
          const length = row.lastIndexOf(1) + 1;
          rows.fill(0, (i * tokens + length) * encoder.config.width, (i + 1) * tokens * encoder.config.width);
        }
        return rows;
      } finally {
        out.destroy();
      }
    },
    countTokens: (prompt) => tokenizer.encode(prompt).tokenCount,
    destroy: () => encoder.destroy(),
  };
}
