/**
 * Tensors in PyTorch's zip files (`torch.save` since 1.6): `<name>/data.pkl` says what there is, `<name>/data/<key>`
 * holds the numbers. Nothing in the file is executed (`pickle.ts`).
 */
import { elementCount } from '@dwm/kernels-wgsl';
import { InvalidFileError } from '../errors.ts';
import {
  DTYPE_BITS,
  type SafetensorsDtype,
  type SafetensorsTensor,
  typedArray,
} from '../safetensors/dtypes.ts';
import { quote } from '../text.ts';
import { type BinaryFile, readZipDirectory, readZipEntry } from '../zip.ts';
import { readTensorPickle, type TensorRef } from './pickle.ts';

const DTYPES: Readonly<Record<string, SafetensorsDtype>> = {
  Float: 'F32',
  Half: 'F16',
  BFloat16: 'BF16',
  Double: 'F64',
  Long: 'I64',
};

/** Most elements that are read of a file, all tensors together. A clip's latents have a few million. */
const MAX_ELEMENTS = 1 << 28;

/**
 * All tensors of the file; a file that is one bare tensor gives it under ''.
 * @throws InvalidFileError where it is damaged, big-endian, or asks for anything but tensors.
 */
export async function readTorchFile(file: BinaryFile): Promise<Map<string, SafetensorsTensor>> {
  const entries = readZipDirectory(file);
  const pickle = [...entries.keys()].find((name) => name.endsWith('/data.pkl'));
  if (!pickle)
    throw new InvalidFileError(file.name, 'has no data.pkl; expected a file written by torch.save');
  const root = pickle.slice(0, -'data.pkl'.length);
  const read = async (name: string) => {
    const entry = entries.get(root + name);
    if (!entry)
      throw new InvalidFileError(file.name, `${quote(root + name)} is missing; copy the file again`);
    return readZipEntry(file, root + name, entry);
  };
  if (
    entries.has(`${root}byteorder`) &&
    new TextDecoder().decode(await read('byteorder')).trim() !== 'little'
  ) {
    throw new InvalidFileError(file.name, 'is big-endian; save it again on a little-endian machine');
  }
  const refs = readTensorPickle(file.name, await read('data.pkl'));
  if (refs.size === 0) throw new InvalidFileError(file.name, 'holds no tensors');
  const claimed = [...refs.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  if (claimed > MAX_ELEMENTS) {
    throw new InvalidFileError(file.name, `claims ${claimed} elements, expected at most ${MAX_ELEMENTS}`);
  }
  const tensors = new Map<string, SafetensorsTensor>();
  for (const [name, ref] of refs)
    tensors.set(name, viewOf(file.name, name, ref, await read(`data/${ref.storage.key}`)));
  return tensors;
}

/** The tensor's own elements in row-major order, whatever its strides. */
function viewOf(file: string, name: string, ref: TensorRef, bytes: Uint8Array): SafetensorsTensor {
  const { storage, offset, shape, strides } = ref;
  const dtype = DTYPES[storage.type];
  const width = DTYPE_BITS[dtype] / 8;
  const bad = (problem: string) =>
    new InvalidFileError(file, `tensor ${quote(name)} ${problem}; copy the file again`, { field: name });
  const count = elementCount(shape);
  const last = count === 0 ? -1 : shape.reduce((sum, size, i) => sum + (size - 1) * strides[i], offset);
  if ((last + 1) * width > bytes.length) throw bad(`reaches past the end of its ${bytes.length} bytes`);
  const out = new Uint8Array(count * width);
  const at = new Array<number>(shape.length).fill(0);
  let from = offset;
  for (let i = 0; i < count; i++) {
    out.set(bytes.subarray(from * width, (from + 1) * width), i * width);
    for (let d = shape.length - 1; d >= 0; d--) {
      from += strides[d];
      if (++at[d] < shape[d]) break;
      from -= shape[d] * strides[d];
      at[d] = 0;
    }
  }
  return { dtype, shape, data: typedArray(dtype, out) };
}
