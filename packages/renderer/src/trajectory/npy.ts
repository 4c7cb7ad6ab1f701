/**
 * NumPy's `.npy`: a magic number, a Python dict literal with dtype, order and shape, then the numbers. The literal is
 * read by its grammar, never evaluated, and the sizes must match the bytes. Arrays of Python objects are pickles,
 * programs to be run, and are refused. Format: numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import {
  type BinaryFile,
  bytesSource,
  halfValues,
  quote,
  readZipDirectory,
  readZipEntry,
} from '@dwm/core-tensor/files';

/** A numeric array in C order. Integers beyond 2^53 are rounded. */
export interface NpyArray {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** The arrays of an `.npz`; each is unpacked when asked for, so entries of other kinds do no harm. */
export interface NpzFile {
  readonly name: string;
  /** Array names, without `.npy`. */
  readonly arrays: readonly string[];
  /** @throws InvalidFileError where the array is missing, damaged or not made of numbers. */
  array(name: string): Promise<NpyArray>;
}

/** As NumPy limits it: literals of plain arrays have about a hundred characters. */
const MAX_HEADER_BYTES = 10_000;

/** Turns a numpy pickle (.npy or .npz of objects, .pkl of a dict of arrays) into an .npz of plain arrays. */
const PICKLE_CONVERTER = `import numpy as np, sys
data = np.load(sys.argv[1], allow_pickle=True)  # only for files that you trust: a pickle is a program
data = data.item() if getattr(data, 'shape', None) == () else data
arrays = {k: np.asarray(data[k]) for k in data.keys()}
np.savez(sys.argv[2], **{k: a if a.dtype != object else np.stack([np.asarray(x, float) for x in a]) for k, a in arrays.items()})`;

/** @throws InvalidFileError where the file is not a zip. */
export async function openNpz(file: BinaryFile): Promise<NpzFile> {
  const source = bytesSource(file.name, file.bytes);
  const entries = await readZipDirectory(source);
  const arrays = [...entries.keys()].filter((key) => key.endsWith('.npy')).map((key) => key.slice(0, -4));
  return {
    name: file.name,
    arrays,
    async array(name) {
      const entry = entries.get(`${name}.npy`);
      if (!entry)
        throw new InvalidFileError(file.name, `has no array ${quote(name)}; it holds ${list(arrays)}`, {
          field: name,
        });
      return parseNpy({
        name: `${file.name}: ${name}`,
        bytes: await readZipEntry(source, `${name}.npy`, entry),
      });
    },
  };
}

const list = (names: readonly string[]) =>
  names.length === 0
    ? 'none'
    : names.slice(0, 12).map(quote).join(', ').slice(0, 300) + (names.length > 12 ? ', ...' : '');

const READERS: Record<
  string,
  [bytes: number, read: (view: DataView, at: number, little: boolean) => number]
> = {
  f2: [2, (view, at, little) => halfValues()[view.getUint16(at, little)]],
  f4: [4, (view, at, little) => view.getFloat32(at, little)],
  f8: [8, (view, at, little) => view.getFloat64(at, little)],
  i1: [1, (view, at) => view.getInt8(at)],
  i2: [2, (view, at, little) => view.getInt16(at, little)],
  i4: [4, (view, at, little) => view.getInt32(at, little)],
  i8: [8, (view, at, little) => Number(view.getBigInt64(at, little))],
  u1: [1, (view, at) => view.getUint8(at)],
  u2: [2, (view, at, little) => view.getUint16(at, little)],
  u4: [4, (view, at, little) => view.getUint32(at, little)],
  u8: [8, (view, at, little) => Number(view.getBigUint64(at, little))],
  b1: [1, (view, at) => view.getUint8(at)],
};

/** @throws InvalidFileError naming what is wrong with the header or the size. */
export function parseNpy({ name, bytes }: BinaryFile): NpyArray {
  const bad = (problem: string, details = {}) => new InvalidFileError(name, problem, details);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || bytes[0] !== 0x93 || new TextDecoder().decode(bytes.subarray(1, 6)) !== 'NUMPY')
    throw bad('is not an .npy array: it does not start with \\x93NUMPY');
  const wide = bytes[6] >= 2;
  const begin = wide ? 12 : 10;
  const begun = begin + (wide ? view.getUint32(8, true) : view.getUint16(8, true));
  if (bytes[6] < 1 || bytes[6] > 3 || begun > bytes.length || begun > MAX_HEADER_BYTES)
    throw bad(
      `has .npy version ${bytes[6]} and a header up to byte ${begun} of ${bytes.length}; copy it again`,
    );
  const header = parseHeader(new TextDecoder('latin1').decode(bytes.subarray(begin, begun)));
  if (!header)
    throw bad("its .npy header is not {'descr': ..., 'fortran_order': ..., 'shape': (...)} of numbers");
  const { descr, fortran, shape } = header;
  if (descr.includes('O'))
    throw bad(
      'holds Python objects (a pickle), which are never loaded; save plain arrays with numpy.savez, or convert with the five lines in `converter`',
      { converter: PICKLE_CONVERTER },
    );
  const reader = READERS[descr.slice(1)];
  if (!reader || !'<>|='.includes(descr[0]))
    throw bad(`has dtype ${quote(descr)}, expected a real number type; save it with .astype('<f4')`);
  const [itemBytes, read] = reader;
  const count = shape.reduce((product, size) => product * size, 1);
  if (count * itemBytes !== bytes.length - begun)
    throw bad(`has shape [${shape}] of ${itemBytes}-byte numbers, but ${bytes.length - begun} bytes of data`);
  const values = new Float64Array(count);
  const little = descr[0] !== '>';
  for (let i = 0; i < count; i++) values[i] = read(view, begun + i * itemBytes, little);
  return { shape, data: fortran && shape.length > 1 ? fromFortran(values, shape) : values };
}

/** The header's dict, its keys in any order. @returns undefined for anything else. */
function parseHeader(text: string): { descr: string; fortran: boolean; shape: number[] } | undefined {
  const dict = text.trim();
  if (!dict.startsWith('{') || !dict.endsWith('}')) return undefined;
  const body = dict.slice(1, -1).trimEnd();
  const entry = /\s*'(descr|fortran_order|shape)'\s*:\s*('[^']{1,16}'|True|False|\([\d\s,L]*\))\s*(?:,|$)/y;
  const found = new Map<string, string>();
  while (entry.lastIndex < body.length) {
    const match = entry.exec(body);
    if (!match || found.has(match[1])) return undefined;
    found.set(match[1], match[2]);
  }
  const [descr, fortran, shape] = ['descr', 'fortran_order', 'shape'].map((key) => found.get(key) ?? '');
  if (!descr.startsWith("'") || !/^(True|False)$/.test(fortran) || !shape.startsWith('(')) return undefined;
  const sizes = shape
    .slice(1, -1)
    .split(',')
    .map((size) => size.trim());
  // One trailing comma belongs to the syntax, as in (3,). Python 2 wrote 3L.
  if (sizes.at(-1) === '') sizes.pop();
  if (sizes.length > 32 || !sizes.every((size) => /^\d{1,15}L?$/.test(size))) return undefined;
  return {
    descr: descr.slice(1, -1),
    fortran: fortran === 'True',
    shape: sizes.map((size) => Number.parseInt(size, 10)),
  };
}

/** Reorders numbers stored with the first index running fastest. */
function fromFortran(values: Float64Array, shape: readonly number[]): Float64Array {
  const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((product, size) => product * size, 1));
  const ordered = new Float64Array(values.length);
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0, from = 0; i < ordered.length; i++) {
    ordered[i] = values[from];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return ordered;
}

/**
 * An array whose shape must match, -1 standing for any size, all numbers finite.
 * @throws InvalidFileError naming the array and both shapes.
 */
export async function shapedArray(file: NpzFile, name: string, shape: readonly number[]): Promise<NpyArray> {
  const array = await file.array(name);
  const matches =
    array.shape.length === shape.length && shape.every((size, i) => size === -1 || size === array.shape[i]);
  if (!matches) {
    const expected = shape.map((size) => (size === -1 ? 'N' : size));
    throw new InvalidFileError(file.name, `${name} has shape [${array.shape}], expected [${expected}]`, {
      field: name,
    });
  }
  const wrong = array.data.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0)
    throw new InvalidFileError(
      file.name,
      `${name} holds ${array.data[wrong]} at ${wrong}, expected finite numbers`,
    );
  return array;
}
