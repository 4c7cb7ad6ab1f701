/** The tokenizer of a CLIP folder: `tokenizer.json`, or `vocab.json` with `merges.txt`. */
import { InvalidFileError } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import * as z from 'zod';
import { readJson } from '../weights/config.ts';
import { readKnown } from './config.ts';
import { CLIPTokenizer } from './tokenizer.ts';

const id = z.int().nonnegative();
const vocab = z.record(z.string(), id);
const tokenizerJson = z.object({
  added_tokens: z.array(z.object({ id, content: z.string() })).default([]),
  model: z.object({
    type: z.literal('BPE'),
    end_of_word_suffix: z.literal('</w>'),
    vocab,
    merges: z.array(
      z.union([z.string(), z.tuple([z.string(), z.string()]).transform((pair) => pair.join(' '))]),
    ),
  }),
});

/** @throws InvalidFileError naming file and field, for one that is damaged or of another kind of tokenizer. */
export async function readCLIPTokenizer(folder: ModelFolder): Promise<CLIPTokenizer> {
  if (await folder.exists('tokenizer.json')) {
    const { json, file } = await readJson(folder, 'tokenizer.json');
    const { added_tokens: added, model } = readKnown(tokenizerJson, json, file);
    const ids = { ...model.vocab, ...Object.fromEntries(added.map((token) => [token.content, token.id])) };
    return new CLIPTokenizer({ file, ids, merges: model.merges });
  }
  const { json, file } = await readJson(folder, 'vocab.json');
  const { vocab: ids } = readKnown(z.object({ vocab }), { vocab: json }, file);
  return new CLIPTokenizer({ file, ids, merges: await readMerges(folder) });
}

async function readMerges(folder: ModelFolder): Promise<string[]> {
  const source = await folder.open('merges.txt');
  try {
    const text = new TextDecoder().decode(await source.read(0, source.size));
    const lines = text.trimEnd().split(/\r?\n/);
    const from = lines[0].startsWith('#version') ? 1 : 0;
    const wrong = lines.findIndex((line, i) => i >= from && line.split(' ').length !== 2);
    if (wrong >= 0) {
      throw new InvalidFileError(
        source.name,
        `line ${wrong + 1}: expected two symbols with a space between, got ${JSON.stringify(lines[wrong])}`,
        { field: `line ${wrong + 1}` },
      );
    }
    return lines.slice(from);
  } finally {
    await source.close?.();
  }
}
