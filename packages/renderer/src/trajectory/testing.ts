/** Writes the files that the tests read: `.npz` as NumPy lays them out, and damaged copies of any file. */
import { deflateRawSync } from 'node:zlib';
import { DwmError } from '@dwm/core-tensor';
import { crc32 } from '@dwm/core-tensor/files';

export interface ArrayToSave {
  readonly descr: string;
  readonly shape: readonly number[];
  /** In storage order. */
  readonly bytes: Uint8Array;
  readonly fortran?: boolean;
}

/** Numbers as an array of `<f8`, `<f4`, `<i8` or `<u4`. */
export function array(shape: readonly number[], values: ArrayLike<number>, descr = '<f8'): ArrayToSave {
  const types = { '<f8': Float64Array, '<f4': Float32Array, '<u4': Uint32Array, '<i4': Int32Array };
  const typed =
    descr === '<i8'
      ? BigInt64Array.from(Array.from(values, (value) => BigInt(value)))
      : types[descr as keyof typeof types].from(Array.from(values));
  return { descr, shape, bytes: new Uint8Array(typed.buffer) };
}

export function npy({ descr, shape, bytes, fortran = false }: ArrayToSave): Uint8Array {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const dict = `{'descr': '${descr}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': ${tuple}, }`;
  const header = Buffer.from(`${dict.padEnd(Math.ceil((dict.length + 11) / 64) * 64 - 11)}\n`, 'latin1');
  const start = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, header.length & 255, header.length >> 8]);
  return Buffer.concat([start, header, bytes]);
}

/** A zip of the arrays; sizes of 0xFFFFFFFF in the local headers, as NumPy writes them. */
export const npz = (arrays: Record<string, ArrayToSave>, compress = false): Uint8Array =>
  zip(Object.fromEntries(Object.entries(arrays).map(([key, value]) => [`${key}.npy`, npy(value)])), compress);

/** A zip of files by name. */
export function zip(files: Record<string, Uint8Array>, compress = false): Uint8Array {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [key, data] of Object.entries(files)) {
    const name = Buffer.from(key);
    const packed = compress ? deflateRawSync(data) : Buffer.from(data);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(compress ? 8 : 0, 8);
    local.writeUInt32LE(0xffffffff, 18);
    local.writeUInt32LE(0xffffffff, 22);
    local.writeUInt16LE(name.length, 26);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(compress ? 8 : 0, 10);
    central.writeUInt32LE(crc32(data), 16);
    central.writeUInt32LE(packed.length, 20);
    central.writeUInt32LE(data.length, 24);
    central.writeUInt16LE(name.length, 28);
    central.writeUInt32LE(offset, 42);
    directory.push(central, name);
    parts.push(local, name, packed);
    offset += local.length + name.length + packed.length;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Object.keys(files).length, 8);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(offset, 16);
  return new Uint8Array(Buffer.concat([...parts, listing, end]));
}

/** A tar of files by name. */
export function tar(files: Record<string, Uint8Array>): Uint8Array {
  const blocks = Object.entries(files).flatMap(([name, data]) => {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write(`${data.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('0', 156);
    header.write('ustar\x0000', 257, 'latin1');
    return [header, Buffer.from(data), Buffer.alloc(-data.length & 511)];
  });
  return new Uint8Array(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}

/** The bytes with one to four random faults: cut short, flipped, overwritten by extreme numbers, parts doubled. */
export function damaged(bytes: Uint8Array, random: () => number): Uint8Array {
  let copy = Buffer.from(bytes);
  const at = () => Math.floor(random() * copy.length);
  const words = ['NaN', '1e999', '-1', '99999999999', 'null', '{', '[[', '""', ',', '\n', '0'];
  for (let fault = Math.floor(random() * 4); fault >= 0 && copy.length > 8; fault--) {
    switch (Math.floor(random() * 6)) {
      case 0:
        copy = copy.subarray(0, at());
        break;
      case 1:
        copy[at()] ^= 1 << Math.floor(random() * 8);
        break;
      case 2:
        copy.writeUInt32LE(
          [0xffffffff, 0x7fffffff, 0x80000000, 0][Math.floor(random() * 4)],
          Math.min(at(), copy.length - 4),
        );
        break;
      case 3:
        copy.write(words[Math.floor(random() * words.length)], at());
        break;
      case 4: {
        const from = at();
        copy = Buffer.concat([copy.subarray(0, from), copy.subarray(Math.max(0, from - 40))]);
        break;
      }
      default: {
        const from = at();
        copy = Buffer.concat([
          copy.subarray(0, from),
          copy.subarray(Math.min(copy.length, from + 1 + Math.floor(random() * 30))),
        ]);
      }
    }
  }
  return new Uint8Array(copy);
}

/** Runs an importer on damaged files: each ends in a result or in one clear line. @returns how many failed. */
export async function fuzz(
  bytes: Uint8Array,
  count: number,
  random: () => number,
  read: (bytes: Uint8Array, text: string) => unknown,
): Promise<number> {
  let errors = 0;
  for (let i = 0; i < count; i++) {
    const copy = damaged(bytes, random);
    try {
      await read(copy, new TextDecoder().decode(copy));
    } catch (error) {
      if (!(error instanceof DwmError) || error.message.includes('\n') || error.message.length > 600)
        throw error;
      errors++;
    }
  }
  return errors;
}
