/** A text encoder with its tokenizer: prompts in, embeddings out. */
import type { Device } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import type { LoadProgress, TextReader, TextWeights } from '../families/family.ts';
import { T5Tokenizer } from '../tokenizer/t5-tokenizer.ts';
import { type OpenedT5, T5Streamed } from './streamed.ts';
import { T5Encoder } from './t5-encoder.ts';

/**
 * @param path of a `tokenizer.json` or a SentencePiece model.
 * @param form `plain` where special tokens are text like any other; of SentencePiece models only.
 */
export async function loadTokenizer(folder: ModelFolder, path: string, form?: 'plain'): Promise<T5Tokenizer> {
  const source = await folder.open(path);
  try {
    const bytes = await source.read(0, source.size);
    return path.endsWith('.json')
      ? T5Tokenizer.fromTokenizerJson(new TextDecoder().decode(bytes), source.name)
      : T5Tokenizer.fromSpieceModel(bytes, source.name, form);
  } finally {
    await source.close?.();
  }
}

/**
 * @param padding `attended`: rows of padding are encoded like others; `zeros`: they are not attended to, and are zeros.
 */
function textReader(
  encoder: Pick<T5Encoder, 'config' | 'encode' | 'destroy'>,
  tokenizer: T5Tokenizer,
  padding: 'attended' | 'zeros',
): TextReader {
  const { width } = encoder.config;
  return {
    width,
    async encode(prompts, tokens, precision) {
      const ids = prompts.map((prompt) => tokenizer.encode(prompt, { maxLength: tokens }).ids);
      const mask = padding === 'zeros' ? ids.map((row) => tokenizer.attentionMask(row)) : undefined;
      const out = await encoder.encode(ids, [prompts.length, tokens], { precision, mask });
      try {
        const rows = (await out.read()) as Float32Array;
        for (const [i, row] of mask?.entries() ?? []) {
          const length = row.lastIndexOf(1) + 1;
          rows.fill(0, (i * tokens + length) * width, (i + 1) * tokens * width);
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

/**
 * Takes over the opened checkpoint.
 * @throws InvalidFileError naming the tensor that is missing or of another shape, before any weight is read.
 */
export async function loadTextReader(
  device: Device,
  { config, checkpoint }: OpenedT5,
  tokenizer: T5Tokenizer,
  padding: 'attended' | 'zeros',
  { weights = 'stay', onProgress }: { weights: TextWeights | undefined; onProgress: LoadProgress },
): Promise<TextReader> {
  if (weights !== 'stay') {
    return textReader(await T5Streamed.open(device, { config, checkpoint }), tokenizer, padding);
  }
  try {
    const encoder = await T5Encoder.fromCheckpoint(device, config, checkpoint, { onProgress });
    return textReader(encoder, tokenizer, padding);
  } finally {
    await checkpoint.close();
  }
}
