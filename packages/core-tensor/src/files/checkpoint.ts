/**
 * Weights by name, from one safetensors file, from shards with an index, or from a file of PyTorch. Opening reads
 * headers only; tensors are read when asked for, whole or as a stream of chunks, so memory use is the caller's choice.
 */
import { elementCount } from '@dwm/kernels-wgsl';
import { InvalidArgumentError, InvalidFileError } from '../errors.ts';
import { quote } from '../text.ts';
import type { ByteSource } from './byte-source.ts';
import { readGguf } from './gguf/read.ts';
import { isObject, parseJsonObject } from './json.ts';
import { type ModelFolder, staysInside } from './model-folder.ts';
import { blocksWithin } from './safetensors/blocks.ts';
import { type SafetensorsTensor, type TypedArray, typedArray } from './safetensors/dtypes.ts';
import {
  byteLength,
  MAX_HEADER_BYTES,
  readHeader,
  type SafetensorsHeader,
  type TensorEntry,
} from './safetensors/header.ts';
import { inOneNaming } from './safetensors/quantized.ts';

/** A chunk of a tensor's bytes. */
export interface TensorChunk {
  /** Bytes from the start of the tensor; always a multiple of 8. */
  readonly offset: number;
  /** Valid until the next chunk is asked for: the buffer is reused. */
  readonly bytes: Uint8Array;
}

interface Shard {
  source: ByteSource;
  header: SafetensorsHeader;
}

/** Weights in safetensors, in one file or in shards, read a tensor at a time. */
export class Checkpoint {
  /** The file, or the index of the shards. */
  readonly name: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** `__metadata__` of the file; of shards, all of theirs, the later ones winning. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly #sources: ReadonlyMap<string, ByteSource>;

  /** @param sources the files that the entries name; `close` closes them. */
  constructor(
    name: string,
    tensors: ReadonlyMap<string, TensorEntry>,
    sources: readonly ByteSource[],
    metadata: Readonly<Record<string, string>> = {},
  ) {
    this.name = name;
    this.tensors = tensors;
    this.metadata = metadata;
    this.#sources = new Map(sources.map((source) => [source.name, source]));
  }

  /**
   * The same files with quantized weights under one naming.
   * @throws InvalidFileError as `inOneNaming`; all files are closed then.
   */
  async inOneNaming(): Promise<Checkpoint> {
    try {
      return this.withTensors(inOneNaming(this.tensors, this.name));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** The same files, with other names or readings of what is in them. */
  withTensors(tensors: ReadonlyMap<string, TensorEntry>): Checkpoint {
    return new Checkpoint(this.name, tensors, [...this.#sources.values()], this.metadata);
  }

  /**
   * One tensor, whole.
   * @throws InvalidFileError if there is no such tensor, or its file cannot be read.
   */
  async readTensor(name: string): Promise<SafetensorsTensor> {
    const { entry, source } = this.#locate(name);
    const { dtype, shape, strides, form } = entry;
    let bytes = await source.read(entry.begin, entry.end - entry.begin);
    if (form) {
      const made = new Uint8Array((bytes.byteLength / form.stored) * form.made);
      form.unpack(bytes, made);
      bytes = made;
    }
    const data = typedArray(dtype, bytes);
    return { dtype, shape, data: strides ? inRowMajorOrder(data, shape, strides) : data };
  }

  /**
   * The bytes of one tensor in row-major order, at most `chunkBytes` (rounded down to a multiple of 8, so that every
   * chunk holds whole elements) at a time. One buffer serves all chunks: use or copy a chunk's `bytes` before
   * asking for the next one. A tensor that lies in another order is put into this one as a whole first.
   * @throws InvalidFileError as `readTensor`; InvalidArgumentError if `chunkBytes` is below 8.
   */
  async *streamTensor(name: string, chunkBytes = 4 * 1024 * 1024): AsyncGenerator<TensorChunk, void, void> {
    if (!Number.isSafeInteger(chunkBytes) || chunkBytes < 8) {
      throw new InvalidArgumentError(
        'chunkBytes',
        `expected a whole number of at least 8, got ${chunkBytes}`,
      );
    }
    const { entry, source } = this.#locate(name);
    if (entry.strides) {
      const { buffer, byteOffset, byteLength } = (await this.readTensor(name)).data;
      const step = chunkBytes - (chunkBytes % 8);
      for (let offset = 0; offset < byteLength; offset += step) {
        const count = Math.min(step, byteLength - offset);
        yield { offset, bytes: new Uint8Array(buffer, byteOffset + offset, count) };
      }
      return;
    }
    if (entry.form) {
      const { stored, made, unpack } = entry.form;
      const most = blocksWithin(entry.form, chunkBytes);
      const count = (entry.end - entry.begin) / stored;
      const blocks = new Uint8Array(Math.min(most, count) * stored);
      const out = new Uint8Array(Math.min(most, count) * made);
      for (let at = 0; at < count; at += most) {
        const now = Math.min(most, count - at);
        const bytes = out.subarray(0, now * made);
        unpack(await source.read(entry.begin + at * stored, now * stored, blocks), bytes);
        yield { offset: at * made, bytes };
      }
      return;
    }
    const length = entry.end - entry.begin;
    const buffer = new Uint8Array(Math.min(chunkBytes - (chunkBytes % 8), length));
    for (let offset = 0; offset < length; offset += buffer.byteLength) {
      const count = Math.min(buffer.byteLength, length - offset);
      yield { offset, bytes: await source.read(entry.begin + offset, count, buffer) };
    }
  }

  /**
   * Rows of a tensor, along its first dimension, in the order of `rows`, which may repeat.
   * @throws InvalidFileError as `readTensor`.
   */
  async readRows(name: string, rows: readonly number[]): Promise<SafetensorsTensor> {
    const { entry, source } = this.#locate(name);
    const { dtype, form } = entry;
    const rest = entry.shape.slice(1);
    const row = byteLength(dtype, rest)!;
    // Blocks are parts of rows.
    const stored = form ? (row / form.made) * form.stored : row;
    const bytes = new Uint8Array(row * rows.length);
    const whole = entry.strides && (await this.readTensor(name)).data;
    for (const [i, at] of rows.entries()) {
      const into = bytes.subarray(i * row, (i + 1) * row);
      if (whole) into.set(new Uint8Array(whole.buffer, whole.byteOffset + at * row, row));
      else if (form) form.unpack(await source.read(entry.begin + at * stored, stored), into);
      else await source.read(entry.begin + at * row, row, into);
    }
    return { dtype, shape: [rows.length, ...rest], data: typedArray(dtype, bytes) };
  }

  /** Gives back the file handles. */
  async close(): Promise<void> {
    for (const source of this.#sources.values()) await source.close?.();
  }

  #locate(name: string): { entry: TensorEntry; source: ByteSource } {
    const entry = this.tensors.get(name);
    if (!entry) {
      const first = this.tensors.keys().next().value;
      const has = first === undefined ? 'none' : `${this.tensors.size}, such as ${quote(first)}`;
      throw new InvalidFileError(this.name, `no tensor ${quote(name)} (it has ${has})`, { tensor: name });
    }
    return { entry, source: this.#sources.get(entry.file)! };
  }
}

/** Elements that lie `strides` apart in `data`, one after the other. */
function inRowMajorOrder(data: TypedArray, shape: readonly number[], strides: readonly number[]): TypedArray {
  const out = new (data.constructor as new (length: number) => TypedArray)(elementCount(shape));
  const at = new Array<number>(shape.length).fill(0);
  let from = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = data[from];
    for (let d = shape.length - 1; d >= 0; d--) {
      from += strides[d];
      if (++at[d] < shape[d]) break;
      from -= shape[d] * strides[d];
      at[d] = 0;
    }
  }
  return out;
}

async function openShard(source: ByteSource): Promise<Shard> {
  try {
    return { source, header: await readHeader(source) };
  } catch (error) {
    await source.close?.();
    throw error;
  }
}

/**
 * Opens one safetensors file. The checkpoint takes over the source and closes it.
 * @throws InvalidFileError if the header is damaged or does not fit the file.
 */
export async function openSafetensors(source: ByteSource): Promise<Checkpoint> {
  const shard = await openShard(source);
  return new Checkpoint(source.name, shard.header.tensors, [source], shard.header.metadata);
}

/**
 * Opens a GGUF file. The checkpoint takes over the source and closes it.
 * @throws InvalidFileError as `readGguf`.
 */
export async function openGguf(source: ByteSource): Promise<Checkpoint> {
  try {
    return new Checkpoint(source.name, await readGguf(source), [source]);
  } catch (error) {
    await source.close?.();
    throw error;
  }
}

/**
 * The files of `openCheckpoint`: those that are there, and those that should be.
 * @throws InvalidFileError for an index that cannot be read.
 */
export async function checkpointFiles(
  folder: ModelFolder,
  basename: string,
): Promise<{ found: string[]; missing: string[] }> {
  const single = `${basename}.safetensors`;
  if (await folder.exists(single)) return { found: [single], missing: [] };
  const index = `${single}.index.json`;
  const gguf = `${basename}.gguf`;
  if (!(await folder.exists(index))) {
    return (await folder.exists(gguf)) ? { found: [gguf], missing: [] } : { found: [], missing: [single] };
  }
  const { weightMap } = await readIndex(folder, index);
  const [found, missing]: string[][] = [[index], []];
  for (const file of new Set(weightMap.values())) {
    const path = besideIndex(index, file);
    ((await folder.exists(path)) ? found : missing).push(path);
  }
  return { found, missing };
}

/**
 * Opens `<basename>.safetensors`, the shards listed in `<basename>.safetensors.index.json`, or `<basename>.gguf`.
 * Quantized weights have one naming, whichever the file has: see `quantized.ts`.
 * @param basename may lie in a subfolder: `transformer/diffusion_pytorch_model`.
 * @throws InvalidFileError if neither file exists, a header is damaged, or index and shards disagree.
 */
export async function openCheckpoint(folder: ModelFolder, basename: string): Promise<Checkpoint> {
  const single = `${basename}.safetensors`;
  if (await folder.exists(single)) return (await openSafetensors(await folder.open(single))).inOneNaming();
  const index = `${single}.index.json`;
  if (await folder.exists(index)) return (await openShards(folder, index)).inOneNaming();
  const gguf = `${basename}.gguf`;
  if (await folder.exists(gguf)) return openGguf(await folder.open(gguf));
  throw new InvalidFileError(
    folder.name,
    `holds neither ${single} nor ${index}; is this the model's folder?`,
    {
      expected: [single, index],
    },
  );
}

const besideIndex = (index: string, file: string) => index.slice(0, index.lastIndexOf('/') + 1) + file;

async function openShards(folder: ModelFolder, indexPath: string): Promise<Checkpoint> {
  const { name, weightMap } = await readIndex(folder, indexPath);
  const shards = new Map<string, Shard>();
  try {
    for (const file of new Set(weightMap.values())) {
      const path = besideIndex(indexPath, file);
      if (!(await folder.exists(path))) {
        throw new InvalidFileError(name, `shard ${quote(file)} is missing; download the model again`, {
          shard: file,
        });
      }
      shards.set(file, await openShard(await folder.open(path)));
    }
    const tensors = new Map<string, TensorEntry>();
    for (const [tensor, file] of weightMap) {
      const entry = shards.get(file)!.header.tensors.get(tensor);
      if (!entry) {
        throw new InvalidFileError(
          name,
          `tensor ${quote(tensor)} should be in ${quote(file)}, which does not have it`,
          {
            tensor,
            shard: file,
          },
        );
      }
      tensors.set(tensor, entry);
    }
    const opened = [...shards.values()];
    const metadata = Object.assign({}, ...opened.map(({ header }) => header.metadata));
    return new Checkpoint(
      name,
      tensors,
      opened.map(({ source }) => source),
      metadata,
    );
  } catch (error) {
    for (const { source } of shards.values()) await source.close?.();
    throw error;
  }
}

/** Tensor name -> shard file, both checked for form only. */
async function readIndex(
  folder: ModelFolder,
  indexPath: string,
): Promise<{ name: string; weightMap: Map<string, string> }> {
  const source = await folder.open(indexPath);
  const { name, size } = source;
  try {
    if (size > MAX_HEADER_BYTES) {
      throw new InvalidFileError(name, `index of ${size} bytes, expected at most ${MAX_HEADER_BYTES}`);
    }
    const { weight_map: map } = parseJsonObject(await source.read(0, size), name, 'index');
    if (!isObject(map)) {
      throw new InvalidFileError(
        name,
        `weight_map must be an object of tensor name to file, found ${quote(map)}`,
      );
    }
    for (const [tensor, file] of Object.entries(map)) {
      if (typeof file !== 'string' || !staysInside(file)) {
        throw new InvalidFileError(
          name,
          `weight_map[${quote(tensor)}] must be the name of a file in this folder, found ${quote(file)}`,
          { tensor },
        );
      }
    }
    return { name, weightMap: new Map(Object.entries(map as Record<string, string>)) };
  } finally {
    await source.close?.();
  }
}
