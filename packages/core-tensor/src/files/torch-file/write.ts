/**
 * One tensor as `torch.save` writes it: a zip of stored entries `<root>/data.pkl` (a pickle of protocol 2 that rebuilds
 * the tensor from its storage), `<root>/byteorder`, `<root>/data/0` with the numbers at a multiple of 64 bytes, and
 * `<root>/version`. `torch.load(…, weights_only=True)` takes it.
 */
import { elementCount } from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../../errors.ts';
import { DTYPE_BITS, type SafetensorsTensor } from '../safetensors/dtypes.ts';
import { crc32 } from '../zip.ts';

const STORAGES: Readonly<Record<string, string>> = {
  F32: 'FloatStorage',
  F16: 'HalfStorage',
  BF16: 'BFloat16Storage',
  F64: 'DoubleStorage',
  I64: 'LongStorage',
};

/** Version of the container that torch has written since 1.6. */
const VERSION = '3\n';

/** Where data of an entry starts. */
const ALIGNMENT = 64;

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/**
 * @param root folder inside the zip; torch takes the file's stem.
 * @throws InvalidArgumentError for a dtype that is not F32, F16, BF16, F64 or I64.
 */
export function writeTorchFile(root: string, { dtype, shape, data }: SafetensorsTensor): Uint8Array {
  const storage = STORAGES[dtype];
  const count = elementCount(shape);
  if (storage === undefined || data.byteLength !== count * (DTYPE_BITS[dtype] / 8)) {
    throw new InvalidArgumentError('tensor', `cannot be stored as ${dtype} [${shape}] for torch`);
  }
  return zipStored([
    [`${root}/data.pkl`, tensorPickle(storage, shape, count)],
    [`${root}/byteorder`, ascii('little')],
    [`${root}/data/0`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)],
    [`${root}/version`, ascii(VERSION)],
  ]);
}

/** Opcodes by name: Python's `pickletools`. */
function tensorPickle(storage: string, shape: readonly number[], count: number): Uint8Array {
  const out: number[] = [0x80, 2];
  const name = (module: string, attribute: string) => out.push(0x63, ...ascii(`${module}\n${attribute}\n`));
  const text = (value: string) => out.push(0x58, ...u32(value.length), ...ascii(value));
  // BININT1, BININT2, BININT: as small as they fit.
  const integer = (n: number) => {
    if (n < 256) out.push(0x4b, n);
    else if (n < 65_536) out.push(0x4d, ...u16(n));
    else out.push(0x4a, ...u32(n));
  };
  const tuple = (inside: () => void) => {
    out.push(0x28);
    inside();
    out.push(0x74);
  };
  const strides = shape.map((_, i) => elementCount(shape.slice(i + 1)));
  name('torch._utils', '_rebuild_tensor_v2');
  tuple(() => {
    tuple(() => {
      text('storage');
      name('torch', storage);
      text('0');
      text('cpu');
      integer(count);
    });
    // The storage itself, by what was just described.
    out.push(0x51);
    integer(0);
    tuple(() => shape.forEach(integer));
    tuple(() => strides.forEach(integer));
    // No gradient, and no hooks.
    out.push(0x89);
    name('collections', 'OrderedDict');
    out.push(0x29, 0x52);
  });
  out.push(0x52, 0x2e);
  return Uint8Array.from(out);
}

const u16 = (n: number) => [n & 255, (n >>> 8) & 255];
const u32 = (n: number) => [...u16(n), ...u16(n >>> 16)];

/** A zip whose entries are not compressed, below 4 GiB. */
function zipStored(entries: readonly (readonly [name: string, bytes: Uint8Array])[]): Uint8Array {
  const chunks: Uint8Array[] = [];
  const central: number[] = [];
  let at = 0;
  for (const [name, bytes] of entries) {
    const title = ascii(name);
    // Torch pads with an extra field of its own name.
    const pad = (ALIGNMENT - ((at + 34 + title.length) % ALIGNMENT)) % ALIGNMENT;
    const extra = [...ascii('FB'), ...u16(pad), ...new Uint8Array(pad).fill(0x5a)];
    const sizes = [...u32(crc32(bytes)), ...u32(bytes.length), ...u32(bytes.length), ...u16(title.length)];
    // Version 0, no flags, stored, the first of January 1980.
    const common = [...u16(0), ...u16(0), ...u16(0), ...u16(0), ...u16(0x21), ...sizes];
    const local = Uint8Array.from([...u32(0x04034b50), ...common, ...u16(extra.length), ...title, ...extra]);
    central.push(...u32(0x02014b50), ...u16(0), ...common, ...u16(0), ...u16(0), ...u16(0), ...u16(0));
    central.push(...u32(0), ...u32(at), ...title);
    chunks.push(local, bytes);
    at += local.length + bytes.length;
  }
  const n = entries.length;
  const end = [
    ...u32(0x06054b50),
    ...u16(0),
    ...u16(0),
    ...u16(n),
    ...u16(n),
    ...u32(central.length),
    ...u32(at),
    ...u16(0),
  ];
  chunks.push(Uint8Array.from(central), Uint8Array.from(end));
  const file = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    file.set(chunk, offset);
    offset += chunk.length;
  }
  return file;
}
