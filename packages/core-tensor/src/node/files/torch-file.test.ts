/**
 * PyTorch's files by ranges, off the disk. DWM_BIG_FILES=1 also opens one of 3 GB with holes, in a process of 512 MB of
 * heap: not part of every run, as not every disk keeps holes.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ByteSource, crc32, openTorchFile } from '../../files/index.ts';
import { openPath } from './path-source.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'torch-'));
});
afterAll(() => rm(folder, { recursive: true }));

interface MadeTensor {
  readonly storage: string;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

const ascii = (text: string) => Buffer.from(text, 'ascii');
const u16 = (n: number) => Buffer.from([n & 255, n >> 8]);
const u32 = (n: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(n);
  return bytes;
};
const u64 = (n: number) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(n));
  return bytes;
};

/** A state dict of bf16 tensors, as `torch.save` pickles it; sizes may be above 2^32. */
function pickle(tensors: Readonly<Record<string, MadeTensor>>, elements: Readonly<Record<string, number>>) {
  const text = (value: string) => Buffer.concat([Buffer.from([0x58]), u32(value.length), ascii(value)]);
  const whole = (n: number) =>
    n < 256 ? Buffer.from([0x4b, n]) : Buffer.concat([Buffer.from([0x8a, 8]), u64(n)]);
  const tuple = (...items: Buffer[]) => Buffer.concat([Buffer.from([0x28]), ...items, Buffer.from([0x74])]);
  const name = (module: string, attribute: string) => ascii(`c${module}\n${attribute}\n`);
  const items = Object.entries(tensors).flatMap(([key, { storage, offset, shape, strides }]) => [
    text(key),
    name('torch._utils', '_rebuild_tensor_v2'),
    tuple(
      tuple(
        text('storage'),
        name('torch', 'BFloat16Storage'),
        text(storage),
        text('cpu'),
        whole(elements[storage]),
      ),
      Buffer.from([0x51]),
      whole(offset),
      tuple(...shape.map(whole)),
      tuple(...strides.map(whole)),
      Buffer.from([0x89]),
      name('collections', 'OrderedDict'),
      Buffer.from([0x29, 0x52]),
    ),
    Buffer.from([0x52]),
  ]);
  return Buffer.concat([Buffer.from([0x80, 2, 0x7d, 0x28]), ...items, Buffer.from([0x75, 0x2e])]);
}

/** Writes a Zip64 archive of stored entries; a number stands for that many bytes that nobody writes. */
async function writeZip64(path: string, entries: Readonly<Record<string, Buffer | number>>): Promise<void> {
  const file = await open(path, 'w');
  const central: Buffer[] = [];
  let at = 0;
  for (const [name, content] of Object.entries(entries)) {
    const size = typeof content === 'number' ? content : content.length;
    const crc = u32(typeof content === 'number' ? 0 : crc32(content));
    const fixed = [u16(0), u16(0), u16(0), u16(0), crc, u32(0xffffffff), u32(0xffffffff), u16(name.length)];
    const sizes = [u16(1), u16(16), u64(size), u64(size)];
    const local = Buffer.concat([u32(0x04034b50), u16(45), ...fixed, u16(20), ascii(name), ...sizes]);
    await file.write(local, 0, local.length, at);
    central.push(u32(0x02014b50), u16(45), u16(45), ...fixed, u16(28), u16(0), u16(0), u16(0), u32(0));
    central.push(u32(0xffffffff), ascii(name), u16(1), u16(24), u64(size), u64(size), u64(at));
    at += local.length;
    if (typeof content !== 'number') await file.write(content, 0, size, at);
    at += size;
  }
  const directory = Buffer.concat(central);
  const count = Object.keys(entries).length;
  const end64 = [u32(0x06064b50), u64(44), u16(45), u16(45), u32(0), u32(0), u64(count), u64(count)];
  const locator = [u32(0x07064b50), u32(0), u64(at + directory.length), u32(1)];
  const end = [u32(0x06054b50), u16(0), u16(0), u16(0xffff), u16(0xffff), u32(0xffffffff), u32(0xffffffff)];
  const tail = Buffer.concat([
    directory,
    ...end64,
    u64(directory.length),
    u64(at),
    ...locator,
    ...end,
    u16(0),
  ]);
  await file.write(tail, 0, tail.length, at);
  await file.close();
}

const bf16 = (...values: number[]) =>
  Buffer.from(Uint16Array.from(new Uint32Array(Float32Array.from(values).buffer), (w) => w >>> 16).buffer);

async function small(tensors: Readonly<Record<string, MadeTensor>>, name = 'small.pth'): Promise<string> {
  const path = join(folder, name);
  await writeZip64(path, {
    'archive/data.pkl': pickle(tensors, { 0: 9, 1: 70_001 }),
    'archive/byteorder': ascii('little'),
    'archive/data/0': bf16(0, 1, 2, 3, 4, 5, 6, 7, 8),
    'archive/data/1': Buffer.from(Uint16Array.from({ length: 70_001 }, (_, i) => i % 65_536).buffer),
  });
  return path;
}

test('views, shared storages, strides and repeats are those of torch', async () => {
  const path = await small({
    plain: { storage: '0', offset: 1, shape: [2, 3], strides: [3, 1] },
    turned: { storage: '0', offset: 1, shape: [3, 2], strides: [1, 3] },
    apart: { storage: '0', offset: 0, shape: [5], strides: [2] },
    repeated: { storage: '0', offset: 8, shape: [2, 2], strides: [0, 0] },
    one: { storage: '0', offset: 7, shape: [1, 1], strides: [77, 5] },
    none: { storage: '0', offset: 9, shape: [0, 4], strides: [4, 1] },
    long: { storage: '1', offset: 1, shape: [100, 700], strides: [700, 1] },
  });
  const checkpoint = await openTorchFile(await openPath(path));
  const read = async (name: string) => {
    const { dtype, shape, data } = await checkpoint.readTensor(name);
    expect(dtype).toBe('BF16');
    expect(shape).toEqual(checkpoint.tensors.get(name)!.shape);
    return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  };
  expect(await read('plain')).toEqual(bf16(1, 2, 3, 4, 5, 6));
  expect(await read('turned')).toEqual(bf16(1, 4, 2, 5, 3, 6));
  expect(await read('apart')).toEqual(bf16(0, 2, 4, 6, 8));
  expect(await read('repeated')).toEqual(bf16(8, 8, 8, 8));
  expect(await read('one')).toEqual(bf16(7));
  expect((await read('none')).length).toBe(0);
  // Only what lies in another order has strides.
  const strided = [...checkpoint.tensors].filter(([, { strides }]) => strides).map(([name]) => name);
  expect(strided).toEqual(['turned', 'apart', 'repeated']);

  for (const [name, chunkBytes] of [
    ['long', 4096],
    ['turned', 9],
  ] as const) {
    const whole = await read(name);
    const chunks: Buffer[] = [];
    for await (const { offset, bytes } of checkpoint.streamTensor(name, chunkBytes)) {
      expect(offset % 8).toBe(0);
      expect(bytes.length).toBeLessThanOrEqual(chunkBytes);
      chunks.push(Buffer.from(bytes));
    }
    expect(Buffer.concat(chunks)).toEqual(whole);
    expect(chunks.length).toBeGreaterThan(1);
  }
  await checkpoint.close();
});

test('opening reads the ends and the pickle, and no numbers', async () => {
  const file = await openPath(await small({ x: { storage: '1', offset: 0, shape: [70_001], strides: [1] } }));
  let bytes = 0;
  const counted: ByteSource = {
    ...file,
    read: (offset, length, into) => {
      bytes += length;
      return file.read(offset, length, into);
    },
  };
  const checkpoint = await openTorchFile(counted);
  // The tail that may hold a comment is most of it.
  expect(bytes).toBeLessThan(67_500);
  await checkpoint.close();
});

test.each([
  [
    'a view past its storage',
    { storage: '0', offset: 4, shape: [2, 3], strides: [3, 1] },
    'reaches past the end of its 18 bytes',
  ],
  [
    'an offset past its storage',
    { storage: '0', offset: 9, shape: [1], strides: [1] },
    'reaches past the end',
  ],
  [
    'a storage repeated without end',
    { storage: '0', offset: 0, shape: [2 ** 20, 2 ** 20], strides: [0, 0] },
    'repeats its 1 elements to 1099511627776',
  ],
])('%s is refused in one line', async (_, tensor, message) => {
  const path = await small({ x: tensor }, 'hostile.pth');
  const error = await openTorchFile(await openPath(path)).then(
    () => expect.fail('was opened'),
    (caught) => caught,
  );
  expect(error.message).toContain(`hostile.pth: tensor "x" ${message}`);
  expect(error.message.split('\n')).toHaveLength(1);
});

test.skipIf(!process.env.DWM_BIG_FILES)(
  '3 GB open in 512 MB of heap, and only what is asked for is read',
  async () => {
    const elements = 3 * 2 ** 29;
    const path = join(folder, 'big.pth');
    await writeZip64(path, {
      'archive/data.pkl': pickle(
        {
          a: { storage: '0', offset: 0, shape: [3, 2 ** 29], strides: [2 ** 29, 1] },
          end: { storage: '1', offset: 0, shape: [3], strides: [1] },
        },
        { 0: elements, 1: 3 },
      ),
      'archive/byteorder': ascii('little'),
      'archive/data/0': 2 * elements,
      'archive/data/1': bf16(1, 2, 3),
    });
    const script = `
    import { openTorchFile } from ${JSON.stringify(join(import.meta.dirname, '../../index.ts'))};
    import { openPath } from ${JSON.stringify(join(import.meta.dirname, 'path-source.ts'))};
    const checkpoint = await openTorchFile(await openPath(process.argv[1]));
    let bytes = 0;
    for await (const chunk of checkpoint.streamTensor('a')) bytes += chunk.bytes.length;
    const { data } = await checkpoint.readTensor('end');
    console.log(JSON.stringify({ bytes, end: [...data], peak: process.resourceUsage().maxRSS / 1024 }));`;
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...['--max-old-space-size=512', '--import', 'tsx', '--input-type=module', '-e', script, path],
    ]);
    const { bytes, end, peak } = JSON.parse(stdout);
    expect(bytes).toBe(2 * elements);
    expect(end).toEqual([0x3f80, 0x4000, 0x4040]);
    expect(peak).toBeLessThan(512);
  },
  120_000,
);
