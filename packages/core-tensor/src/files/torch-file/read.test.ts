import { expect, test } from 'vitest';
import { InvalidFileError } from '../../index.ts';
import { crc32 } from '../index.ts';
import { readTorchFile } from './read.ts';

/** Pieces of a pickle: strings are texts, numbers one-byte opcodes. */
const unicode = (text: string) => {
  const bytes = new TextEncoder().encode(text);
  return [0x58, bytes.length, 0, 0, 0, ...bytes];
};
const global = (module: string, name: string) => [0x63, ...new TextEncoder().encode(`${module}\n${name}\n`)];
const int = (n: number) => [0x4b, n];
const tuple = (...items: number[][]) => [0x28, ...items.flat(), 0x74];
const storage = (type: string, key: string, count: number) => [
  ...tuple(unicode('storage'), global('torch', `${type}Storage`), unicode(key), unicode('cpu'), int(count)),
  0x51,
];
const ordered = [...global('collections', 'OrderedDict'), 0x29, 0x52];
const tensor = (
  type: string,
  key: string,
  count: number,
  offset: number,
  shape: number[],
  strides: number[],
) => [
  ...global('torch._utils', '_rebuild_tensor_v2'),
  ...tuple(
    storage(type, key, count),
    int(offset),
    tuple(...shape.map(int)),
    tuple(...strides.map(int)),
    [0x89],
    ordered,
  ),
  0x52,
];
const pickle = (...body: number[][]) => Uint8Array.of(0x80, 2, ...body.flat(), 0x2e);

/** A zip of stored entries. */
function zip(files: Record<string, Uint8Array>): Uint8Array {
  const local: number[] = [];
  const central: number[] = [];
  const u16 = (n: number) => [n & 255, n >>> 8];
  const u32 = (n: number) => [...u16(n & 0xffff), ...u16(n >>> 16)];
  for (const [name, bytes] of Object.entries(files)) {
    const text = [...new TextEncoder().encode(name)];
    const sizes = [...u32(crc32(bytes)), ...u32(bytes.length), ...u32(bytes.length)];
    const at = local.length;
    local.push(...u32(0x04034b50), ...u16(20), ...u16(0), ...u16(0), ...u32(0), ...sizes);
    local.push(...u16(text.length), ...u16(0), ...text, ...bytes);
    central.push(...u32(0x02014b50), ...u16(20), ...u16(20), ...u16(0), ...u16(0), ...u32(0), ...sizes);
    central.push(
      ...u16(text.length),
      ...u16(0),
      ...u16(0),
      ...u16(0),
      ...u16(0),
      ...u32(0),
      ...u32(at),
      ...text,
    );
  }
  const count = Object.keys(files).length;
  const end = [...u32(0x06054b50), ...u32(0), ...u16(count), ...u16(count), ...u32(central.length)];
  return Uint8Array.from([...local, ...central, ...end, ...u32(local.length), ...u16(0)]);
}

const torchFile = (data: Uint8Array, storages: Record<string, ArrayBufferView> = {}) => ({
  name: 'x.pt',
  bytes: zip({
    'x/data.pkl': data,
    'x/byteorder': new TextEncoder().encode('little'),
    ...Object.fromEntries(
      Object.entries(storages).map(([key, { buffer }]) => [
        `x/data/${key}`,
        new Uint8Array(buffer as ArrayBuffer),
      ]),
    ),
  }),
});

test('a bare tensor, and one with strides and an offset', async () => {
  const values = Float32Array.of(0, 1, 2, 3, 4, 5, 6);
  const plain = await readTorchFile(
    torchFile(pickle(tensor('Float', '0', 7, 1, [2, 3], [3, 1])), { 0: values }),
  );
  expect([...plain]).toEqual([
    ['', { dtype: 'F32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
  ]);
  const turned = await readTorchFile(
    torchFile(pickle(tensor('Float', '0', 7, 1, [3, 2], [1, 3])), { 0: values }),
  );
  expect(turned.get('')!.data).toEqual(Float32Array.of(1, 4, 2, 5, 3, 6));
});

test('a dictionary of every dtype that latents come in', async () => {
  const item = (name: string, type: string, key: string) => [
    ...unicode(name),
    ...tensor(type, key, 2, 0, [2], [1]),
  ];
  const body = [
    0x7d,
    0x28,
    ...item('a', 'Half', '0'),
    ...item('b', 'BFloat16', '1'),
    ...item('c', 'Double', '2'),
    ...item('d', 'Long', '3'),
    ...unicode('note'),
    ...unicode('text is skipped'),
    0x75,
  ];
  const tensors = await readTorchFile(
    torchFile(pickle(body), {
      0: Uint16Array.of(0x3c00, 0xc000),
      1: Uint16Array.of(0x3f80, 0xc000),
      2: Float64Array.of(1, -2),
      3: BigInt64Array.of(1n, -2n),
    }),
  );
  expect([...tensors].map(([name, { dtype }]) => `${name} ${dtype}`)).toEqual([
    'a F16',
    'b BF16',
    'c F64',
    'd I64',
  ]);
  expect(tensors.get('c')!.data).toEqual(Float64Array.of(1, -2));
});

test.each([
  ['os.system', pickle(global('os', 'system'), tuple(unicode('touch /tmp/owned')), [0x52])],
  ['builtins.eval', pickle(global('builtins', 'eval'), tuple(unicode('1')), [0x52])],
  ['torch.load', pickle(global('torch', 'load'), tuple(unicode('y.pt')), [0x52])],
  ['nt.system', pickle(unicode('nt'), unicode('system'), [0x93], tuple(unicode('x')), [0x52])],
])('a pickle that would call %s is refused by that name', async (name, data) => {
  await expect(readTorchFile(torchFile(data))).rejects.toThrow(
    `"${name}", which is not a tensor; nothing was run`,
  );
});

test('opcodes that make objects, missing storages and views beyond their bytes are refused', async () => {
  await expect(readTorchFile(torchFile(pickle([0x81])))).rejects.toThrow('opcode 0x81 at byte 2');
  await expect(readTorchFile(torchFile(pickle(tensor('Float', '9', 2, 0, [2], [1]))))).rejects.toThrow(
    '"x/data/9" is missing',
  );
  const short = torchFile(pickle(tensor('Float', '0', 9, 0, [9], [1])), { 0: Float32Array.of(1) });
  await expect(readTorchFile(short)).rejects.toThrow('reaches past the end of its 4 bytes');
  await expect(readTorchFile(torchFile(pickle(tensor('Bool', '0', 1, 0, [1], [1]))))).rejects.toThrow(
    '"torch.BoolStorage"',
  );
  await expect(readTorchFile(torchFile(pickle(int(1))))).rejects.toThrow('holds no tensors');
  const before = { name: 'old.pt', bytes: pickle(tensor('Float', '0', 1, 0, [1], [1])) };
  await expect(readTorchFile(before)).rejects.toThrow(
    'old.pt: is no zip as torch.save writes it since PyTorch 1.6',
  );
});

test('any change to the bytes is read, or refused as a damaged file', async () => {
  const body = pickle(tensor('Float', '0', 6, 0, [2, 3], [3, 1]));
  let state = 7;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let round = 0; round < 3000; round++) {
    // Checksums of the container would catch all; the pickle itself must stand on its own.
    const data = body.slice(0, random(20) === 0 ? random(body.length) : body.length);
    for (let k = random(4); k >= 0; k--) data[random(data.length)] = random(256);
    const file = torchFile(data, { 0: Float32Array.of(1, 2, 3, 4, 5, 6) });
    if (round % 3 === 0) file.bytes[random(file.bytes.length)] ^= 1 << random(8);
    try {
      await readTorchFile(file);
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidFileError);
    }
  }
});
