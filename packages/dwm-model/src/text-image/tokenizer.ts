/**
 * CLIP's tokenizer (openai/CLIP, `simple_tokenizer.py`): lower-case words as UTF-8 bytes, the last one marked `</w>`,
 * of which pairs are joined in the order of a list until none is left that is in it (byte-pair encoding).
 */
import { InvalidFileError } from '@dwm/core-tensor';

const START = '<|startoftext|>';
const END = '<|endoftext|>';
const WORDS =
  /<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\p{White_Space}\p{L}\p{N}]+/gu;

/** A visible character for every byte, GPT-2's: itself where it is one, else the next from U+0100 on. */
const BYTES: readonly string[] = (() => {
  const visible = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(visible(byte) ? byte : next++));
})();

interface CLIPVocabulary {
  /** Where it is from, for messages. */
  readonly file: string;
  readonly ids: Readonly<Record<string, number>>;
  /** Pairs that are joined, `a b`, the first of them first. */
  readonly merges: readonly string[];
}

export class CLIPTokenizer {
  readonly startId: number;
  readonly endId: number;
  /** One more than the largest id. */
  readonly size: number;
  readonly #ids: ReadonlyMap<string, number>;
  readonly #ranks: ReadonlyMap<string, number>;

  /** @throws InvalidFileError where the vocabulary lacks the tokens around a text. */
  constructor({ file, ids, merges }: CLIPVocabulary) {
    this.#ids = new Map(Object.entries(ids));
    this.#ranks = new Map(merges.map((pair, rank) => [pair, rank]));
    const idOf = (token: string) => {
      const id = this.#ids.get(token);
      if (id !== undefined) return id;
      throw new InvalidFileError(file, `${token} is missing; expected the vocabulary of a CLIP model`, {
        field: token,
      });
    };
    this.startId = idOf(START);
    this.endId = idOf(END);
    this.size = Object.values(ids).reduce((a, b) => Math.max(a, b)) + 1;
  }

  /**
   * Token ids between the start and the end token, without padding.
   * @param maxLength most ids, the two included: a longer text is cut and ended.
   * @returns `tokenCount` is that of the whole text.
   */
  encode(text: string, maxLength: number): { ids: Uint32Array; tokenCount: number } {
    const words = text.normalize('NFC').toLowerCase().match(WORDS) ?? [];
    const tokens = words
      .flatMap((word) => this.#join(word))
      .map((token) => this.#ids.get(token) ?? this.endId);
    const ids = [this.startId, ...tokens.slice(0, maxLength - 2), this.endId];
    return { ids: Uint32Array.from(ids), tokenCount: tokens.length + 2 };
  }

  #join(word: string): string[] {
    if (word === START || word === END) return [word];
    let parts = Array.from(new TextEncoder().encode(word), (byte) => BYTES[byte]);
    parts[parts.length - 1] += '</w>';
    for (;;) {
      const ranks = parts.slice(1).map((part, i) => this.#ranks.get(`${parts[i]} ${part}`) ?? Infinity);
      const lowest = Math.min(...ranks);
      if (lowest === Infinity) return parts;
      const [left, right] = [parts[ranks.indexOf(lowest)], parts[ranks.indexOf(lowest) + 1]];
      const joined: string[] = [];
      for (let i = 0; i < parts.length; i++) {
        const pair = parts[i] === left && parts[i + 1] === right;
        joined.push(pair ? left + right : parts[i]);
        if (pair) i++;
      }
      parts = joined;
    }
  }
}
