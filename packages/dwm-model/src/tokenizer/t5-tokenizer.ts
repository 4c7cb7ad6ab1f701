/**
 * The T5 v1.1 tokenizer: a SentencePiece unigram model with T5's conventions around it. Text becomes pieces,
 * is cut to leave room for the end token, gets the end token, and is padded.
 *
 * Special tokens written out in the text (`</s>`, `<pad>`, `<unk>`, `<extra_id_0>`, ...) follow the slow
 * Hugging Face tokenizer in legacy mode: they are matched in the raw text, leftmost and longest first; the
 * text between two of them is encoded as a text of its own, with its own leading space; and text that ends
 * in `</s>` does not get a second one.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { ByteTrie } from './byte-trie.ts';
import { Normalizer } from './normalizer.ts';
import { readSpieceModel } from './spiece-model.ts';
import { readTokenizerJson } from './tokenizer-json.ts';
import { UnigramModel } from './unigram.ts';
import type { AddedToken, UnigramSpec } from './unigram-spec.ts';

/** Text length of CogVideoX, in tokens. */
const DEFAULT_MAX_LENGTH = 226;

/** How text becomes token ids. */
export interface EncodeOptions {
  /** Most tokens to return, the end token among them; 226 unless told. */
  readonly maxLength?: number;
  /** Fill up to `maxLength` with the padding id; on unless told. */
  readonly pad?: boolean;
}

/** Token ids of a text. */
export interface Encoding {
  /** `[maxLength]` with padding, else `[min(tokenCount, maxLength)]`. */
  readonly ids: Int32Array;
  /** Tokens of the whole text with the end token, before cutting. */
  readonly tokenCount: number;
  /** Whether the end of the text was cut off. */
  readonly truncated: boolean;
}

/** SentencePiece unigram tokenizer, as T5 has it. */
export class T5Tokenizer {
  readonly unkId: number;
  readonly eosId: number;
  readonly padId: number;
  /** One more than the largest id that `encode` can return; the text encoder needs that many embeddings. */
  readonly vocabSize: number;
  private readonly spec: UnigramSpec;
  private readonly model: UnigramModel;
  private readonly normalizer: Normalizer;
  private readonly added: Map<string, AddedToken>;
  private readonly addedPattern: RegExp;

  private constructor(spec: UnigramSpec) {
    this.spec = spec;
    this.unkId = spec.unkId;
    this.eosId = spec.eosId;
    this.padId = spec.padId;
    this.vocabSize = spec.addedTokens.reduce((n, { id }) => Math.max(n, id + 1), spec.pieces.length);
    this.model = new UnigramModel(spec);
    const userDefined = new ByteTrie();
    spec.pieces.forEach(({ text, type }, id) => {
      if (type === 'user-defined') userDefined.add(new TextEncoder().encode(text), id);
    });
    this.normalizer = new Normalizer(spec.normalizer, userDefined, spec.file);
    this.added = new Map(spec.addedTokens.map((token) => [token.content, token]));
    // Alternatives are tried in order, so the longest of those that match comes first.
    const alternatives = [...this.added.keys()].sort((a, b) => b.length - a.length).map(escapeRegExp);
    this.addedPattern = new RegExp(`(${alternatives.join('|') || '(?!)'})`, 'u');
  }

  /**
   * @param bytes contents of a `spiece.model`
   * @param file its name, for errors
   * @param extraIds number of `<extra_id_N>` sentinels above the pieces (`extra_ids` in
   *   tokenizer_config.json); 0 for a text encoder without embeddings for them; `plain` where special tokens
   *   written out in a text are text like any other, as SentencePiece itself has it
   * @throws InvalidFileError if it is damaged or not a unigram model with unknown, end and padding pieces
   */
  static fromSpieceModel(bytes: Uint8Array, file: string, extraIds: number | 'plain' = 100): T5Tokenizer {
    return new T5Tokenizer(readSpieceModel(bytes, file, extraIds));
  }

  /**
   * @param text contents of a `tokenizer.json`
   * @param file its name, for errors
   * @throws InvalidFileError if it is damaged or not a Unigram tokenizer
   */
  static fromTokenizerJson(text: string, file: string): T5Tokenizer {
    return new T5Tokenizer(readTokenizerJson(text, file));
  }

  /**
   * Token ids of a text; the end token is always there, also after cutting.
   * @throws InvalidArgumentError if `maxLength` is not a whole number of at least 1
   */
  encode(text: string, { maxLength = DEFAULT_MAX_LENGTH, pad = true }: EncodeOptions = {}): Encoding {
    if (!Number.isInteger(maxLength) || maxLength < 1) {
      throw new InvalidArgumentError('maxLength', `is ${maxLength}, expected a whole number of at least 1`);
    }
    const tokens = this.tokenize(text);
    if (tokens.at(-1) !== this.eosId) tokens.push(this.eosId);
    const tokenCount = tokens.length;
    const truncated = tokenCount > maxLength;
    if (truncated) {
      tokens.length = maxLength;
      tokens[maxLength - 1] = this.eosId;
    }
    const ids = new Int32Array(pad ? maxLength : tokens.length).fill(this.padId);
    ids.set(tokens);
    return { ids, tokenCount, truncated };
  }

  /** 1 for tokens, 0 for the padding at the end (not for a `<pad>` inside the text); same length as `ids`. */
  attentionMask(ids: Int32Array): Int32Array {
    const last = ids.findLastIndex((id) => id !== this.padId);
    return ids.map((_, i) => (i <= last ? 1 : 0));
  }

  /**
   * Text for ids, for people to read: special tokens are left out, an unknown id reads as U+2047, and an id
   * outside the vocabulary as its number in angle brackets.
   */
  decode(ids: ArrayLike<number>): string {
    const utf8 = new TextEncoder();
    const { pieces } = this.spec;
    const bytes: number[] = [];
    for (const id of Array.from(ids)) {
      const piece = pieces[id];
      if (piece?.type === 'byte') bytes.push(Number.parseInt(piece.text.slice(1, -1), 16));
      else bytes.push(...utf8.encode(this.surface(id)));
    }
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes));
    const { addDummyPrefix, treatWhitespaceAsSuffix } = this.spec.normalizer;
    return addDummyPrefix && !treatWhitespaceAsSuffix ? text.replace(/^ /, '') : text;
  }

  private surface(id: number): string {
    if (id === this.unkId) return ' \u2047 ';
    const piece = this.spec.pieces[id];
    const added = this.spec.addedTokens.find((token) => token.id === id);
    if (added) return added.special ? '' : added.content;
    if (!piece) return `<${id}>`;
    return piece.type === 'control' ? '' : piece.text.replaceAll('\u2581', ' ');
  }

  /** Ids of the whole text, without end token. */
  private tokenize(text: string): number[] {
    const parts = text.split(this.addedPattern);
    const ids: number[] = [];
    // split with one group alternates: text, added token, text, ...
    for (let i = 0; i < parts.length; i++) {
      if (i % 2 === 1) {
        ids.push(this.added.get(parts[i])!.id);
        continue;
      }
      let between = parts[i];
      if (this.added.get(parts[i - 1])?.rstrip) between = between.trimStart();
      if (this.added.get(parts[i + 1])?.lstrip) between = between.trimEnd();
      for (const id of this.model.encode(this.normalizer.normalize(between))) ids.push(id);
    }
    return ids;
  }
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}
