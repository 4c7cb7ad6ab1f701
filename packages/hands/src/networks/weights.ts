/**
 * The weights of a network as `@svenflow/micro-handpose` has them: a JSON that says where each tensor lies, and the
 * numbers after one another, little-endian, f32 or f16:
 *
 *   { "keys": [name], "shapes": [[size]], "offsets": [byte], "dtype": "float32" | "float16" }
 *
 * Names come from TensorFlow's graph. A tensor is found by its layer's name, and, where a layer has several, by its
 * shape.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { toFloat32 } from '@dwm/core-tensor/files';

/** The two files of a network. */
export interface WeightFiles {
  /** What errors call them. */
  readonly name: string;
  readonly json: string;
  readonly bytes: Uint8Array;
}

interface Place {
  readonly shape: readonly number[];
  readonly offset: number;
  readonly count: number;
}

/** Tensors by layer and shape, expanded to f32 when they are asked for. */
export class LayerWeights {
  readonly #name: string;
  readonly #bytes: Uint8Array;
  readonly #size: 2 | 4;
  readonly #places = new Map<string, Place[]>();

  /** @throws InvalidFileError for a directory that is none, or tensors that the bytes do not hold. */
  constructor({ name, json, bytes }: WeightFiles) {
    const { keys, shapes, offsets, dtype } = directory(name, json);
    this.#name = name;
    this.#bytes = bytes;
    this.#size = dtype === 'float16' ? 2 : 4;
    keys.forEach((key, i) => {
      const [shape, offset] = [shapes[i], offsets[i]];
      const count = shape.reduce((product, size) => product * size, 1);
      if (offset + count * this.#size > bytes.length)
        throw new InvalidFileError(
          name,
          `"${key}" ends at byte ${offset + count * this.#size}, and there are ${bytes.length}; install the package again`,
        );
      const layer = layerOf(key);
      this.#places.set(layer, [...(this.#places.get(layer) ?? []), { shape, offset, count }]);
    });
  }

  /** @throws InvalidFileError where there is none. */
  get(layer: string, shape: readonly number[]): Float32Array {
    const places = this.#places.get(layer) ?? [];
    const place = places.find((one) => one.shape.join() === shape.join());
    if (!place) {
      const found = places.map((one) => `[${one.shape}]`).join(' and ') || 'nothing';
      throw new InvalidFileError(this.#name, `layer ${layer} has ${found}, expected [${shape}]`);
    }
    const end = place.offset + place.count * this.#size;
    const data = this.#bytes.subarray(place.offset, end);
    return toFloat32({ dtype: this.#size === 4 ? 'F32' : 'F16', data });
  }
}

/** Of `model_1/model/conv2d_1/Conv2D;…`, conv2d_1; of `batch_normalization_1/FusedBatchNormV3`, its first part. */
const layerOf = (key: string): string =>
  key
    .split(';')[0]
    .replace(/^model_1\/model\//, '')
    .split('/')[0];

function directory(name: string, json: string) {
  const bad = (what: string) => new InvalidFileError(name, `${what}; install the package again`);
  let root: Record<string, unknown> | null;
  try {
    root = JSON.parse(json);
  } catch {
    throw bad('is no JSON, expected a directory of tensors');
  }
  const { keys, shapes, offsets, dtype } = root ?? {};
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  const fits = (list: unknown, isItem: (item: unknown) => boolean) =>
    Array.isArray(list) && list.length === (keys as unknown[]).length && list.every(isItem);
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string'))
    throw bad('has no list "keys" of names');
  if (!fits(shapes, (shape) => Array.isArray(shape) && shape.every(isCount)))
    throw bad('has no list "shapes", one of sizes for each key');
  if (!fits(offsets, isCount)) throw bad('has no list "offsets", a byte for each key');
  if (dtype !== 'float16' && dtype !== 'float32') throw bad('has no "dtype" float16 or float32');
  return { keys: keys as string[], shapes: shapes as number[][], offsets: offsets as number[], dtype };
}
