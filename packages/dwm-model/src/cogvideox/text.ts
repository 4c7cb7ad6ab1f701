/** T5 with its tokenizer; padding is attended to. */
import { type Device, type ModelFolder, subfolder } from '@dwm/core-tensor';
import type { LoadProgress, TextReader } from '../families/family.ts';
import { T5Encoder } from '../text-encoder/index.ts';
import { T5Tokenizer } from '../tokenizer/index.ts';

/** @returns nothing where the folder has no text encoder. */
export async function loadT5(
  device: Device,
  folder: ModelFolder,
  onProgress: LoadProgress,
): Promise<TextReader | undefined> {
  if (!(await folder.exists('text_encoder/config.json'))) return undefined;
  const readAll = async (path: string) => {
    const source = await folder.open(path);
    const bytes = await source.read(0, source.size);
    await source.close?.();
    return { bytes, file: source.name };
  };
  let tokenizer: T5Tokenizer;
  if (await folder.exists('tokenizer/spiece.model')) {
    const { bytes, file } = await readAll('tokenizer/spiece.model');
    tokenizer = T5Tokenizer.fromSpieceModel(bytes, file);
  } else {
    const { bytes, file } = await readAll('tokenizer/tokenizer.json');
    tokenizer = T5Tokenizer.fromTokenizerJson(new TextDecoder().decode(bytes), file);
  }
  const encoder = await T5Encoder.load(device, subfolder(folder, 'text_encoder'), { onProgress });
  return {
    width: encoder.config.width,
    async encode(prompts, tokens, precision) {
      const ids = prompts.map((prompt) => tokenizer.encode(prompt, { maxLength: tokens }).ids);
      const out = await encoder.encode(ids, [prompts.length, tokens], { precision });
      try {
        return (await out.read()) as Float32Array;
      } finally {
        out.destroy();
      }
    },
    countTokens: (prompt) => tokenizer.encode(prompt).tokenCount,
    destroy: () => encoder.destroy(),
  };
}
