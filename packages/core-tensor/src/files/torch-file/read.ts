/**
 * Tensors in PyTorch's zip files (`torch.save` since 1.6): `<name>/data.pkl` says what there is, `<name>/data/<key>`
 * holds the numbers, not compressed. They are read by ranges, where they lie, as those of a safetensors file are, and
 * nothing in the file is executed (`pickle.ts`).
 */
import { elementCount } from '@dwm/kernels-wgsl';
import { InvalidFileError } from '../../errors.ts';
import { quote } from '../../text.ts';
import { type ByteSource, bytesSource } from '../byte-source.ts';
import { Checkpoint, openSafetensors } from '../checkpoint.ts';
import { DTYPE_BITS, type SafetensorsDtype, type SafetensorsTensor } from '../safetensors/dtypes.ts';
import type { TensorEntry } from '../safetensors/header.ts';
import {
  type BinaryFile,
  crc32,
  locateZipEntry,
  readZipDirectory,
  readZipEntry,
  type ZipEntry,
} from '../zip.ts';
import { readTensorPickle, type TensorRef } from './pickle.ts';

const DTYPES: Readonly<Record<string, SafetensorsDtype>> = {
  Float: 'F32',
  Half: 'F16',
  BFloat16: 'BF16',
  Double: 'F64',
  Long: 'I64',
};

/** Most elements that are taken from a file at once, or of a tensor that says the same ones more than once. */
const MAX_ELEMENTS = 1 << 28;

/** Requests for local headers at a time: a model has hundreds, and a server may be far away. */
const REQUESTS = 16;

interface Storage {
  readonly entry: ZipEntry;
  readonly begin: number;
  readonly end: number;
}

interface TorchFile {
  readonly tensors: Map<string, TensorEntry>;
  readonly storages: ReadonlyMap<string, Storage>;
}

/**
 * Opens a file of tensors; a file that is one bare tensor gives it under ''. The checkpoint takes over the source and
 * closes it. Only the directory, the pickle and a few bytes for each storage are read. Checksums of the numbers are
 * not looked at, as that would read them all.
 * @throws InvalidFileError where the file is damaged, big-endian, or asks for anything but tensors.
 */
export async function openTorchFile(source: ByteSource): Promise<Checkpoint> {
  try {
    return new Checkpoint(source.name, (await look(source)).tensors, [source]);
  } catch (error) {
    await source.close?.();
    throw error;
  }
}

/** Opens a file of tensors by its name: `.safetensors`, or PyTorch's. Throws as `openSafetensors` and `openTorchFile`. */
export const openTensorFile = (source: ByteSource): Promise<Checkpoint> =>
  source.name.endsWith('.safetensors') ? openSafetensors(source) : openTorchFile(source);

/**
 * All tensors of a small file that is in memory, with the checksums of their numbers.
 * @throws InvalidFileError as `openTorchFile`, and for more than 2^28 elements.
 */
export async function readTorchFile(file: BinaryFile): Promise<Map<string, SafetensorsTensor>> {
  const source = bytesSource(file.name, file.bytes);
  const { tensors: entries, storages } = await look(source);
  const claimed = [...entries.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  if (claimed > MAX_ELEMENTS) {
    throw new InvalidFileError(file.name, `claims ${claimed} elements, expected at most ${MAX_ELEMENTS}`);
  }
  for (const [name, { entry, begin, end }] of storages) {
    if (crc32(file.bytes.subarray(begin, end)) !== entry.crc32)
      throw new InvalidFileError(file.name, `${quote(name)} fails its checksum; copy the file again`);
  }
  const checkpoint = new Checkpoint(file.name, entries, [source]);
  const tensors = new Map<string, SafetensorsTensor>();
  for (const name of entries.keys()) tensors.set(name, await checkpoint.readTensor(name));
  return tensors;
}

async function look(source: ByteSource): Promise<TorchFile> {
  const [first, second] = await source.read(0, Math.min(2, source.size));
  if (first !== 0x50 || second !== 0x4b) {
    throw new InvalidFileError(
      source.name,
      'is no zip as torch.save writes it since PyTorch 1.6; save it again there, or as .safetensors',
    );
  }
  const entries = await readZipDirectory(source);
  const pickle = [...entries.keys()].find((name) => name.endsWith('/data.pkl'));
  if (!pickle)
    throw new InvalidFileError(source.name, 'has no data.pkl; expected a file written by torch.save');
  const root = pickle.slice(0, -'data.pkl'.length);
  const find = (name: string) => {
    const entry = entries.get(root + name);
    if (entry) return entry;
    throw new InvalidFileError(source.name, `${quote(root + name)} is missing; copy the file again`);
  };
  const read = (name: string) => readZipEntry(source, root + name, find(name));
  if (
    entries.has(`${root}byteorder`) &&
    new TextDecoder().decode(await read('byteorder')).trim() !== 'little'
  ) {
    throw new InvalidFileError(source.name, 'is big-endian; save it again on a little-endian machine');
  }
  const refs = readTensorPickle(source.name, await read('data.pkl'));
  if (refs.size === 0) throw new InvalidFileError(source.name, 'holds no tensors');

  const storages = new Map<string, Storage>();
  const keys = [...new Set([...refs.values()].map(({ storage }) => `data/${storage.key}`))];
  for (let first = 0; first < keys.length; first += REQUESTS) {
    await Promise.all(
      keys.slice(first, first + REQUESTS).map(async (key) => {
        const entry = find(key);
        if (entry.deflated)
          throw new InvalidFileError(
            source.name,
            `${quote(root + key)} is compressed; torch.save does not do that`,
          );
        storages.set(root + key, { entry, ...(await locateZipEntry(source, root + key, entry)) });
      }),
    );
  }
  const tensors = new Map<string, TensorEntry>();
  for (const [name, ref] of refs)
    tensors.set(name, entryOf(source.name, name, ref, storages.get(`${root}data/${ref.storage.key}`)!));
  return { tensors, storages };
}

/** Where the elements of a strided view lie in the file. */
function entryOf(file: string, name: string, ref: TensorRef, stored: Storage): TensorEntry {
  const { storage, offset, shape, strides } = ref;
  const dtype = DTYPES[storage.type];
  const width = DTYPE_BITS[dtype] / 8;
  const bad = (problem: string) =>
    new InvalidFileError(file, `tensor ${quote(name)} ${problem}`, { field: name });
  const count = elementCount(shape);
  const span = count === 0 ? 0 : shape.reduce((sum, size, i) => sum + (size - 1) * strides[i], 1);
  const bytes = stored.end - stored.begin;
  if (count > 0 && (offset + span) * width > bytes)
    throw bad(`reaches past the end of its ${bytes} bytes; copy the file again`);
  // Expanded tensors say few numbers many times over.
  if (count > span && count > MAX_ELEMENTS)
    throw bad(`repeats its ${span} elements to ${count}, expected at most ${MAX_ELEMENTS}`);
  const begin = stored.begin + (count === 0 ? 0 : offset * width);
  const entry = { dtype, shape, begin, end: begin + span * width, file };
  return isRowMajor(shape, strides) ? entry : { ...entry, strides };
}

/** Strides of dimensions of one index, and of tensors of none, do not matter. */
function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  if (elementCount(shape) === 0) return true;
  let expected = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] > 1 && strides[d] !== expected) return false;
    expected *= shape[d];
  }
  return true;
}
