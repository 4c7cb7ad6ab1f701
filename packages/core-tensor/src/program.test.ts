import { expect, expectTypeOf, test } from 'vitest';
import {
  add,
  compile,
  constant,
  DeviceTensor,
  geluTanh,
  matmul,
  mul,
  permute,
  planProgram,
  repeat,
  reshape,
  silu,
  slice,
  spec,
  sub,
  trace,
} from './index.ts';
import { openNodeDevice } from './node/index.ts';

const device = await openNodeDevice();

test('a chain of pointwise ops on views is one dispatch', async () => {
  const inputs = { x: spec([3, 5, 4]), y: spec([4, 5]) };
  const fn = ({ x, y }: Record<'x' | 'y', import('./index.ts').Tensor>) => ({
    out: silu(add(mul(permute(y, [1, 0]), x), slice(repeat(x, 0, 2, true), 0, 2, 3))),
  });
  const plan = planProgram(trace(inputs, fn), device);
  expect(plan.dispatches.length).toBe(1);
  const program = await compile(device, inputs, fn);
  const x = Float32Array.from({ length: 60 }, Math.random);
  const y = Float32Array.from({ length: 20 }, Math.random);
  const { out } = await program.run({ x, y });
  const got = await out.read();
  const want = Float64Array.from({ length: 60 }, (_, i) => {
    const [a, b, c] = [Math.floor(i / 20), Math.floor(i / 4) % 5, i % 4];
    const up = Math.floor((a + 2 + 1) / 2);
    const v = y[c * 5 + b] * x[i] + x[up * 20 + b * 4 + c];
    return v / (1 + Math.exp(-v));
  });
  for (let i = 0; i < 60; i++) expect(got[i]).toBeCloseTo(want[i], 5);
});

test('reshape of a permuted tensor copies once; outputs may alias inputs', async () => {
  const program = await compile(device, { x: spec([6, 4]) }, ({ x }) => ({
    same: x,
    flat: sub(reshape(permute(x, [1, 0]), [24]), constant(new Float32Array(24).fill(1), [24])),
    g: geluTanh(reshape(x, [2, 12])),
  }));
  const x = Float32Array.from({ length: 24 }, (_, i) => i);
  const { same, flat, g } = await program.run({ x });
  expect([...(await same.read())]).toEqual([...x]);
  expect([...(await flat.read())]).toEqual(
    Array.from({ length: 24 }, (_, i) => (i % 6) * 4 + Math.floor(i / 6) - 1),
  );
  expect((await g.read())[3]).toBeCloseTo(2.99636, 4);
});

test('a program takes exactly the inputs it was traced with, and gives its outputs by name', async () => {
  const program = await compile(device, { x: spec([4]) }, ({ x }) => ({ twice: mul(x, 2) }));
  expectTypeOf(program.run).parameter(0).toHaveProperty('x');
  expectTypeOf(program.outputs).toHaveProperty('twice');
  // @ts-expect-error: there is no input called y.
  await expect(program.run({ y: new Float32Array(4) })).rejects.toThrow('input x');
  await expect(program.run({ x: new Float32Array(5) })).rejects.toThrow('expected 4 values');
});

test('memory: what the plan says is what is allocated', async () => {
  const before = device.memory.allocated;
  const program = await compile(device, { x: spec([64, 64]) }, ({ x }) => {
    const y = reshape(permute(silu(x), [1, 0]), [64, 64]);
    return { out: add(reshape(permute(y, [1, 0]), [4096]), reshape(x, [4096])) };
  });
  await program.run({ x: new Float32Array(4096) });
  expect(device.memory.allocated - before).toBeGreaterThan(0.9 * program.plan.memory.total);
  expect(device.memory.allocated - before).toBeLessThan(1.1 * program.plan.memory.total);
  program.destroy();
  expect(device.memory.allocated).toBe(before);
});

test('an aborted run stops between slices with the reason of the signal', async () => {
  const program = await compile(device, { x: spec([16]) }, ({ x }) => ({ out: silu(x) }));
  const x = new Float32Array(16);
  await expect(program.run({ x }, { signal: AbortSignal.abort() })).rejects.toThrow('abort');
  const shares: number[] = [];
  await program.run({ x }, { onProgress: (done) => shares.push(done) });
  expect(shares.at(-1)).toBe(1);
});

test('a plan that cannot fit says so with the numbers before anything is allocated', async () => {
  const before = device.memory.allocated;
  const huge = compile(device, { x: spec([1 << 15, 1 << 15]) }, ({ x }) => ({
    out: add(reshape(permute(x, [1, 0]), [1 << 30]), 1),
  }));
  await expect(huge).rejects.toThrow(/bytes/);
  expect(device.memory.allocated).toBe(before);
});

test('a kernel reads an aligned part of a larger tensor where it lies', async () => {
  const inputs = { packed: spec([128 + 64]), x: spec([3, 8]) };
  const fn = ({ packed, x }: Record<'packed' | 'x', import('./index.ts').Tensor>) => ({
    y: matmul(x, reshape(slice(packed, 0, 128, 64), [8, 8])),
  });
  expect(planProgram(trace(inputs, fn), device).dispatches.length).toBe(1);
  const program = await compile(device, inputs, fn);
  const packed = Float32Array.from({ length: 192 }, (_, i) => (i < 128 ? Number.NaN : i - 128));
  const { y } = await program.run({ packed, x: new Float32Array(24).fill(1) });
  const got = await y.read();
  for (let n = 0; n < 8; n++) expect(got[n]).toBe(8 * n + 8 * 28);
});

test('parts of tensors are copied on the device, and all that crosses is counted', async () => {
  const { traffic } = device;
  const before = { ...traffic };
  const rows = DeviceTensor.from(device, Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2], 'f32');
  const row = new DeviceTensor(device, spec([2]));
  row.copyFrom(rows, { from: 4, count: 2 });
  rows.copyFrom(row, { to: 1, count: 1 });
  expect(await row.read()).toEqual(Float32Array.of(5, 6));
  expect(await rows.read()).toEqual(Float32Array.of(1, 5, 3, 4, 5, 6));
  expect(traffic).toEqual({
    uploads: before.uploads + 1,
    uploadedBytes: before.uploadedBytes + 24,
    downloads: before.downloads + 2,
    downloadedBytes: before.downloadedBytes + 32,
  });
  for (const range of [
    { from: 7, count: 2 },
    { to: 4, count: 1 },
    { from: -1, count: 1 },
  ])
    expect(() => row.copyFrom(rows, range)).toThrow(/cannot take/);
  expect(() => row.copyFrom(new DeviceTensor(device, spec([2], 'u32')))).toThrow(/of u32 \[2\]/);
});
