/** Decoded accessors as plain numbers. */
import { InvalidFileError } from '@dwm/core-tensor';
import type { Accessor } from '@gltf-transform/core';

/** Turns each accessor into numbers once, however often it is used. */
export class AccessorReader {
  readonly #file: string;
  readonly #all: Accessor[];
  readonly #floats = new Map<Accessor, Float32Array>();

  constructor(file: string, all: Accessor[]) {
    this.#file = file;
    this.#all = all;
  }

  at(index: number): Accessor {
    return this.#all[index];
  }

  /** Float values, normalised integers scaled to their range. @throws InvalidFileError for NaN and infinities. */
  floats(accessor: Accessor, width: number, where: string): Float32Array {
    this.#checkWidth(accessor, width, where);
    let values = this.#floats.get(accessor);
    if (values) return values;
    const array = accessor.getArray();
    if (array instanceof Float32Array) values = array;
    else {
      const limit = accessor.getNormalized() ? 2 ** (8 * (array?.BYTES_PER_ELEMENT ?? 1)) : 0;
      const signed = array instanceof Int8Array || array instanceof Int16Array;
      const scale = limit === 0 ? 1 : 1 / ((signed ? limit / 2 : limit) - 1);
      values = Float32Array.from(array ?? [], (value) =>
        signed && limit ? Math.max(-1, value * scale) : value * scale,
      );
    }
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) {
      throw new InvalidFileError(
        this.#file,
        `${where}: entry ${Math.floor(bad / width)} is ${values[bad]}, expected finite numbers`,
      );
    }
    this.#floats.set(accessor, values);
    return values;
  }

  integers(accessor: Accessor, width: number, where: string): ArrayLike<number> {
    this.#checkWidth(accessor, width, where);
    const array = accessor.getArray();
    if (!array || array instanceof Float32Array || array instanceof Float64Array) {
      throw new InvalidFileError(this.#file, `${where}: expected whole numbers, got floats`);
    }
    return array;
  }

  #checkWidth(accessor: Accessor, width: number, where: string): void {
    const array = accessor.getArray();
    // A Draco stream may hold another number of components than its accessor says.
    if (
      accessor.getElementSize() !== width ||
      !array ||
      array.length !== accessor.getCount() * accessor.getElementSize()
    ) {
      throw new InvalidFileError(
        this.#file,
        `${where}: expected ${width} numbers an entry, got ${accessor.getType()}`,
      );
    }
  }
}
