/** Every type of block against what ggml says that it stands for, and headers that are damaged. */
import { describe, expect, test } from 'vitest';
import { seeded } from '../../testing.ts';
import { bytesSource } from '../byte-source.ts';
import { type Checkpoint, checkpointFiles, openCheckpoint, openGguf } from '../checkpoint.ts';
import { toFloat32 } from '../safetensors/convert.ts';
import { type GgufTensor, type GgufValue, writeGguf } from './testing.ts';

const random = seeded(7);
const open = (tensors: readonly GgufTensor[], keys: Record<string, GgufValue> = {}) =>
  openGguf(bytesSource('model.gguf', writeGguf(tensors, keys)));

type Dequantize = (block: Uint8Array, half: (at: number) => number) => number[];
const range = <T>(n: number, of: (i: number) => T) => Array.from({ length: n }, (_, i) => of(i));

/** Scale and min of 6 bits, as `get_scale_min_k4` of ggml takes them out. */
const sixBits = (block: Uint8Array, j: number) => {
  const q = block.subarray(4, 16);
  return j < 4
    ? [q[j] & 63, q[j + 4] & 63]
    : [(q[j + 4] & 0xf) | ((q[j - 4] >> 6) << 4), (q[j + 4] >> 4) | ((q[j] >> 6) << 4)];
};
const bit = (bytes: Uint8Array, at: number, e: number) => (bytes[at + (e >> 3)] >> (e & 7)) & 1;
/** The nibble of element `e` of a block of 32 whose bytes begin at `at`. */
const nibble = (block: Uint8Array, at: number, e: number) =>
  e < 16 ? block[at + e] & 15 : block[at + e - 16] >> 4;
/** The nibble of element `e` of a block of 256. */
const kNibble = (block: Uint8Array, at: number, e: number) => {
  const byte = block[at + (e >> 6) * 32 + (e & 31)];
  return e & 32 ? byte >> 4 : byte & 15;
};

const TYPES: readonly [name: string, type: number, elements: number, bytes: number, Dequantize][] = [
  ['Q4_0', 2, 32, 18, (b, half) => range(32, (e) => half(0) * (nibble(b, 2, e) - 8))],
  ['Q4_1', 3, 32, 20, (b, half) => range(32, (e) => half(0) * nibble(b, 4, e) + half(2))],
  [
    'Q5_0',
    6,
    32,
    22,
    (b, half) => range(32, (e) => half(0) * ((nibble(b, 6, e) | (bit(b, 2, e) << 4)) - 16)),
  ],
  [
    'Q5_1',
    7,
    32,
    24,
    (b, half) => range(32, (e) => half(0) * (nibble(b, 8, e) | (bit(b, 4, e) << 4)) + half(2)),
  ],
  ['Q8_0', 8, 32, 34, (b, half) => range(32, (e) => half(0) * ((b[2 + e] << 24) >> 24))],
  [
    ...(['Q4_K', 12, 256, 144] as const),
    (b, half) =>
      range(256, (e) => {
        const [scale, min] = sixBits(b, e >> 5);
        return half(0) * scale * kNibble(b, 16, e) - half(2) * min;
      }),
  ],
  [
    ...(['Q5_K', 13, 256, 176] as const),
    (b, half) =>
      range(256, (e) => {
        const [scale, min] = sixBits(b, e >> 5);
        const high = (b[16 + (e & 31)] >> (e >> 5)) & 1;
        return half(0) * scale * (kNibble(b, 48, e) + 16 * high) - half(2) * min;
      }),
  ],
  [
    ...(['Q6_K', 14, 256, 210] as const),
    (b, half) =>
      range(256, (e) => {
        const part = e >> 7;
        const within = e & 127;
        const byte = b[64 * part + (within & 63)];
        const low = within < 64 ? byte & 15 : byte >> 4;
        const high = (b[128 + 32 * part + (within & 31)] >> (2 * (within >> 5))) & 3;
        return half(208) * ((b[192 + (e >> 4)] << 24) >> 24) * ((low | (high << 4)) - 32);
      }),
  ],
];

/** What a tensor and its scales and offsets stand for. */
async function values(checkpoint: Checkpoint, name: string): Promise<number[]> {
  const whole = async (own: string) => {
    const { shape } = checkpoint.tensors.get(own)!;
    const chunks: Uint8Array[] = [];
    let at = 0;
    // Small chunks, so that there are several.
    for await (const { offset, bytes } of checkpoint.streamTensor(own, 1200)) {
      expect(offset).toBe(at);
      expect(offset % 8).toBe(0);
      at += bytes.length;
      chunks.push(bytes.slice());
    }
    const tensor = await checkpoint.readTensor(own);
    expect(Buffer.concat(chunks)).toEqual(
      Buffer.from(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength),
    );
    return { ...tensor, shape };
  };
  const stored = await whole(name);
  const signed = (n: number) => (n < 8 ? n : n - 16);
  const q =
    stored.dtype === 'I4'
      ? [...(stored.data as Uint8Array)].flatMap((byte) => [signed(byte & 15), signed(byte >> 4)])
      : [...(stored.data as Int8Array)];
  const scales = await whole(`${name}_scale`);
  const groupSize = stored.shape[1] / scales.shape[1];
  const scale = toFloat32(scales);
  const offset = checkpoint.tensors.has(`${name}_offset`)
    ? toFloat32(await whole(`${name}_offset`))
    : undefined;
  return q.map(
    (value, i) => value * scale[Math.floor(i / groupSize)] + (offset?.[Math.floor(i / groupSize)] ?? 0),
  );
}

describe('blocks', () => {
  test.each(TYPES)('%s', async (_, type, elements, bytes, dequantize) => {
    const [rows, perRow] = [5, 3];
    const data = Uint8Array.from({ length: rows * perRow * bytes }, () => Math.floor(random() * 256));
    // Halves of moderate size where blocks have theirs.
    for (let at = 0; at < data.length; at += bytes) {
      for (const place of type === 14 ? [208] : [0, 2])
        if (place === 0 || type !== 8) data[at + place + 1] = 0x2c;
    }
    const checkpoint = await open([
      { name: 'first', shape: [3], type: 0, data: new Uint8Array(Float32Array.of(1, 2, 3).buffer) },
      { name: 'x.weight', shape: [rows, perRow * elements], type, data },
    ]);
    const want = range(rows * perRow, (i) => {
      const block = data.subarray(i * bytes, (i + 1) * bytes);
      const half = (at: number) => toFloat32({ dtype: 'F16', data: block.slice(at, at + 2) })[0];
      return dequantize(block, half);
    }).flat();
    const got = await values(checkpoint, 'x.weight');
    const most = Math.max(...want.map(Math.abs));
    for (const [i, value] of got.entries()) expect(Math.abs(value - want[i])).toBeLessThan(1e-6 * most);
    expect((await checkpoint.readTensor('first')).data).toEqual(Float32Array.of(1, 2, 3));

    const { floats, ...entry } = checkpoint.tensors.get('x.weight')!;
    const plain = checkpoint.withTensors(new Map([['x', { ...entry, dtype: 'F32', form: floats! }]]));
    const close = (data: ArrayLike<number>, wanted: readonly number[]) => {
      expect(data.length).toBe(wanted.length);
      for (const [i, value] of wanted.entries()) expect(Math.abs(data[i] - value)).toBeLessThan(1e-6 * most);
    };
    close(toFloat32(await plain.readTensor('x')), want);
    const row = perRow * elements;
    const picked = [3, 0, 3].flatMap((at) => want.slice(at * row, (at + 1) * row));
    close(toFloat32(await plain.readRows('x', [3, 0, 3])), picked);
  });

  test('a model folder may have one in place of safetensors', async () => {
    const bytes = writeGguf([{ name: 'x', shape: [2], type: 0, data: new Uint8Array(8) }]);
    const folder = {
      name: 'model',
      open: async (path: string) => bytesSource(path, bytes),
      exists: async (path: string) => path === 'transformer/weights.gguf',
    };
    const base = 'transformer/weights';
    expect(await checkpointFiles(folder, base)).toEqual({ found: [`${base}.gguf`], missing: [] });
    expect([...(await openCheckpoint(folder, base)).tensors.keys()]).toEqual(['x']);
  });

  test('a shape of five dimensions is kept beside the tensor', async () => {
    const data = new Uint8Array(2 * 24);
    const keys = { 'comfy.gguf.orig_shape.p.weight': [2, 3, 1, 2, 2], 'general.name': 'a model' };
    const checkpoint = await open([{ name: 'p.weight', shape: [6, 4], type: 1, data }], keys);
    expect(checkpoint.tensors.get('p.weight')).toMatchObject({ dtype: 'F16', shape: [2, 3, 1, 2, 2] });
  });
});

describe('damaged files', () => {
  const whole = writeGguf([{ name: 'x', shape: [2, 32], type: 8, data: new Uint8Array(68) }], {
    key: [1, 2],
  });
  const changed = (at: number, ...bytes: number[]) => {
    const copy = whole.slice();
    copy.set(bytes, at);
    return copy;
  };
  const typeAt = whole.indexOf('x'.charCodeAt(0), 60) + 1 + 4 + 16;
  test.each<[string, Uint8Array, string]>([
    ['another magic', changed(0, 1), 'does not begin with GGUF'],
    ['big-endian', changed(4, 0, 0, 0, 3), 'is GGUF of version 50331648, expected 2 or 3 (little-endian)'],
    ['too many tensors', changed(8, 0, 0, 0, 0, 1), 'says that it has 4294967296 tensors and 1 keys'],
    ['a count beyond 2^53', changed(8, 0, 0, 0, 0, 0, 0, 0, 255), 'the number of tensors is'],
    ['cut in its header', whole.subarray(0, 60), 'truncated: the file ends in its header'],
    ['cut in its data', whole.subarray(0, -64), 'truncated: tensor "x" ends at byte'],
    [
      'a type that is not read',
      changed(typeAt, 10),
      `tensor "x" is of ggml's type 10; those that are read are F32`,
    ],
    ['rows that are no whole blocks', changed(typeAt - 16, 31), 'expected rows of a multiple of 32'],
    ['an offset off the alignment', changed(typeAt + 4, 8), 'begins at 8, expected 32 times n from 0 on'],
    ['a name of no length', changed(24, 255, 255, 255, 255), 'has 4294967295 bytes; the file is damaged'],
  ])('%s', async (_, bytes, message) => {
    const error = await openGguf(bytesSource('model.gguf', bytes)).then(
      () => expect.fail('was accepted'),
      (e) => e,
    );
    expect(error.message).toContain('model.gguf');
    expect(error.message).toContain(message);
  });
});
