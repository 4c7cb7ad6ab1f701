/**
 * SentencePiece's normalisation: the character map on longest UTF-8 prefixes, white space at the ends
 * removed and inside collapsed, a dummy space in front, and spaces written as U+2581. User-defined pieces
 * pass through as they are.
 */
import type { ByteTrie } from './byte-trie.ts';
import { Charsmap } from './charsmap.ts';
import type { NormalizerSpec } from './unigram-spec.ts';

const SPACE = 0x20;
/** U+2581 in UTF-8. */
const SPACE_SYMBOL = new Uint8Array([0xe2, 0x96, 0x81]);
const PLAIN_SPACE = new Uint8Array([SPACE]);

/** Length in bytes of the UTF-8 character with this lead byte; 1 for a byte that cannot lead one. */
export function utf8Length(lead: number): number {
  if (lead < 0xc0) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}

export class Normalizer {
  private readonly spec: NormalizerSpec;
  private readonly charsmap: Charsmap | null;
  private readonly userDefined: ByteTrie;
  private readonly space: Uint8Array;

  /** @throws InvalidFileError if the character map is damaged */
  constructor(spec: NormalizerSpec, userDefined: ByteTrie, file: string) {
    this.spec = spec;
    this.charsmap = spec.precompiledCharsmap.length > 0 ? new Charsmap(spec.precompiledCharsmap, file) : null;
    this.userDefined = userDefined;
    this.space = spec.escapeWhitespaces ? SPACE_SYMBOL : PLAIN_SPACE;
  }

  /** @returns normalised UTF-8; empty if `text` is nothing but white space that is to be removed */
  normalize(text: string): Uint8Array {
    const input = new TextEncoder().encode(text);
    const { addDummyPrefix, removeExtraWhitespaces, treatWhitespaceAsSuffix } = this.spec;
    let position = 0;
    if (removeExtraWhitespaces) {
      while (position < input.length) {
        const chunk = this.next(input, position);
        if (chunk.length !== 1 || chunk[0] !== SPACE) break;
        position += this.consumed;
      }
    }
    if (position === input.length) return new Uint8Array(0);

    const output = new ByteWriter(input.length + 16);
    if (addDummyPrefix && !treatWhitespaceAsSuffix) output.push(this.space);
    let afterSpace = removeExtraWhitespaces;
    while (position < input.length) {
      const chunk = this.next(input, position);
      position += this.consumed;
      let from = 0;
      if (afterSpace) while (from < chunk.length && chunk[from] === SPACE) from++;
      // Nothing is left of a deleted character or a repeated space: what came before it stays the last.
      if (from === chunk.length) continue;
      for (let i = from; i < chunk.length; i++) {
        if (chunk[i] === SPACE) output.push(this.space);
        else output.pushByte(chunk[i]);
      }
      afterSpace = removeExtraWhitespaces && chunk[chunk.length - 1] === SPACE;
    }
    if (removeExtraWhitespaces) while (output.endsWith(this.space)) output.drop(this.space.length);
    if (addDummyPrefix && treatWhitespaceAsSuffix) output.push(this.space);
    return output.bytes();
  }

  private consumed = 0;

  /** The normalised form of what `input` starts with at `position`; `consumed` tells how much that was. */
  private next(input: Uint8Array, position: number): Uint8Array {
    const kept = this.userDefined.longestMatch(input, position);
    if (kept === 0) {
      const replacement = this.charsmap?.match(input, position);
      if (replacement) {
        this.consumed = this.charsmap!.matchLength;
        return replacement;
      }
    }
    this.consumed = kept || utf8Length(input[position]);
    return input.subarray(position, position + this.consumed);
  }
}

/** A byte array that grows by doubling. */
class ByteWriter {
  length = 0;
  private buffer: Uint8Array;

  constructor(capacity: number) {
    this.buffer = new Uint8Array(capacity);
  }

  pushByte(byte: number): void {
    if (this.length === this.buffer.length) {
      const grown = new Uint8Array(2 * this.buffer.length);
      grown.set(this.buffer);
      this.buffer = grown;
    }
    this.buffer[this.length++] = byte;
  }

  push(bytes: Uint8Array): void {
    for (const byte of bytes) this.pushByte(byte);
  }

  endsWith(suffix: Uint8Array): boolean {
    const start = this.length - suffix.length;
    return start >= 0 && suffix.every((byte, i) => this.buffer[start + i] === byte);
  }

  drop(count: number): void {
    this.length -= count;
  }

  bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }
}
