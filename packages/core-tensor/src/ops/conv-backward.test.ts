import { type ConvShape, convOutputShape, type DeviceCaps, elementCount } from '@dwm/kernels-wgsl';
import { CONV_SHAPES, convBackwardReference, convReference } from '@dwm/kernels-wgsl/testing';
import { afterAll, expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { Program, trace } from '../program.ts';
import { spec, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { conv3d } from './conv.ts';
import { applyVjp, runOp } from './testing.ts';

const device = await openNodeDevice();
afterAll(() => device.destroy());

type Operands = { x: Tensor; weight: Tensor; g: Tensor; cache?: Tensor };

const operandsOf = (shape: ConvShape) => {
  const { batch, frames, height, width, inChannels, outChannels, kernel } = shape;
  return {
    x: spec([batch, frames, height, width, inChannels]),
    weight: spec([...kernel, inChannels, outChannels]),
    g: spec(convOutputShape(shape)),
    ...(shape.cached ? { cache: spec([batch, kernel[0] - 1, height, width, inChannels]) } : {}),
  };
};

const valuesOf = (inputs: Record<string, { shape: readonly number[] }>, seed: number) => {
  const random = seeded(seed);
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { shape }]) => [name, randomNormals(elementCount(shape), random)]),
  );
};

/** Of a convolution's own node; a 1x1 kernel without padding is a matrix product's business. */
function gradients(shape: ConvShape, t: Operands): Record<string, Tensor> {
  const { stride, padding, upsample } = shape;
  const y = conv3d(t.x, t.weight, { stride, padding, upsample, cache: t.cache });
  const [dx, dweight, dcache] = applyVjp(y, [t.g]);
  return { dx: dx!, dweight: dweight!, ...(dcache && { dcache }) };
}

const nameOf = ({ batch, frames, height, width, inChannels, outChannels, kernel, ...rest }: ConvShape) => {
  const { time, space, keepFirst } = rest.upsample;
  const up = time * space > 1 ? ` up ${time}x${space}${keepFirst ? ' keeping the first' : ''}` : '';
  return `${[batch, frames, height, width, inChannels].join('x')} -> ${outChannels}, ${kernel.join('x')}/${rest.stride}${up}${rest.cached ? ' cached' : ''}`;
};

const check = (
  shape: ConvShape,
  values: Record<string, Float32Array>,
  got: Record<string, ArrayLike<number>>,
) => {
  const want = convBackwardReference(shape, values.x, values.weight, values.g, values.cache);
  for (const [name, gradient] of Object.entries(want)) {
    if (gradient.length > 0) expect(relativeError(got[name], gradient), name).toBeLessThanOrEqual(2e-6);
  }
};

const shapes = CONV_SHAPES.filter(({ kernel, padding }) => elementCount(kernel) > 1 || padding.top > 0);

test.each(shapes.map((shape) => [nameOf(shape), shape] as const))(
  'gradients of %s',
  { timeout: 120_000 },
  async (_, shape) => {
    const inputs = operandsOf(shape);
    const values = valuesOf(inputs, 7);
    const fn = (t: Record<string, Tensor>) => gradients(shape, t as Operands);
    const got = await runOp(device, inputs, values as never, fn as never);
    check(shape, values, got);
    expect(await runOp(device, inputs, values as never, fn as never)).toEqual(got);
  },
);

test.each([5, 8])('the variants without shared loads, shape %i', async (k) => {
  const shape = CONV_SHAPES[k];
  const caps: DeviceCaps = {
    ...device.caps,
    adapter: { ...device.caps.adapter, kind: 'hardware' },
    features: { ...device.caps.features, subgroups: false },
  };
  const inputs = operandsOf(shape);
  const values = valuesOf(inputs, 8);
  const outputs = trace(inputs, (t) => gradients(shape, t as Operands));
  const program = await Program.create<typeof inputs, typeof outputs>(
    device,
    planProgram(outputs, { caps }),
    inputs,
  );
  const results = await program.run(values as never);
  const got: Record<string, ArrayLike<number>> = {};
  for (const [name, tensor] of Object.entries(results)) got[name] = await tensor.read();
  check(shape, values, got);
  program.destroy();
});

test('the reference equals finite differences', () => {
  const shape: ConvShape = {
    ...CONV_SHAPES[2],
    batch: 1,
    frames: 2,
    height: 3,
    inChannels: 2,
    outChannels: 2,
  };
  const values = valuesOf(operandsOf(shape), 9);
  const want = convBackwardReference(shape, values.x, values.weight, values.g, values.cache);
  for (const name of ['x', 'weight', 'cache'] as const) {
    const loss = (moved: Float64Array) => {
      const v = { ...values, [name]: moved };
      return convReference(shape, v.x, v.weight, v.cache).reduce((s, y, i) => s + y * values.g[i], 0);
    };
    const difference = Float64Array.from(values[name], (_, i) => {
      const at = (h: number) => loss(Float64Array.from(values[name], (v, j) => (j === i ? v + h : v)));
      return (at(1e-4) - at(-1e-4)) / 2e-4;
    });
    expect(relativeError(want[`d${name}`], difference)).toBeLessThan(1e-7);
  }
});

test('work beyond one binding is cut into windows of frames; bf16 weights', {
  timeout: 120_000,
}, async () => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 1 << 16 } });
  for (const cached of [true, false]) {
    const shape: ConvShape = {
      ...CONV_SHAPES[6],
      ...{ batch: 2, frames: 5, height: 61, width: 3, inChannels: 16, outChannels: 24, cached },
    };
    const inputs = operandsOf(shape);
    const values = valuesOf(inputs, 10);
    const bits = new Uint16Array(new Uint32Array(values.weight.buffer).map((word) => word >>> 16));
    const weight = new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer);
    const fn = (t: Record<string, Tensor>) => gradients(shape, t as Operands);
    const halves = { ...inputs, weight: spec(inputs.weight.shape, 'bf16') };
    expect(planProgram(trace(halves, fn), small).dispatches.length).toBeGreaterThan(12);
    const got = await runOp(small, halves, { ...values, weight: bits } as never, fn as never);
    check(shape, { ...values, weight }, got);
  }
  small.destroy();
});

test('what is not needed is not computed', () => {
  const shape = CONV_SHAPES[2];
  trace(operandsOf(shape), (t) => {
    const y = conv3d(t.x, t.weight, { padding: shape.padding, cache: t.cache });
    expect(applyVjp(y, [t.g], [false, false, false])).toEqual([]);
    const [dx] = applyVjp(y, [t.g], [true, false, false]);
    const { dispatches } = planProgram({ dx: dx! }, device);
    expect(dispatches.some(({ label }) => label.includes('weight gradient'))).toBe(false);
    const [none, dweight] = applyVjp(y, [t.g], [false, true, false]);
    expect(none).toBeUndefined();
    expect(planProgram({ dweight: dweight! }, device).dispatches.length).toBe(4);
    return { dx: dx! };
  });
});
