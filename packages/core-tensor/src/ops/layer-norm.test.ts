import { LAYER_NORM_SHAPES, layerNormReference } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { Program, trace } from '../program.ts';
import { spec, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { layerNorm, rmsNorm } from './layer-norm.ts';
import { add, cast, mul } from './pointwise.ts';
import { runOp } from './testing.ts';

const device = await openNodeDevice();
const eps = 1e-5;

/** f32 values cut to bf16, and their bits. */
function bf16(values: Float32Array): { bits: Uint16Array; values: Float32Array } {
  const bits = new Uint16Array(new Uint32Array(values.buffer).map((word) => word >>> 16));
  return { bits, values: new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer) };
}

test.each(LAYER_NORM_SHAPES)('rows $rows of $channels', async ({ rows, channels }) => {
  const random = seeded(rows + channels);
  const x = randomNormals(rows * channels, random);
  const gamma = randomNormals(channels, random);
  const beta = randomNormals(channels, random);
  const inputs = { x: spec([rows, channels]), gamma: spec([channels]), beta: spec([channels]) };
  const run = () =>
    runOp(device, inputs, { x, gamma, beta }, (t) => ({
      layer: layerNorm(t.x, { eps, gamma: t.gamma, beta: t.beta }),
      plain: layerNorm(t.x, { eps }),
      rms: rmsNorm(t.x, { eps, gamma: t.gamma }),
    }));
  const got = await run();
  const want = {
    layer: layerNormReference(x, channels, { eps, center: true, gamma, beta }),
    plain: layerNormReference(x, channels, { eps, center: true }),
    rms: layerNormReference(x, channels, { eps, center: false, gamma }),
  };
  for (const name of ['layer', 'plain', 'rms'] as const) {
    expect(relativeError(got[name], want[name])).toBeLessThanOrEqual(1e-6);
  }
  expect(await run()).toEqual(got);

  // The teams that a GPU gets, on this device.
  const caps = { ...device.caps, adapter: { ...device.caps.adapter, kind: 'hardware' as const } };
  const teams = trace(inputs, (t) => ({ y: layerNorm(t.x, { eps, gamma: t.gamma, beta: t.beta }) }));
  const program = await Program.create<typeof inputs, typeof teams>(
    device,
    planProgram(teams, { caps }),
    inputs,
  );
  const { y } = await program.run({ x, gamma, beta });
  expect(relativeError(await y.read(), want.layer)).toBeLessThanOrEqual(1e-6);
  program.destroy();
});

test('a common offset of 1e4 standard deviations costs no precision', async () => {
  const random = seeded(5);
  const x = randomNormals(40 * 3072, random).map((value) => 1000 + value / 10);
  const { y } = await runOp(device, { x: spec([40, 3072]) }, { x }, (t) => ({ y: layerNorm(t.x, { eps }) }));
  expect(relativeError(y, layerNormReference(x, 3072, { eps, center: true }))).toBeLessThanOrEqual(1e-6);
});

test('first channels a thousand deviations from the others', async () => {
  const random = seeded(6);
  const x = randomNormals(40 * 3072, random);
  for (let row = 0; row < 40; row++) for (let c = 0; c <= row; c++) x[row * 3072 + c] += 1000;
  const { y } = await runOp(device, { x: spec([40, 3072]) }, { x }, (t) => ({ y: layerNorm(t.x, { eps }) }));
  const want = layerNormReference(x, 3072, { eps, center: true });
  const ordinary = (all: ArrayLike<number>) => Float64Array.from(all).filter((_, i) => i % 3072 > 40);
  expect(relativeError(ordinary(y), ordinary(want))).toBeLessThanOrEqual(1e-5);
});

// 28 channels take four lanes, 27 one; batch-wise modulation is adaptive layer norm's.
test.each([28, 27])('modulation of %i channels fuses, bf16 weights', async (channels) => {
  const random = seeded(channels);
  const shape = [2, 35, channels];
  const x = randomNormals(70 * channels, random);
  const [scale, shift] = [0, 1].map(() => randomNormals(2 * channels, random));
  const gamma = bf16(randomNormals(channels, random));
  const inputs = {
    x: spec(shape),
    scale: spec([2, 1, channels]),
    shift: spec([2, 1, channels]),
    gamma: spec([channels], 'bf16'),
  };
  const fn = (t: Record<keyof typeof inputs, Tensor>) => ({
    y: add(mul(layerNorm(t.x, { eps, gamma: t.gamma }), add(t.scale, 1)), t.shift),
  });
  expect(planProgram(trace(inputs, fn), device).dispatches.length).toBe(1 + 1);
  const { y } = await runOp(device, inputs, { x, scale, shift, gamma: gamma.bits }, fn);
  const norm = layerNormReference(x, channels, { eps, center: true, gamma: gamma.values });
  const want = norm.map((value, i) => {
    const at = Math.floor(i / (35 * channels)) * channels + (i % channels);
    return value * (scale[at] + 1) + shift[at];
  });
  expect(relativeError(y, want)).toBeLessThanOrEqual(1e-6);
});

test('rows beyond one binding are cut', async () => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 4096 } });
  const [rows, channels] = [129, 31];
  const x = randomNormals(rows * channels, seeded(3));
  const half = bf16(x);
  const inputs = { x: spec([rows, channels]), half: spec([rows, channels], 'bf16') };
  const fn = (t: Record<keyof typeof inputs, Tensor>) => ({
    y: add(layerNorm(t.x, { eps }), t.half),
    z: rmsNorm(t.half, { eps }),
  });
  expect(planProgram(trace(inputs, fn), small).dispatches.length).toBeGreaterThan(6);
  const { y, z } = await runOp(small, inputs, { x, half: half.bits }, fn);
  const want = layerNormReference(x, channels, { eps, center: true }).map(
    (value, i) => value + half.values[i],
  );
  expect(relativeError(y, want)).toBeLessThanOrEqual(1e-6);
  expect(
    relativeError(z, layerNormReference(half.values, channels, { eps, center: false })),
  ).toBeLessThanOrEqual(1e-6);
  small.destroy();
});

test('f16 in and out', async () => {
  const x = randomNormals(12 * 20, seeded(8));
  const { y } = await runOp(device, { x: spec([12, 20]) }, { x }, (t) => ({
    y: cast(layerNorm(cast(t.x, 'f16'), { eps }), 'f32'),
  }));
  expect(relativeError(y, layerNormReference(x, 20, { eps, center: true }))).toBeLessThan(1e-3);
});

test('a wrong gamma is refused by name', () => {
  const make = () =>
    trace({ x: spec([2, 8]), g: spec([7]) }, ({ x, g }) => ({ y: layerNorm(x, { eps, gamma: g }) }));
  expect(make).toThrow('layerNorm: gamma must be [8] for x [2,8], got [7]');
});
