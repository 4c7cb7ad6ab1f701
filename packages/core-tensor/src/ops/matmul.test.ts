import { fusionReference, MATMUL_SHAPES, matmulReference } from '@dwm/kernels-wgsl/testing';
import { describe, expect, test } from 'vitest';
import type { Device } from '../device/device.ts';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { trace } from '../program.ts';
import type { HostData, Tensor, TensorSpec } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { matmul } from './matmul.ts';
import { add, geluTanh, mul } from './pointwise.ts';
import { runOp, spec } from './testing.ts';

const device = await openNodeDevice();
const random = seeded(7);

/** f32 values cut to bf16, and their bits. */
function bf16(values: Float32Array): { bits: Uint16Array; values: Float32Array } {
  const bits = new Uint16Array(new Uint32Array(values.buffer).map((word) => word >>> 16));
  return { bits, values: new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer) };
}

/** In f16 by a kernel that multiplies halves, where it takes the product: a CPU's default does not. */
function runHalf<I extends Record<string, TensorSpec>>(
  on: Device,
  inputs: I,
  values: { [K in keyof I]: HostData },
  fn: (t: { [K in keyof I]: Tensor }) => { out: Tensor },
) {
  for (const { receipt } of planProgram(trace(inputs, fn), on, 'f16').dispatches) {
    const half = receipt?.alternatives().find(({ variant }) => variant === 'matrix' || variant === 'half');
    if (half) on.decisions.choices.set(receipt!.key, half);
  }
  return runOp(on, inputs, values, fn, 'f16');
}

describe.each(MATMUL_SHAPES)('matmul $batch x $m x $n x $k', ({ batch, m, n, k }) => {
  const a = randomNormals(batch * m * k, random);
  const b = randomNormals(batch * n * k, random);
  test.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])('transposed %s %s', async (transposeA, transposeB) => {
    const inputs = {
      a: spec(transposeA ? [batch, k, m] : [batch, m, k]),
      b: spec(transposeB ? [batch, n, k] : [batch, k, n]),
    };
    const want = matmulReference({ batch, m, n, k, transposeA, transposeB, sharedB: false }, a, b);
    const fn = (x: { a: Tensor; b: Tensor }) => ({ out: matmul(x.a, x.b, { transposeA, transposeB }) });
    const { out } = await runOp(device, inputs, { a, b }, fn);
    expect(relativeError(out, want)).toBeLessThan(1e-6);
    expect((await runOp(device, inputs, { a, b }, fn)).out).toEqual(out);
    if (device.caps.features.f16) {
      const half = await runHalf(device, inputs, { a, b }, fn);
      expect(relativeError(half.out, want)).toBeLessThan(2e-3);
    }
  });
});

test('epilogue: bias, activation, gate and residual are one dispatch', async () => {
  const [batch, m, n, k] = [2, 19, 12, 20];
  const inputs = {
    x: spec([batch, m, k]),
    w: spec([n, k]),
    bias: spec([n]),
    gate: spec([batch, 1, n]),
    residual: spec([batch, m, n]),
  };
  const values = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape }]) => [
      name,
      randomNormals(
        shape.reduce((p, q) => p * q, 1),
        random,
      ),
    ]),
  ) as { [K in keyof typeof inputs]: Float32Array };
  const fn = (t: { [K in keyof typeof inputs]: Tensor }) => ({
    out: add(t.residual, mul(t.gate, geluTanh(add(matmul(t.x, t.w, { transposeB: true }), t.bias)))),
  });
  expect(planProgram(trace(inputs, fn), device).dispatches.length).toBe(1);
  const { out } = await runOp(device, inputs, values, fn);
  const acc = matmulReference(
    { batch: 1, m: batch * m, n, k, transposeA: false, transposeB: true, sharedB: true },
    values.x,
    values.w,
  );
  const want = acc.map((v, i) => {
    const u = v + values.bias[i % n];
    const g = 0.5 * u * (1 + Math.tanh(0.7978845608028654 * (u + 0.044715 * u ** 3)));
    return values.residual[i] + values.gate[Math.floor(i / (m * n)) * n + (i % n)] * g;
  });
  expect(relativeError(out, want)).toBeLessThan(1e-6);
});

test('bf16 weights', async () => {
  const [m, n, k] = [9, 10, 7];
  const a = randomNormals(m * k, random);
  const b = bf16(randomNormals(n * k, random));
  const shape = { batch: 1, m, n, k, transposeA: false, transposeB: true, sharedB: true };
  const { out } = await runOp(
    device,
    { a: spec([m, k]), b: spec([n, k], 'bf16') },
    { a, b: b.bits },
    (t) => ({
      out: matmul(t.a, t.b, { transposeB: true }),
    }),
  );
  expect(relativeError(out, matmulReference(shape, a, b.values))).toBeLessThan(1e-6);
});

test('f16 precision survives values that overflow f16', async (context) => {
  if (!device.caps.features.f16) context.skip('the adapter has no f16');
  const [m, n, k] = [30, 20, 50];
  const a = randomNormals(m * k, random).map((v, i) => v * 10 ** ((Math.floor(i / k) % 13) - 6));
  const b = randomNormals(n * k, random).map((v) => v * 1e9);
  const inputs = { a: spec([m, k]), b: spec([k, n]) };
  const { out } = await runHalf(device, inputs, { a, b }, (t) => ({ out: matmul(t.a, t.b) }));
  const want = matmulReference(
    { batch: 1, m, n, k, transposeA: false, transposeB: false, sharedB: true },
    a,
    b,
  );
  for (let row = 0; row < m; row++) {
    const part = [row * n, (row + 1) * n] as const;
    expect(relativeError(out.subarray(...part), want.subarray(...part))).toBeLessThan(2e-3);
  }
});

test.each(['f32', 'f16'] as const)(
  'operands larger than a binding are cut into windows (%s)',
  async (precision) => {
    const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 48 * 1024 } });
    const [m, n, k] = [300, 260, 100];
    const a = randomNormals(m * k, random);
    const b = randomNormals(n * k, random);
    const bias = randomNormals(n, random);
    const inputs = { a: spec([m, k]), b: spec([n, k]), bias: spec([n]), residual: spec([m, n]) };
    const residual = randomNormals(m * n, random);
    const fn = (t: { [K in keyof typeof inputs]: Tensor }) => ({
      out: add(add(matmul(t.a, t.b, { transposeB: true }), t.bias), t.residual),
    });
    expect(planProgram(trace(inputs, fn), small, precision).dispatches.length).toBeGreaterThan(6);
    const values = { a, b, bias, residual };
    const { out } = await (precision === 'f16'
      ? runHalf(small, inputs, values, fn)
      : runOp(small, inputs, values, fn));
    const acc = matmulReference(
      { batch: 1, m, n, k, transposeA: false, transposeB: true, sharedB: true },
      a,
      b,
    );
    const want = acc.map((v, i) => v + bias[i % n] + residual[i]);
    expect(relativeError(out, want)).toBeLessThan(
      precision === 'f32' || !small.caps.features.f16 ? 1e-6 : 2e-3,
    );
    small.destroy();
  },
);

test('the float64 reference of a fusion agrees with a hand-written one', () => {
  const shape = [2, 3];
  const dim = (stride: number) => ({ stride, shift: 0, divisor: 1 });
  const out = fusionReference(
    {
      shape,
      expression: {
        kind: 'apply',
        fn: 'mul',
        args: [{ kind: 'accumulator' }, { kind: 'operand', index: 0 }],
      },
      operands: [{ dtype: 'f32', access: { offset: 1, dims: [dim(0), dim(1)] }, count: 4 }],
    },
    [[9, 10, 20, 30]],
    [1, 2, 3, 4, 5, 6],
  );
  expect([...out]).toEqual([10, 40, 90, 40, 100, 180]);
});
