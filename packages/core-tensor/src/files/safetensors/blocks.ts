/** Tensors that a file holds in another form: block by block, its bytes become those of the tensor. */

export interface BlockForm {
  /** Bytes of a block in the file. */
  readonly stored: number;
  /** Bytes of the tensor that it becomes. */
  readonly made: number;
  /** Fills `out` from as many whole blocks. */
  unpack(blocks: Uint8Array, out: Uint8Array): void;
}

/** Most blocks at a time whose bytes, before and after, are within `bytes`; after, they are multiples of 8. */
export function blocksWithin({ stored, made }: BlockForm, bytes: number): number {
  const aligned = [1, 2, 4, 8].find((count) => (count * made) % 8 === 0)!;
  return Math.max(aligned, Math.floor(bytes / Math.max(stored, made) / aligned) * aligned);
}
