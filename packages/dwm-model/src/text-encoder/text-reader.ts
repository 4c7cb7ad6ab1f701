/** A text encoder with its tokenizer: prompts in, embeddings out. */
import type { ModelFolder } from '@dwm/core-tensor';
import type { TextReader } from '../families/family.ts';
import { T5Tokenizer } from '../tokenizer/index.ts';
import type { T5Encoder } from './t5-encoder.ts';

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
export function textReader(
  encoder: T5Encoder,
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
