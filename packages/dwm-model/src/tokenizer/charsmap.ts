/**
 * SentencePiece's precompiled character map: normalisation rules such as NFKC as a trie from UTF-8 prefixes
 * to replacement strings. The blob is: byte size of the trie (uint32, little endian), the trie, and the
 * NUL-terminated replacements that the trie's values point into.
 *
 * The trie is a Darts-clone double array (https://github.com/s-yata/darts-clone). A unit is 32 bits: bits 0-7
 * the label, bit 31 set in a unit that holds a value (bits 0-30), bit 8 says that a value hangs off this
 * node, bits 10-30 the offset to the children, shifted left by 8 where bit 9 is set. Child of node n over
 * byte c is at n ^ offset(n) ^ c, and the value of n at n ^ offset(n).
 */
import { InvalidFileError } from '@dwm/core-tensor';

const FIELD = 'precompiled_charsmap';

export class Charsmap {
  /** Bytes that the last successful `match` consumed. */
  matchLength = 0;
  private readonly file: string;
  private readonly units: Uint32Array;
  private readonly replacements: Uint8Array;

  /** @throws InvalidFileError if the sizes inside the blob do not fit it */
  constructor(blob: Uint8Array, file: string) {
    this.file = file;
    const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
    const trieBytes = blob.byteLength >= 4 ? view.getUint32(0, true) : 0;
    if (trieBytes === 0 || trieBytes % 4 !== 0 || trieBytes > blob.byteLength - 4) {
      throw new InvalidFileError(
        file,
        `${FIELD} claims a trie of ${trieBytes} bytes in ${blob.byteLength}, expected a multiple of 4 that fits; download the file again`,
        { field: FIELD, actual: trieBytes, sizeBytes: blob.byteLength },
      );
    }
    this.units = new Uint32Array(trieBytes / 4);
    for (let i = 0; i < this.units.length; i++) this.units[i] = view.getUint32(4 + 4 * i, true);
    this.replacements = blob.subarray(4 + trieBytes);
  }

  /**
   * The replacement for the longest rule that `bytes` starts with at `start`, or null if none does; the
   * length of the match is then in `matchLength`.
   * @throws InvalidFileError if the trie points outside itself
   */
  match(bytes: Uint8Array, start: number): Uint8Array | null {
    let value = -1;
    let node = this.child(0);
    for (let end = start; end < bytes.length; ) {
      const byte = bytes[end++];
      node ^= byte;
      // A missing edge lands on a foreign unit, whose label differs; past the last unit there is none.
      const unit = this.units[node];
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) break;
      node = this.child(node);
      if ((unit >>> 8) & 1) {
        value = this.unit(node) & 0x7fffffff;
        this.matchLength = end - start;
      }
    }
    return value < 0 ? null : this.replacement(value);
  }

  /** n ^ offset(n): where the children of node n and its value start. */
  private child(node: number): number {
    const unit = this.unit(node);
    return (node ^ ((unit >>> 10) << ((unit & 0x200) >>> 6))) >>> 0;
  }

  private unit(index: number): number {
    if (index >= this.units.length) {
      throw new InvalidFileError(
        this.file,
        `${FIELD} points at trie unit ${index} of ${this.units.length}; download the file again`,
        { field: FIELD, actual: index },
      );
    }
    return this.units[index];
  }

  private replacement(start: number): Uint8Array {
    if (start >= this.replacements.length) {
      throw new InvalidFileError(
        this.file,
        `${FIELD} points at byte ${start} of ${this.replacements.length} bytes of replacements; download the file again`,
        { field: FIELD, actual: start },
      );
    }
    const end = this.replacements.indexOf(0, start);
    return this.replacements.subarray(start, end < 0 ? undefined : end);
  }
}
