/**
 * The header of GGUF files (versions 2 and 3, little-endian), checked as a whole before a tensor is read. Quantized
 * tensors appear under their name, with `…_scale` and perhaps `…_offset` beside them. Format:
 * github.com/ggml-org/ggml/blob/master/docs/gguf.md.
 */
import { elementCount } from '@dwm/kernels-wgsl';
import { InvalidFileError } from '../../errors.ts';
import { quote } from '../../text.ts';
import type { ByteSource } from '../byte-source.ts';
import { byteLength, MAX_HEADER_BYTES, type TensorEntry } from '../safetensors/header.ts';
import { GGML_PLAIN, GGML_QUANTIZED, GGML_READ } from './forms.ts';

const MAGIC = 0x46554747;
/** Most dimensions that ggml knows. */
const MAX_DIMS = 4;
const MAX_NAME = 1024;
/** Bytes of a value by its type's number; strings and arrays have none. */
const VALUE_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
const [UINT32, STRING, ARRAY] = [4, 8, 9];
const [INT32, INT64] = [5, 11];
/** Shapes that city96's converter keeps of tensors with more dimensions than ggml has. */
const SHAPE_KEY = 'comfy.gguf.orig_shape.';

/** The bytes at hand end before the header does. */
class Short extends Error {}

class Cursor {
  at = 0;
  readonly #view: DataView;
  readonly #fail: (problem: string) => never;

  constructor(bytes: Uint8Array, fail: (problem: string) => never) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fail = fail;
  }

  skip(bytes: number): number {
    const from = this.at;
    if (from + bytes > this.#view.byteLength) throw new Short();
    this.at += bytes;
    return from;
  }

  u32(): number {
    return this.#view.getUint32(this.skip(4), true);
  }

  u64(what: string): number {
    const value = this.#view.getBigUint64(this.skip(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) this.#fail(`${what} is ${value}; the file is damaged`);
    return Number(value);
  }

  /** Length of a string, which follows. */
  #length(what: string): number {
    const length = this.u64(`the length of ${what}`);
    if (length > MAX_HEADER_BYTES) this.#fail(`${what} has ${length} bytes; the file is damaged`);
    return length;
  }

  name(what: string): string {
    const length = this.#length(what);
    if (length > MAX_NAME) this.#fail(`${what} has ${length} bytes, expected at most ${MAX_NAME}`);
    const from = this.skip(length);
    const { buffer, byteOffset } = this.#view;
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(
        new Uint8Array(buffer, byteOffset + from, length),
      );
    } catch {
      return this.#fail(`${what} is not UTF-8`);
    }
  }

  /** Passes over a value; whole numbers, and lists of them, are returned. */
  value(key: string, type = this.u32()): number[] {
    if (type === STRING) {
      this.skip(this.#length(quote(key)));
      return [];
    }
    if (type === ARRAY) {
      const of = this.u32();
      if (of === ARRAY) this.#fail(`${quote(key)} is a list of lists, which no model has`);
      const count = this.u64(`the length of ${quote(key)}`);
      if (of === INT32 || of === UINT32 || of === INT64) {
        // What is longer is no shape.
        if (count <= 16) return Array.from({ length: count }, () => this.value(key, of)[0]);
      }
      if (of !== STRING) this.skip(count * this.#bytes(key, of));
      else for (let i = 0; i < count; i++) this.skip(this.#length(quote(key)));
      return [];
    }
    const bytes = this.#bytes(key, type);
    const from = this.skip(bytes);
    if (type === UINT32) return [this.#view.getUint32(from, true)];
    if (type === INT32) return [this.#view.getInt32(from, true)];
    return type === INT64 ? [Number(this.#view.getBigInt64(from, true))] : [];
  }

  #bytes(key: string, type: number): number {
    return VALUE_BYTES[type] || this.#fail(`${quote(key)} has a value of unknown type ${type}`);
  }
}

interface Listed {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  readonly offset: number;
}

/**
 * The tensors of a GGUF file.
 * @throws InvalidFileError if the header is damaged, does not fit the file, or names a type that is not read.
 */
export async function readGguf(source: ByteSource): Promise<Map<string, TensorEntry>> {
  const most = Math.min(source.size, MAX_HEADER_BYTES);
  for (let length = Math.min(most, 1 << 20); ; length = Math.min(most, 4 * length)) {
    try {
      return parseGguf(await source.read(0, length), source.size, source.name);
    } catch (error) {
      if (!(error instanceof Short)) throw error;
      if (length < most) continue;
      const problem =
        most < source.size
          ? `the header is longer than ${MAX_HEADER_BYTES} bytes`
          : 'truncated: the file ends in its header; download it again';
      throw new InvalidFileError(source.name, problem, { size: source.size });
    }
  }
}

/** @param size bytes of the file of which `bytes` are the first. */
function parseGguf(bytes: Uint8Array, size: number, file: string): Map<string, TensorEntry> {
  const fail = (problem: string): never => {
    throw new InvalidFileError(file, problem);
  };
  const cursor = new Cursor(bytes, fail);
  if (cursor.u32() !== MAGIC) fail('does not begin with GGUF; this is not a GGUF file');
  const version = cursor.u32();
  if (version !== 2 && version !== 3)
    fail(`is GGUF of version ${version}, expected 2 or 3 (little-endian); convert it again`);
  const tensorCount = cursor.u64('the number of tensors');
  const keyCount = cursor.u64('the number of keys');
  // Each takes more bytes than these, so that a count cannot keep a loop busy for long.
  if (24 * tensorCount + 12 * keyCount > MAX_HEADER_BYTES)
    fail(`says that it has ${tensorCount} tensors and ${keyCount} keys; the file is damaged`);
  let alignment = 32;
  const shapes = new Map<string, readonly number[]>();
  for (let i = 0; i < keyCount; i++) {
    const key = cursor.name('a key');
    const value = cursor.value(key);
    if (key === 'general.alignment') alignment = value[0] ?? 0;
    if (key.startsWith(SHAPE_KEY)) shapes.set(key.slice(SHAPE_KEY.length), value);
  }
  if (!(alignment >= 8 && alignment % 8 === 0 && alignment <= 1 << 20))
    fail(`general.alignment is ${alignment}, expected a multiple of 8`);
  const listed: Listed[] = [];
  for (let i = 0; i < tensorCount; i++) {
    const name = cursor.name('the name of a tensor');
    const dims = cursor.u32();
    if (dims > MAX_DIMS) fail(`tensor ${quote(name)} has ${dims} dimensions, expected at most ${MAX_DIMS}`);
    // The first dimension is the one whose elements lie side by side.
    const sizes = Array.from({ length: dims }, () => cursor.u64(`a dimension of ${quote(name)}`)).reverse();
    const [type, offset] = [cursor.u32(), cursor.u64(`the offset of ${quote(name)}`)];
    const shape = shapes.get(name) ?? sizes;
    const count = elementCount(shape);
    if (!Number.isSafeInteger(count) || shape.some((n) => n < 1) || count !== elementCount(sizes))
      fail(`tensor ${quote(name)} has shape [${shape}] of [${sizes}]; the file is damaged`);
    listed.push({ name, shape, type, offset });
  }
  const begin = Math.ceil(cursor.at / alignment) * alignment;
  const entries = new Map<string, TensorEntry>();
  let covered = 0;
  for (const one of listed.sort((a, b) => a.offset - b.offset)) {
    if (one.offset < covered || one.offset % alignment !== 0)
      fail(
        `tensor ${quote(one.name)} begins at ${one.offset}, expected ${alignment} times n from ${covered} on`,
      );
    const made = entriesOf(one, begin, file, fail);
    for (const [name, entry] of made) {
      if (entries.has(name)) fail(`has two tensors ${quote(name)}`);
      if (entry.end > size)
        fail(
          `truncated: tensor ${quote(name)} ends at byte ${entry.end}, the file has ${size}; download it again`,
        );
      entries.set(name, entry);
      covered = entry.end - begin;
    }
  }
  return entries;
}

function entriesOf(
  { name, shape, type, offset }: Listed,
  dataBegin: number,
  file: string,
  fail: (problem: string) => never,
): [string, TensorEntry][] {
  const begin = dataBegin + offset;
  const plain = GGML_PLAIN.get(type);
  if (plain) return [[name, { dtype: plain, shape, begin, end: begin + byteLength(plain, shape)!, file }]];
  const quantized = GGML_QUANTIZED.get(type);
  if (!quantized)
    return fail(`tensor ${quote(name)} is of ggml's type ${type}; those that are read are ${GGML_READ}`);
  const { elements, bytes, groups, dtype, scaleDtype, weight, scales, offsets, floats } = quantized;
  const [rows, k] = shape;
  if (shape.length !== 2 || k % elements !== 0)
    return fail(`tensor ${quote(name)} has shape [${shape}], expected rows of a multiple of ${elements}`);
  const range = { begin, end: begin + ((rows * k) / elements) * bytes, file };
  const grouped = [rows, (k / elements) * groups];
  return [
    [name, { ...range, dtype, shape, form: weight, floats }],
    [`${name}_scale`, { ...range, dtype: scaleDtype, shape: grouped, form: scales }],
    ...(offsets
      ? [
          [`${name}_offset`, { ...range, dtype: 'F32', shape: grouped, form: offsets }] as [
            string,
            TensorEntry,
          ],
        ]
      : []),
  ];
}
