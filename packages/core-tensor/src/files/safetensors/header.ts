/**
 * The safetensors header: eight bytes of length, JSON that gives each tensor its dtype, shape and byte range,
 * then the tensors' bytes back to back. Everything is checked before a tensor is touched, so a damaged or
 * hostile file ends in one line instead of a wrong weight. Format: github.com/huggingface/safetensors.
 */
import { InvalidFileError } from '../../errors.ts';
import { quote } from '../../text.ts';
import type { ByteSource } from '../byte-source.ts';
import { isObject, parseJsonObject } from '../json.ts';
import type { BlockForm } from './blocks.ts';
import { DTYPE_BITS, isDtype, type SafetensorsDtype } from './dtypes.ts';

/** Longest header that the reference implementation reads, in bytes. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Where one tensor lies. */
export interface TensorEntry {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Byte offsets [begin, end) from the start of the file (not of the data part, as in the header). */
  readonly begin: number;
  readonly end: number;
  /** Elements from one index to the next along each dimension, where they do not lie in row-major order. */
  readonly strides?: readonly number[];
  /** Where the file's bytes are of another form, how they become the tensor's. */
  readonly form?: BlockForm;
  /** Of a quantized tensor, how the file's bytes become what it stands for, in F32. */
  readonly floats?: BlockForm;
  /** Name of the file that holds it. */
  readonly file: string;
}

/** What the header of a safetensors file says. */
export interface SafetensorsHeader {
  /** In the header's order, except that names which are plain integers come first. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** `__metadata__`: free text, e.g. `{ format: 'pt' }`. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Of a file that is not whole, or not what its name says. */
const damaged = (file: string, problem: string, details?: Record<string, unknown>) =>
  new InvalidFileError(file, `${problem}; download it again`, details);

/** What a clone without Git LFS has in place of a large file begins so. */
const POINTER = 'version ';

/**
 * Reads and checks the header of a file.
 * @throws InvalidFileError naming the file, the field and what was expected.
 */
export async function readHeader(source: ByteSource): Promise<SafetensorsHeader> {
  const { name, size } = source;
  if (size < 8) {
    throw damaged(name, `truncated: ${size} bytes, expected at least 8 for the header length`, { size });
  }
  const prefix = await source.read(0, 8);
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    if (new TextDecoder().decode(prefix) === POINTER)
      throw new InvalidFileError(
        name,
        'is a pointer of Git LFS, not the file itself; run `git lfs pull`, or download it',
      );
    throw damaged(
      name,
      `header length is ${length} bytes, expected at most ${MAX_HEADER_BYTES}; this is not a safetensors file`,
    );
  }
  const dataBegin = 8 + Number(length);
  if (dataBegin > size) {
    throw damaged(name, `truncated: the header ends at byte ${dataBegin}, the file has ${size}`, { size });
  }
  return parseHeader(await source.read(8, Number(length)), dataBegin, size, name);
}

/**
 * Checks a header's JSON against the file it describes.
 * @param dataBegin byte offset of the tensor data in the file; `size` is the file's size in bytes.
 */
function parseHeader(json: Uint8Array, dataBegin: number, size: number, file: string): SafetensorsHeader {
  const { __metadata__: metadata, ...fields } = parseJsonObject(json, file, 'header');
  const tensors = new Map<string, TensorEntry>();
  for (const [name, field] of Object.entries(fields))
    tensors.set(name, parseEntry(file, name, field, dataBegin));
  checkLayout(file, tensors, dataBegin, size);
  return { tensors, metadata: parseMetadata(file, metadata ?? {}) };
}

function parseMetadata(file: string, metadata: unknown): Record<string, string> {
  if (!isObject(metadata)) {
    throw new InvalidFileError(file, `__metadata__ must be an object of strings, found ${quote(metadata)}`);
  }
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') {
      throw new InvalidFileError(file, `__metadata__[${quote(key)}] must be a string, found ${quote(value)}`);
    }
  }
  return metadata as Record<string, string>;
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function parseEntry(file: string, name: string, field: unknown, dataBegin: number): TensorEntry {
  const fail = (problem: string): never => {
    throw new InvalidFileError(file, `tensor ${quote(name)}: ${problem}`, { tensor: name });
  };
  if (!isObject(field))
    return fail(`must be an object with dtype, shape and data_offsets, found ${quote(field)}`);
  const { dtype, shape, data_offsets: offsets } = field;
  if (!isDtype(dtype))
    return fail(
      `dtype ${quote(dtype)} is unknown; expected one of ${Object.keys(DTYPE_BITS).filter(isDtype).join(', ')}`,
    );
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    return fail(`shape must be a list of whole numbers from 0 to 2^53 - 1, found ${quote(shape)}`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    return fail(`data_offsets must be two whole numbers from 0 to 2^53 - 1, found ${quote(offsets)}`);
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end) return fail(`data_offsets begin at ${begin} and end before it, at ${end}`);
  const expected = byteLength(dtype, shape);
  if (expected === undefined) return fail(`shape ${quote(shape)} has more than 2^53 - 1 bits of ${dtype}`);
  if (!Number.isInteger(expected)) {
    return fail(`${dtype} of shape ${quote(shape)} takes ${8 * expected} bits, which are not whole bytes`);
  }
  if (end - begin !== expected) {
    return fail(
      `${dtype} of shape ${quote(shape)} takes ${expected} bytes, but data_offsets span ${end - begin}; download it again`,
    );
  }
  return { dtype, shape, begin: dataBegin + begin, end: dataBegin + end, file };
}

/** Bytes of a tensor, eighths too; undefined where a product leaves the exact range of a number. */
export function byteLength(dtype: SafetensorsDtype, shape: readonly number[]): number | undefined {
  let bits = DTYPE_BITS[dtype] as number;
  for (const dim of shape) {
    bits *= dim;
    if (!Number.isSafeInteger(bits)) return undefined;
  }
  return bits / 8;
}

/** The tensors must tile the data part: no hole, no overlap, nothing beyond or left over. */
function checkLayout(file: string, tensors: Map<string, TensorEntry>, dataBegin: number, size: number): void {
  const byOffset = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let covered = dataBegin;
  for (const [name, { begin, end }] of byOffset) {
    if (begin !== covered) {
      const problem = begin < covered ? 'overlaps the tensor before it' : 'leaves a hole before it';
      throw damaged(
        file,
        `tensor ${quote(name)} ${problem}: it begins at data offset ${begin - dataBegin}, expected ${covered - dataBegin}`,
        { tensor: name },
      );
    }
    if (end > size) {
      throw damaged(file, `truncated: tensor ${quote(name)} ends at byte ${end}, the file has ${size}`, {
        tensor: name,
        size,
      });
    }
    covered = end;
  }
  if (covered !== size) {
    throw damaged(file, `the tensors end at byte ${covered}, but the file has ${size} bytes`, { size });
  }
}
