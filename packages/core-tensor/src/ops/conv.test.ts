import {
  type ConvShape,
  type ConvSpec,
  convOutputShape,
  type DeviceCaps,
  elementCount,
  lowerConv,
} from '@dwm/kernels-wgsl';
import { identity } from '@dwm/kernels-wgsl/pointwise';
import { CONV_SHAPES, convReference } from '@dwm/kernels-wgsl/testing';
import { afterAll, describe, expect, test } from 'vitest';
import {
  add,
  cast,
  compile,
  constant,
  conv2d,
  conv3d,
  evaluate,
  InvalidArgumentError,
  nextCache,
  planProgram,
  repeat,
  reshape,
  silu,
  slice,
  type Tensor,
  trace,
} from '../index.ts';
import { openNodeDevice } from '../node/index.ts';
import { record } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { runOp, spec } from './testing.ts';

const device = await openNodeDevice();
afterAll(() => device.destroy());

const same = { top: 1, bottom: 1, left: 1, right: 1 };

const operandsOf = (shape: ConvShape) => {
  const { batch, frames, height, width, inChannels, outChannels, kernel } = shape;
  return {
    x: spec([batch, frames, height, width, inChannels]),
    weight: spec([...kernel, inChannels, outChannels]),
    ...(shape.cached ? { cache: spec([batch, kernel[0] - 1, height, width, inChannels]) } : {}),
  };
};

type Operands = { x: Tensor; weight: Tensor; cache?: Tensor };

const valuesOf = (inputs: Record<string, { shape: readonly number[] }>, seed: number) => {
  const random = seeded(seed);
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { shape }]) => [name, randomNormals(elementCount(shape), random)]),
  );
};

const run = (shape: ConvShape, { x, weight, cache }: Operands) =>
  conv3d(x, weight, { stride: shape.stride, padding: shape.padding, upsample: shape.upsample, cache });

const nameOf = ({ batch, frames, height, width, inChannels, outChannels, kernel, ...rest }: ConvShape) => {
  const { time, space, keepFirst } = rest.upsample;
  const up = time * space > 1 ? ` up ${time}x${space}${keepFirst ? ' keeping the first' : ''}` : '';
  return `${[batch, frames, height, width, inChannels].join('x')} -> ${outChannels}, ${kernel.join('x')}/${rest.stride}${up}${rest.cached ? ' cached' : ''}`;
};

/** The convolution of `shape` recorded with a lowering of the test's own. */
const recorded = (
  shape: ConvShape,
  { x, weight, cache }: Operands,
  lower: (spec: ConvSpec) => ReturnType<typeof lowerConv>,
): Tensor => {
  const outShape = convOutputShape(shape);
  return record(
    {
      kind: 'kernel',
      name: 'conv',
      cost: { flops: 1, bytes: 1 },
      epilogue: true,
      bindings: 5,
      lower: (_, epilogue) =>
        lower({
          ...shape,
          weightDtype: 'f32',
          precision: 'f32',
          outputDtype: epilogue?.dtype ?? 'f32',
          fusion: epilogue?.fusion ?? identity(outShape),
        }),
    },
    cache ? [x, weight, cache] : [x, weight],
    [{ shape: outShape, dtype: 'f32' }],
  )[0];
};

/** The number that the bits of a finite f16 stand for. */
const halfValue = (bits: number): number => {
  const exponent = (bits >> 10) & 31;
  const size = exponent ? (1024 + (bits & 1023)) * 2 ** (exponent - 25) : (bits & 1023) * 2 ** -24;
  return bits & 0x8000 ? -size : size;
};

/** bf16 bits of values, cut; and the values they stand for. */
const bf16 = (values: Float32Array) => {
  const bits = new Uint16Array(new Uint32Array(values.buffer).map((word) => word >>> 16));
  return { bits, values: new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer) };
};

test.each(CONV_SHAPES.map((shape) => [nameOf(shape), shape] as const))(
  '%s, with an epilogue',
  async (_, shape) => {
    const inputs = operandsOf(shape);
    const values = valuesOf(inputs, 7);
    const extra = { bias: spec([shape.outChannels]), residual: spec(convOutputShape(shape)) };
    const more = valuesOf(extra, 8);
    const program = await compile(device, { ...inputs, ...extra }, (t) => ({
      out: add(silu(add(run(shape, t as Operands), t.bias)), t.residual),
    }));
    expect(program.plan.dispatches.length).toBe(1);
    const once = async () => (await program.run({ ...values, ...more } as never)).out.read();
    const got = await once();
    const want = convReference(shape, values.x, values.weight, values.cache).map((v, i) => {
      const z = v + more.bias[i % shape.outChannels];
      return z / (1 + Math.exp(-z)) + more.residual[i];
    });
    expect(relativeError(got, want)).toBeLessThan(1e-6);
    expect(await once()).toEqual(got);
    program.destroy();
  },
);

/** These capabilities, but of a GPU without subgroups. */
const asHardware = (caps: DeviceCaps): DeviceCaps => ({
  ...caps,
  adapter: { ...caps.adapter, kind: 'hardware' },
  features: { ...caps.features, subgroups: false },
});

test.each([3, 9, 10, 17, 18].map((i) => [nameOf(CONV_SHAPES[i]), CONV_SHAPES[i]] as const))(
  '%s, as hardware does it',
  async (_, shape) => {
    const inputs = operandsOf(shape);
    const values = valuesOf(inputs, 9);
    const { out } = await runOp(device, inputs, values as never, (t) => ({
      out: recorded(shape, t as Operands, (spec) => lowerConv(spec, { caps: asHardware(device.caps) })),
    }));
    expect(relativeError(out, convReference(shape, values.x, values.weight, values.cache))).toBeLessThan(
      1e-6,
    );
  },
);

test('compiles for every feature there is', async () => {
  const everything = await openNodeDevice({ adapter: 'null' });
  for (const shape of CONV_SHAPES.slice(1))
    for (const precision of ['f32', 'f16'] as const) {
      const inputs = operandsOf(shape);
      const program = await compile(
        everything,
        inputs,
        (t) => ({ out: silu(run(shape, t as Operands)) }),
        precision,
      );
      program.destroy();
    }
  everything.destroy();
});

test('bf16 and f16 weights; an f16 output', async () => {
  const shape = { ...CONV_SHAPES[6], width: 3 };
  const inputs = operandsOf(shape);
  const values = valuesOf(inputs, 10);
  const cut = bf16(values.weight);
  const weight = spec(inputs.weight.shape, 'bf16');
  const { out } = await runOp(
    device,
    { ...inputs, weight },
    { ...values, weight: cut.bits } as never,
    (t) => ({
      out: run(shape, t as Operands),
    }),
  );
  expect(relativeError(out, convReference(shape, values.x, cut.values, values.cache))).toBeLessThan(1e-6);

  // 1, -0.5 and 2 as f16.
  const bits = [0x3c00, 0xb800, 0x4000];
  const pattern = values.weight.map((_, i) => [1, -0.5, 2][i % 3]);
  const halves = Uint16Array.from(pattern, (_, i) => bits[i % 3]);
  const half = await runOp(
    device,
    { ...inputs, weight: spec(inputs.weight.shape, 'f16') },
    { ...values, weight: halves } as never,
    (t) => ({ out: cast(run(shape, t as Operands), 'f16') }),
  );
  const want = convReference(shape, values.x, pattern, values.cache);
  expect(relativeError(Array.from(half.out, halfValue), want)).toBeLessThan(1e-3);
});

test('chunks with caches equal the whole clip', async () => {
  const shape: ConvShape = { ...CONV_SHAPES[6], batch: 2, frames: 6, width: 3, cached: false };
  const inputs = operandsOf(shape);
  const values = valuesOf(inputs, 11);
  const { whole, parts } = await runOp(device, inputs, values as never, ({ x, weight }: Operands) => {
    const outputs: Tensor[] = [];
    let cache: Tensor | undefined;
    let at = 0;
    // A first chunk shorter than the cache, then one as long, then one longer.
    for (const frames of [1, 2, 3]) {
      const chunk = slice(x, 1, at, frames);
      outputs.push(conv3d(chunk, weight, { padding: same, cache }));
      cache = nextCache(chunk, cache, 3);
      at += frames;
    }
    const row = (t: Tensor) => reshape(t, [-1]);
    return {
      whole: conv3d(x, weight, { padding: same }),
      parts: row(outputs[0]),
      ...{ second: row(outputs[1]), third: row(outputs[2]) },
    } as Record<string, Tensor>;
  }).then(({ whole, parts, second, third }) => ({ whole, parts: [parts, second, third] }));
  const frame = 7 * 3 * 16;
  const of = (clip: number, from: number, frames: number) =>
    whole.slice((clip * 6 + from) * frame, (clip * 6 + from + frames) * frame);
  for (const [k, [from, frames]] of [
    [0, 1],
    [1, 2],
    [3, 3],
  ].entries())
    for (const clip of [0, 1]) {
      const part = parts[k].slice(clip * frames * frame, (clip + 1) * frames * frame);
      expect(relativeError(part, of(clip, from, frames))).toBeLessThan(1e-6);
    }
});

test('nextCache remembers the last frames, also across short chunks', async () => {
  const frame = (value: number) => constant(new Float32Array(2).fill(value), [1, 1, 1, 2, 1]);
  const three = nextCache(frame(1), undefined, 4);
  const later = nextCache(nextCache(frame(2), three, 4), undefined, 3);
  const results = await evaluate(device, { three, later, next: nextCache(frame(5), three, 4) });
  expect([...(await results.three.read())]).toEqual([1, 1, 1, 1, 1, 1]);
  expect([...(await results.later.read())]).toEqual([1, 1, 2, 2]);
  expect([...(await results.next.read())]).toEqual([1, 1, 1, 1, 5, 5]);
});

test('fused up-sampling equals materialised repeats', async () => {
  const random = seeded(12);
  const x = spec([2, 3, 5, 4, 4]);
  const weight = spec([1, 3, 3, 4, 4]);
  const values = { x: randomNormals(480, random), weight: randomNormals(144, random) };
  for (const keepFirst of [true, false]) {
    const { fused, repeated } = await runOp(device, { x, weight }, values, (t) => ({
      fused: conv3d(t.x, t.weight, { padding: same, upsample: { time: 2, space: 2, keepFirst } }),
      repeated: conv3d(repeat(repeat(repeat(t.x, 1, 2, keepFirst), 2, 2), 3, 2), t.weight, { padding: same }),
    }));
    // Not the same bits: a compiler may add the weights of equal pixels first.
    expect(relativeError(fused, repeated)).toBeLessThan(1e-6);
  }
});

test('conv2d on images; 1x1 as a matrix product with its epilogue', async () => {
  const shape = CONV_SHAPES[13];
  const random = seeded(13);
  const x = spec([2, 8, 4, 16]);
  const inputs = { x, weight: spec([3, 3, 16, 8]), point: spec([1, 1, 16, 8]), bias: spec([8]) };
  const values = Object.fromEntries(
    Object.entries(inputs).map(([name, s]) => [name, randomNormals(elementCount(s.shape), random)]),
  );
  const program = await compile(device, inputs, (t) => ({
    out: conv2d(t.x, t.weight, { stride: 2, padding: shape.padding }),
    pointwise: add(conv2d(t.x, t.point), t.bias),
  }));
  expect(program.plan.dispatches.map(({ label }) => label.split(/[:+]/)[0])).toEqual(['conv', 'matmul']);
  const { out, pointwise } = await program.run(values as never);
  expect(relativeError(await out.read(), convReference(shape, values.x, values.weight))).toBeLessThan(1e-6);
  const flat = CONV_SHAPES[0];
  const wide = { ...flat, height: 16, width: 4, inChannels: 16, outChannels: 8 };
  const want = convReference(wide, values.x, values.point).map((v, i) => v + values.bias[i % 8]);
  expect(relativeError(await pointwise.read(), want)).toBeLessThan(1e-6);
  program.destroy();
});

describe('a device with small bindings', async () => {
  const limit = 1 << 16;
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: limit } });
  afterAll(() => small.destroy());

  test('cuts the work into windows of frames', async () => {
    // 4 frames of x a binding and 2 of the output; two clips, so that windows cross from one to the next.
    for (const cached of [true, false]) {
      const shape: ConvShape = {
        ...CONV_SHAPES[6],
        ...{ batch: 2, frames: 5, height: 85, width: 3, inChannels: 16, outChannels: 24, cached },
      };
      const inputs = operandsOf(shape);
      const values = valuesOf(inputs, 14);
      const residual = spec(convOutputShape(shape));
      const more = valuesOf({ residual }, 15);
      const program = await compile(small, { ...inputs, residual }, (t) => ({
        out: add(run(shape, t as Operands), t.residual),
      }));
      expect(program.plan.dispatches.length).toBeGreaterThan(3);
      const { out } = await program.run({ ...values, ...more } as never);
      const want = convReference(shape, values.x, values.weight, values.cache).map(
        (v, i) => v + more.residual[i],
      );
      expect(relativeError(await out.read(), want)).toBeLessThan(1e-6);
      if (small.caps.features.f16) {
        const half = await runOp(
          small,
          inputs,
          values as never,
          (t) => ({ out: run(shape, t as Operands) }),
          'f16',
        );
        const plain = convReference(shape, values.x, values.weight, values.cache);
        expect(relativeError(half.out, plain)).toBeLessThan(1e-3);
      }
      program.destroy();
    }
  });

  test.each([
    ['without a cache', { frames: 2 }],
    ['with a cache', { frames: 2, cached: true }],
    ['two images, stride 2', { batch: 2, stride: 2, kernel: [1, 3, 3] }],
    ['up-sampled', { frames: 2, kernel: [1, 3, 3], upsample: { time: 2, space: 2, keepFirst: true } }],
  ] as [string, Partial<ConvShape>][])('cuts frames larger than a binding into rows: %s', async (_, more) => {
    // 71,680 bytes a frame.
    const shape: ConvShape = {
      ...{ ...CONV_SHAPES[6], batch: 1, frames: 1, height: 80, width: 28, inChannels: 8, outChannels: 8 },
      ...{ cached: false, ...more },
    };
    const inputs = operandsOf(shape);
    const values = valuesOf(inputs, 18);
    const residual = spec(convOutputShape(shape));
    const extra = valuesOf({ residual }, 19);
    const want = convReference(shape, values.x, values.weight, values.cache).map(
      (v, i) => v + extra.residual[i],
    );
    for (const precision of small.caps.features.f16 ? (['f32', 'f16'] as const) : (['f32'] as const)) {
      const program = await compile(
        small,
        { ...inputs, residual },
        (t) => ({ out: add(run(shape, t as Operands), t.residual) }),
        precision,
      );
      const { out } = await program.run({ ...values, ...extra } as never);
      expect(relativeError(await out.read(), want)).toBeLessThan(precision === 'f32' ? 1e-6 : 1e-3);
      program.destroy();
    }
  });

  test('a tile of the real decoder can be planned', () => {
    const caps = {
      ...device.caps,
      limits: { ...device.caps.limits, maxStorageBufferBindingSize: 2 ** 27, maxBufferSize: 2 ** 32 },
    };
    const tile = spec([1, 9, 240, 360, 256]);
    const inputs = {
      x: tile,
      weight: spec([3, 3, 3, 256, 256], 'bf16'),
      cache: spec([1, 2, 240, 360, 256]),
    };
    const outputs = trace(inputs, ({ x, weight, cache }) => ({
      out: conv3d(x, weight, { padding: same, cache }),
    }));
    const { dispatches } = planProgram(outputs, { caps });
    expect(dispatches.length).toBe(9);
    for (const { bindings } of dispatches)
      for (const { byteLength } of bindings) expect(byteLength).toBeLessThanOrEqual(2 ** 27);
  });

  test('says what does not fit', () => {
    const plan = (x: number[], weight: number[]) =>
      planProgram(
        trace({ x: spec(x), weight: spec(weight) }, (t) => ({ out: conv3d(t.x, t.weight) })),
        small,
      );
    expect(() => plan([1, 1, 2, 4100, 4], [1, 1, 3, 4, 4])).toThrow(/rows of 65600 .*bindings of 65536/);
    expect(() => plan([1, 1, 4, 4, 64], [1, 3, 3, 64, 64])).toThrow(/weight of 147456 bytes/);
    // A user's fault, not one of ours.
    const wide = () => plan([1, 1, 1, 26, 4], [1, 1, 26, 4, 4]);
    expect(wide).toThrow(InvalidArgumentError);
    expect(wide).toThrow('conv: a kernel of width 26 is wider than 25, for a result of shape [1,1,1,1,4]');
  });
});

test.runIf(device.caps.features.f16)('f16 precision neither overflows nor loses small channels', async () => {
  const shape: ConvShape = { ...CONV_SHAPES[6], frames: 2, width: 3 };
  const inputs = operandsOf(shape);
  for (const [xScale, weightScale] of [
    [1, 1],
    [1e6, 1e5],
    [1e-6, 1e-8],
    [1e-30, 1e25],
  ]) {
    const values = valuesOf(inputs, 16);
    // Channels of very different sizes: each has its own scale.
    const weight = values.weight.map((v, i) => v * weightScale * 10 ** -(i % 4));
    const scaled = { x: values.x.map((v) => v * xScale), weight, cache: values.cache.map((v) => v * xScale) };
    const { out } = await runOp(
      device,
      inputs,
      scaled as never,
      (t) => ({ out: run(shape, t as Operands) }),
      'f16',
    );
    const want = convReference(shape, scaled.x, scaled.weight, scaled.cache);
    for (const channel of [0, 3]) {
      const pick = (values: ArrayLike<number>) => Array.from(values).filter((_, i) => i % 4 === channel);
      expect(
        relativeError(
          pick(out).map((v) => v / xScale / weightScale),
          pick(want).map((v) => v / xScale / weightScale),
        ),
      ).toBeLessThan(1e-3);
    }
  }
  const zero = valuesOf(inputs, 17);
  zero.x.fill(0);
  zero.cache.fill(0);
  const { out } = await runOp(
    device,
    inputs,
    zero as never,
    (t) => ({ out: run(shape, t as Operands) }),
    'f16',
  );
  expect(out.every((v) => v === 0)).toBe(true);
});

test('says what is wrong with shapes', () => {
  const bad =
    (x: number[], weight: number[], options = {}) =>
    () =>
      trace({ x: spec(x), weight: spec(weight) }, (t) => ({ out: conv3d(t.x, t.weight, options) }));
  expect(bad([1, 2, 4, 4, 3], [3, 3, 3, 4, 8])).toThrow(/weight takes 4 channels, x has 3/);
  expect(bad([1, 2, 4, 4, 3], [3, 5, 5, 3, 8])).toThrow(/larger than the padded input/);
  expect(bad([1, 2, 4, 4, 3], [3, 3, 3, 3, 8], { upsample: { time: 2 } })).toThrow(/kernel of one frame/);
  const cache = constant(new Float32Array(48), [1, 1, 4, 4, 3]);
  expect(bad([1, 2, 4, 4, 3], [3, 3, 3, 3, 8], { cache })).toThrow(/cache must be f32 \[1,2,4,4,3\]/);
});
