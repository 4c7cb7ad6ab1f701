import type { Device } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { seeded } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Scratch, Uniforms } from './compute.ts';
import { createRadixSort, SORT_SLOTS } from './radix-sort.ts';
import { createScan } from './scan.ts';

let device: Device;
let scratch: Scratch;
let uniforms: Uniforms;
beforeAll(async () => {
  device = await openNodeDevice();
  scratch = new Scratch(device, 'test');
  uniforms = new Uniforms(device, SORT_SLOTS, 'test');
});
afterAll(() => device.destroy());

async function submit<T>(encode: (pass: GPUComputePassEncoder) => T): Promise<T> {
  uniforms.reset();
  const encoder = device.gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  const result = encode(pass);
  pass.end();
  device.gpu.queue.submit([encoder.finish()]);
  return result;
}

type Kind = 'software' | 'hardware';

async function sorted(
  kind: Kind,
  keys: Uint32Array<ArrayBuffer>,
  bits: number,
): Promise<[Uint32Array, Uint32Array]> {
  const n = keys.length;
  const sort = await createRadixSort(device, scratch, kind);
  const pair = (name: string) => ({
    keys: scratch.get(`${name} keys`, 4 * n),
    values: scratch.get(`${name} values`, 4 * n),
  });
  const [input, other] = [pair('input'), pair('other')];
  device.gpu.queue.writeBuffer(input.keys.gpu, 0, keys);
  device.gpu.queue.writeBuffer(
    input.values.gpu,
    0,
    Uint32Array.from(keys, (_, i) => i),
  );
  const out = await submit((pass) => sort.encode(pass, input, other, n, bits, uniforms));
  const read = async (buffer: typeof out.keys) => new Uint32Array(await device.read(buffer, 0, 4 * n));
  return [await read(out.keys), await read(out.values)];
}

/** The numbers of `keys` in ascending order, equal keys in their old order. */
const expectedOrder = (keys: Uint32Array): Uint32Array =>
  Uint32Array.from(keys.keys()).sort((a, b) => keys[a] - keys[b] || a - b);

describe.each<Kind>(['software', 'hardware'])('the variant for %s', (kind) => {
  test.each([
    [1, 32],
    [2, 32],
    [255, 32],
    [2047, 32],
    [2049, 32],
    [33_333, 32],
    [100_003, 13],
    // all equal but for three bits: only a stable sort keeps the order
    [50_001, 3],
    [1_000_000, 32],
  ])('%i random keys of %i bits', async (n, bits) => {
    const random = seeded(n);
    const keys = Uint32Array.from({ length: n }, () => Math.floor(random() * 2 ** bits));
    const [gotKeys, order] = await sorted(kind, keys, bits);
    const expected = expectedOrder(keys);
    expect(Buffer.compare(Buffer.from(order.buffer), Buffer.from(expected.buffer))).toBe(0);
    expect(gotKeys[n - 1]).toBe(keys[expected[n - 1]]);
  });

  test('the culled, all bits set, end up last', async () => {
    const keys = Uint32Array.from({ length: 5000 }, (_, i) => (i % 3 === 0 ? 0xffffffff : 5000 - i));
    const [, order] = await sorted(kind, keys, 32);
    expect(order).toEqual(expectedOrder(keys));
  });
});

test.each([1, 1023, 1025, 1_200_001])('prefix sums of %i values', async (n) => {
  const values = Uint32Array.from({ length: n }, (_, i) => (i * 2654435761) >>> 22);
  const buffer = scratch.get('values', 4 * n);
  device.gpu.queue.writeBuffer(buffer.gpu, 0, values);
  const scan = await createScan(device, scratch);
  const total = await submit((pass) => scan.encode(pass, buffer, n, uniforms, 'sums'));
  const got = new Uint32Array(await device.read(buffer, 0, 4 * n));
  let sum = 0;
  const expected = values.map((value) => {
    sum += value;
    return sum - value;
  });
  expect(Buffer.compare(Buffer.from(got.buffer), Buffer.from(expected.buffer))).toBe(0);
  expect(new Uint32Array(await device.read(total, 0, 4))[0]).toBe(sum);
});

test('prefix sums stop at the largest word instead of wrapping', async () => {
  const values = new Uint32Array(3000).fill(2 ** 22);
  const buffer = scratch.get('values', 4 * values.length);
  device.gpu.queue.writeBuffer(buffer.gpu, 0, values);
  const scan = await createScan(device, scratch);
  const total = await submit((pass) => scan.encode(pass, buffer, values.length, uniforms, 'sums'));
  expect(new Uint32Array(await device.read(total, 0, 4))[0]).toBe(0xffffffff);
  const got = new Uint32Array(await device.read(buffer, 0, 4 * values.length));
  expect([got[1000], got[1023], got[1025], got[2999]]).toEqual([
    1000 * 2 ** 22,
    1023 * 2 ** 22,
    0xffffffff,
    0xffffffff,
  ]);
});
