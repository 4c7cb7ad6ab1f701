/** The layers with their own treatment of time, against plain float64 loops written from the definitions. */
import { compile, type Device, spec, type Tensor } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { relativeError } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Parameters } from '../weights/parameters.ts';
import { causalConv, downsample, type Stretch, spatialNorm, upsample } from './layers.ts';
import { normals, randomParameters, tinyConfig } from './testing.ts';

let device: Device;
let parameters: Parameters;
beforeAll(async () => {
  device = await openNodeDevice();
  parameters = randomParameters(device);
});
afterAll(() => device?.destroy());

type Values = ArrayLike<number>;
/** [frames, height, width, channels] */
type Size = readonly [number, number, number, number];
const count = (size: readonly number[]) => size.reduce((a, b) => a * b, 1);

async function run(
  inputs: Record<string, { size: Size; data: Float32Array }>,
  fn: (x: Record<string, Tensor>) => Tensor,
) {
  const specs = Object.fromEntries(
    Object.entries(inputs).map(([name, { size }]) => [name, spec([1, ...size])]),
  );
  const program = await compile(device, specs, (x) => ({ out: fn(x) }));
  await program.run(Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, data])));
  const result = (await program.outputs.out.read()) as Float32Array;
  program.destroy();
  return result;
}

const stretch = (caches?: Record<string, Tensor>): Stretch => ({
  config: tinyConfig,
  parameters,
  caches,
  nextCaches: {},
});

const weights = async (name: string) => (await parameters.tensors.get(name)!.read()) as Float32Array;

/** Convolution of `at(y, x, channel)` by weights [k, k, in, out], one value. */
function tapSum(
  at: (y: number, x: number, c: number) => number,
  w: Values,
  k: number,
  [cin, cout]: number[],
  o: number,
) {
  let sum = 0;
  for (let y = 0; y < k; y++) {
    for (let x = 0; x < k; x++) {
      for (let c = 0; c < cin; c++) sum += at(y, x, c) * w[((y * k + x) * cin + c) * cout + o];
    }
  }
  return sum;
}

describe('a causal convolution in stretches equals the whole', () => {
  const size: Size = [6, 3, 5, 4];
  const x = normals(count(size), 1);
  const name = 'encoder.down_blocks.0.resnets.0.conv1';
  const frame = count(size.slice(1));

  test.each([[[2, 4]], [[1, 1, 1, 3]], [[5, 1]]])('%j', async (parts) => {
    const whole = await run({ x: { size, data: x } }, (t) => causalConv(stretch(), name, t.x));
    const joined: number[] = [];
    let cache: Float32Array | undefined;
    let from = 0;
    for (const frames of parts) {
      const inputs = {
        x: { size: [frames, 3, 5, 4] as Size, data: x.slice(from * frame, (from + frames) * frame) },
        ...(cache && { cache: { size: [2, 3, 5, 4] as Size, data: cache } }),
      };
      const step = (t: Record<string, Tensor>) => {
        const own = stretch(t.cache && { [name]: t.cache });
        return { out: causalConv(own, name, t.x), next: own.nextCaches[name] };
      };
      joined.push(...(await run(inputs, (t) => step(t).out)));
      cache = await run(inputs, (t) => step(t).next);
      from += frames;
    }
    expect(relativeError(joined, whole)).toBeLessThan(1e-6);
  });
});

describe.each([1, 2, 4, 5])('%i frames', (frames) => {
  const size: Size = [frames, 4, 6, 4];
  const x = normals(count(size), frames);
  const at = (t: number, y: number, i: number, c: number) =>
    t < 0 || y < 0 || i < 0 || y >= 4 || i >= 6 ? 0 : x[((t * 4 + y) * 6 + i) * 4 + c];

  test.each([false, true])('down, in time: %s', async (inTime) => {
    const name = 'encoder.down_blocks.0.downsamplers.0';
    const [w, b] = [await weights(`${name}.conv.weight`), await weights(`${name}.conv.bias`)];
    const odd = frames % 2;
    const sources: number[][] = [];
    if (inTime && odd) sources.push([0]);
    for (let t = inTime ? odd : 0; t < frames; t += inTime ? 2 : 1) sources.push(inTime ? [t, t + 1] : [t]);
    const want: number[] = [];
    for (const source of sources) {
      for (let y = 0; y < 2; y++) {
        for (let i = 0; i < 3; i++) {
          for (let o = 0; o < 4; o++) {
            const mean = (dy: number, dx: number, c: number) =>
              source.reduce((sum, t) => sum + at(t, 2 * y + dy, 2 * i + dx, c), 0) / source.length;
            want.push(tapSum(mean, w, 3, [4, 4], o) + b[o]);
          }
        }
      }
    }
    const got = await run({ x: { size, data: x } }, (t) => downsample(stretch(), name, t.x, inTime));
    expect(relativeError(got, want)).toBeLessThan(1e-6);
  });

  test.each([false, true])('up, in time: %s', async (inTime) => {
    const name = 'decoder.up_blocks.0.upsamplers.0';
    const wide: Size = [frames, 4, 6, 8];
    const data = normals(count(wide), 7);
    const [w, b] = [await weights(`${name}.conv.weight`), await weights(`${name}.conv.bias`)];
    const sources: number[] = [];
    for (let t = 0; t < frames; t++) {
      sources.push(t);
      if (inTime && frames > 1 && !(frames % 2 === 1 && t === 0)) sources.push(t);
    }
    const want: number[] = [];
    for (const t of sources) {
      for (let y = 0; y < 8; y++) {
        for (let i = 0; i < 12; i++) {
          for (let o = 0; o < 8; o++) {
            const value = (dy: number, dx: number, c: number) => {
              const [row, column] = [y + dy - 1, i + dx - 1];
              if (row < 0 || column < 0 || row >= 8 || column >= 12) return 0;
              return data[((t * 4 + (row >> 1)) * 6 + (column >> 1)) * 8 + c];
            };
            want.push(tapSum(value, w, 3, [8, 8], o) + b[o]);
          }
        }
      }
    }
    const got = await run({ x: { size: wide, data } }, (t) => upsample(stretch(), name, t.x, inTime));
    expect(relativeError(got, want)).toBeLessThan(1e-6);
  });
});

test.each([
  [1, 1],
  [2, 4],
  [3, 3],
  [3, 5],
])('spatial norm of %i latent frames at %i frames', async (from, to) => {
  const name = 'decoder.norm_out';
  const [zSize, xSize] = [[from, 2, 3, 5] as Size, [to, 4, 6, 4] as Size];
  const [z, x] = [normals(count(zSize), 3), normals(count(xSize), 4).map((value) => value + 2)];
  const part = (of: string) => weights(`${name}.${of}`);
  const [gamma, beta] = [await part('norm_layer.weight'), await part('norm_layer.bias')];
  const [wy, by] = [await part('conv_y.conv.weight'), await part('conv_y.conv.bias')];
  const [wb, bb] = [await part('conv_b.conv.weight'), await part('conv_b.conv.bias')];

  const groups = [0, 1].map((g) => {
    const own = [...x].filter((_, i) => (i % 4) >> 1 === g);
    const mean = own.reduce((a, b) => a + b) / own.length;
    return { mean, variance: own.reduce((sum, value) => sum + (value - mean) ** 2, 0) / own.length };
  });
  const want = [...x].map((value, i) => {
    const c = i % 4;
    const place = Math.floor(i / 4);
    const [column, row, t] = [place % 6, Math.floor(place / 6) % 4, Math.floor(place / 24)];
    const frame =
      to > 1 && to % 2 === 1 ? Math.ceil((t * (from - 1)) / (to - 1)) : Math.floor((t * from) / to);
    const at = ((frame * 2 + (row >> 1)) * 3 + (column >> 1)) * 5;
    const map = (w: Values, bias: Values) =>
      Array.from({ length: 5 }, (_, k) => z[at + k] * w[k * 4 + c]).reduce((a, b) => a + b) + bias[c];
    const { mean, variance } = groups[c >> 1];
    const normed = ((value - mean) / Math.sqrt(variance + 1e-6)) * gamma[c] + beta[c];
    return normed * map(wy, by) + map(wb, bb);
  });
  const inputs = { x: { size: xSize, data: x }, z: { size: zSize, data: z } };
  const got = await run(inputs, (t) => spatialNorm(stretch(), t.z)(name, t.x));
  expect(relativeError(got, want)).toBeLessThan(1e-6);
});
