/**
 * Reads Hugging Face's `tokenizer.json` with a Unigram model into the same `UnigramSpec` as `spiece.model`,
 * so that both files of one tokenizer give the same ids: SentencePiece's. (The `tokenizers` library itself
 * departs from them where a rule of the character map covers part of a grapheme, adds in double precision,
 * and finds `</s>` also in text that only becomes `</s>` by normalisation.)
 */
import { InvalidFileError } from '@dwm/core-tensor';
import * as z from 'zod';
import { type NormalizerSpec, type Piece, type UnigramSpec, validatePieces } from './unigram-spec.ts';

/** A normalizer or pre-tokenizer; the fields depend on the type and are checked where they are used. */
const Component = z.looseObject({ type: z.string() });
const AddedTokenJson = z.object({
  id: z.int().nonnegative(),
  content: z.string().min(1),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  single_word: z.literal(false).optional(),
  special: z.boolean().default(false),
});
const TokenizerJson = z.object({
  added_tokens: z.array(AddedTokenJson).default([]),
  normalizer: Component.nullish(),
  pre_tokenizer: Component.nullish(),
  model: z.object({
    type: z.literal('Unigram'),
    unk_id: z.int().nonnegative(),
    byte_fallback: z.boolean().default(false),
    vocab: z.array(z.tuple([z.string(), z.number()])),
  }),
});
type Component = z.infer<typeof Component>;

/**
 * @param text the whole file
 * @param file its name, for errors
 * @throws InvalidFileError if it is not a Unigram tokenizer, uses a normalizer or pre-tokenizer that
 *   SentencePiece has no counterpart for, or has no `</s>` and `<pad>`
 */
export function readTokenizerJson(text: string, file: string): UnigramSpec {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const reason = (error as Error).message.replace(/\s+/g, ' ');
    throw new InvalidFileError(file, `not JSON (${reason}); download the file again`);
  }
  const parsed = TokenizerJson.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const field = issue.path.join('.') || 'the file';
    throw new InvalidFileError(
      file,
      `${field}: ${issue.message}; expected the tokenizer.json of a Unigram (T5) tokenizer`,
      { field },
    );
  }
  const { added_tokens: added, model, normalizer, pre_tokenizer: preTokenizer } = parsed.data;

  // Added tokens are cut out of the text before the model sees it, so the model must not find them itself.
  const addedIds = new Set(added.map((token) => token.id));
  const pieces = model.vocab.map(([piece, score], id): Piece => {
    if (id === model.unk_id) return { text: piece, score, type: 'unknown' };
    if (addedIds.has(id)) return { text: piece, score, type: 'control' };
    const isByte = model.byte_fallback && /^<0x[0-9A-F]{2}>$/.test(piece);
    return { text: piece, score, type: isByte ? 'byte' : 'normal' };
  });
  validatePieces(pieces, model.byte_fallback, 'model.vocab', file);
  if (model.unk_id >= pieces.length) {
    throw new InvalidFileError(
      file,
      `model.unk_id is ${model.unk_id}, expected an id below the ${pieces.length} entries of model.vocab`,
      { field: 'model.unk_id', actual: model.unk_id },
    );
  }
  for (const { id, content } of added) {
    if (id < pieces.length && pieces[id].text !== content) {
      throw new InvalidFileError(
        file,
        `added_tokens gives id ${id} to ${JSON.stringify(content)}, but model.vocab[${id}] is ${JSON.stringify(pieces[id].text)}`,
        { field: 'added_tokens', actual: content },
      );
    }
  }

  const idOf = (name: string): number => {
    const id = added.find((token) => token.content === name)?.id ?? pieces.findIndex((p) => p.text === name);
    if (id < 0) {
      throw new InvalidFileError(
        file,
        `has no token ${name}, expected it in added_tokens or model.vocab as every T5 tokenizer has it`,
        { field: 'added_tokens', expected: name },
      );
    }
    return id;
  };
  return {
    file,
    pieces,
    normalizer: readNormalizer(normalizer, preTokenizer, file),
    byteFallback: model.byte_fallback,
    unkId: model.unk_id,
    eosId: idOf('</s>'),
    padId: idOf('<pad>'),
    addedTokens: added,
  };
}

/**
 * The SentencePiece settings that the two component trees stand for: converters write
 * `remove_extra_whitespaces` as WhitespaceSplit, as Strip, or as a Replace of runs of spaces, and
 * `add_dummy_prefix` as Metaspace.
 */
function readNormalizer(
  normalizer: Component | null | undefined,
  preTokenizer: Component | null | undefined,
  file: string,
): NormalizerSpec {
  const spec = {
    precompiledCharsmap: new Uint8Array(0),
    addDummyPrefix: false,
    removeExtraWhitespaces: false,
    escapeWhitespaces: false,
    treatWhitespaceAsSuffix: false,
  };
  const components = [
    ...flatten(normalizer, 'normalizer', 'normalizers', file),
    ...flatten(preTokenizer, 'pre_tokenizer', 'pretokenizers', file),
  ];
  for (const { path, component } of components) {
    if (component.type === 'Precompiled') {
      spec.precompiledCharsmap = base64(component.precompiled_charsmap, `${path}.precompiled_charsmap`, file);
    } else if (
      component.type === 'WhitespaceSplit' ||
      component.type === 'Strip' ||
      collapsesSpaces(component)
    ) {
      spec.removeExtraWhitespaces = true;
    } else if (component.type === 'Metaspace') {
      if ((component.replacement ?? '\u2581') !== '\u2581') {
        throw new InvalidFileError(
          file,
          `${path}.replacement is ${JSON.stringify(component.replacement)}, expected U+2581`,
          { field: `${path}.replacement` },
        );
      }
      spec.escapeWhitespaces = true;
      spec.addDummyPrefix = component.add_prefix_space !== false && component.prepend_scheme !== 'never';
    } else {
      throw new InvalidFileError(
        file,
        `${path}.type ${JSON.stringify(component.type)} has no counterpart in SentencePiece, expected Precompiled, Strip, Replace of " {2,}", WhitespaceSplit or Metaspace; use spiece.model instead`,
        { field: `${path}.type`, actual: component.type },
      );
    }
  }
  return spec;
}

function collapsesSpaces(component: Component): boolean {
  const pattern = component.pattern as { Regex?: unknown } | undefined;
  return component.type === 'Replace' && pattern?.Regex === ' {2,}';
}

/** The leaves of nested Sequence components, each with its path in the file. */
function flatten(
  root: Component | null | undefined,
  path: string,
  childKey: string,
  file: string,
): { path: string; component: Component }[] {
  if (!root) return [];
  if (root.type !== 'Sequence') return [{ path, component: root }];
  const children = z.array(Component).safeParse(root[childKey]);
  if (!children.success) {
    throw new InvalidFileError(file, `${path}.${childKey} is not a list of objects with a type`, {
      field: `${path}.${childKey}`,
    });
  }
  return children.data.flatMap((child, i) => flatten(child, `${path}.${childKey}.${i}`, childKey, file));
}

function base64(value: unknown, path: string, file: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(z.string().parse(value)), (character) => character.charCodeAt(0));
  } catch {
    throw new InvalidFileError(file, `${path} is not base64; download the file again`, { field: path });
  }
}
