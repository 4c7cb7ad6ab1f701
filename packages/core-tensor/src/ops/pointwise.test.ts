/**
 * Elementwise kernels over random shapes, broadcasts and views against float64, on this device and as a GPU would
 * get them. `DWM_SEED` changes the shapes.
 */
import { type DeviceCaps, elementCount } from '@dwm/kernels-wgsl';
import { type Fusion, lowerPointwise } from '@dwm/kernels-wgsl/pointwise';
import { cpuLanes, fusionReference } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import { InvalidArgumentError } from '../errors.ts';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { trace } from '../program.ts';
import { record, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { add, cast, geluTanh, mul, sub } from './pointwise.ts';
import { runOp, spec } from './testing.ts';
import { permute, slice } from './views.ts';

const device = await openNodeDevice();
const seed = Number(process.env.DWM_SEED ?? 20251);
console.log(`random elementwise shapes: DWM_SEED=${seed}`);

/** This device, as a GPU would describe itself. */
const asHardware: DeviceCaps = { ...device.caps, adapter: { ...device.caps.adapter, kind: 'hardware' } };

/**
 * Random expressions of three operands over a random shape, each read through its own affine map: some that differ
 * in the leading dimension only, which share their pipeline.
 */
function randomFusions(random: () => number, leading: number): Fusion[] {
  const upTo = (most: number) => 1 + Math.floor(random() ** 2 * most);
  const most = [[3000], [60, 130], [5, 30, 70], [3, 4, 12, 40]][Math.floor(random() * 4)];
  const inner = most.slice(1).map(upTo);
  if (inner.length > 0 && random() < 0.4) inner.push(4 * Math.ceil(inner.pop()! / 4));
  const chance = Array.from({ length: 40 }, random);
  const fn = Math.floor(random() * 3);
  return Array.from({ length: leading }, () => fusionOf([upTo(most[0]), ...inner], chance, fn));
}

/** @param chance numbers in [0, 1) that decide on the operands. */
function fusionOf(shape: readonly number[], chance: readonly number[], fn: number): Fusion {
  let drawn = 0;
  const random = () => chance[drawn++ % chance.length];
  const operands = [0, 1, 2].map(() => {
    const offset = random() < 0.2 ? Math.floor(random() * 9) : 0;
    let stride = 1;
    let end = offset;
    const dims = shape.map(() => ({ stride: 0, shift: 0, divisor: 1 }));
    const order = [...shape.keys()].reverse();
    if (random() < 0.2) order.splice(0, order.length - 1, ...order.slice(0, -1).reverse());
    for (const d of order) {
      if (random() < 0.3) continue;
      const doubled = random() < 0.1;
      dims[d] = { stride, shift: doubled ? 1 : 0, divisor: doubled ? 2 : 1 };
      const size = doubled ? Math.floor(shape[d] / 2) + 1 : shape[d];
      end += (size - 1) * stride;
      stride *= size;
    }
    return { dtype: 'f32' as const, access: { offset, dims }, count: end + 1 };
  });
  const x = (index: number) => ({ kind: 'operand' as const, index });
  const coordinate = { kind: 'coordinate' as const, dim: Math.floor(random() * shape.length) };
  const product = { kind: 'apply' as const, fn: 'mul' as const, args: [x(1), x(2)] };
  const which = { kind: 'apply' as const, fn: 'less' as const, args: [coordinate, x(1)] };
  const expressions: readonly Fusion['expression'][] = [
    { kind: 'apply', fn: 'add', args: [x(0), product] },
    { kind: 'apply', fn: 'geluTanh', args: [{ kind: 'apply', fn: 'max', args: [x(0), product] }] },
    { kind: 'apply', fn: 'where', args: [which, x(0), x(2)] },
  ];
  return { shape, operands, expression: expressions[fn] };
}

test('200 random shapes', async () => {
  const random = seeded(seed);
  // Many in one program, whose pipelines are compiled side by side.
  for (let batch = 0; batch < 2; batch++) {
    const fusions = Array.from({ length: 20 }, () => randomFusions(random, 5)).flat();
    const values: Record<string, Float32Array> = {};
    for (const [i, { operands }] of fusions.entries())
      for (const [k, { count }] of operands.entries()) values[`x${i}_${k}`] = randomNormals(count, random);
    const inputs = Object.fromEntries(
      Object.entries(values).map(([name, { length }]) => [name, spec([length])]),
    );
    const fn = (t: Record<string, Tensor>) =>
      Object.fromEntries(
        fusions.map((fusion, i) => {
          const caps = i % 20 < 5 ? asHardware : device.caps;
          const op = {
            ...{ kind: 'kernel' as const, name: 'pointwise', cost: { flops: 1, bytes: 1 } },
            ...{
              epilogue: false,
              bindings: 4,
              lower: () => lowerPointwise({ ...fusion, dtype: 'f32' }, { caps }),
            },
          };
          const operands = fusion.operands.map((_, k) => t[`x${i}_${k}`]);
          return [`y${i}`, record(op, operands, [spec(fusion.shape)])[0]];
        }),
      );
    const got = await runOp(device, inputs, values, fn);
    for (const [i, fusion] of fusions.entries()) {
      const want = fusionReference(
        fusion,
        fusion.operands.map((_, k) => values[`x${i}_${k}`]),
      );
      expect(
        relativeError(got[`y${i}`], want),
        `seed ${seed}: ${JSON.stringify(fusion)}`,
      ).toBeLessThanOrEqual(1e-6);
    }
    if (batch === 0) expect(await runOp(device, inputs, values, fn)).toEqual(got);
  }
});

// Several blocks of rows, of columns and of outer indices, with and without a rest.
test.each([
  [1, 67, 9000],
  [3, 65, 1028],
  [2, 1, 40_004],
  [5, 129, 33],
])('gate and residual of %i x %i x %i, broadcast along rows', async (batch, rows, columns) => {
  const random = seeded(columns);
  const count = batch * rows * columns;
  const values = {
    ...{ x: randomNormals(count, random), y: randomNormals(count, random) },
    gate: randomNormals(batch * columns, random),
  };
  const shape = [batch, rows, columns];
  const inputs = { x: spec(shape), y: spec(shape), gate: spec([batch, 1, columns]) };
  const fn = (t: Record<keyof typeof inputs, Tensor>) => ({ out: add(t.x, mul(t.gate, t.y)) });
  const want = Float64Array.from(values.x, (x, i) => {
    const at = Math.floor(i / (rows * columns)) * columns + (i % columns);
    return x + values.gate[at] * values.y[i];
  });
  const { out } = await runOp(device, inputs, values, fn);
  expect(relativeError(out, want)).toBeLessThanOrEqual(1e-6);
  expect((await runOp(device, inputs, values, fn)).out).toEqual(out);

  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 1 << 17 } });
  expect(planProgram(trace(inputs, fn), small).dispatches.length).toBeGreaterThan(
    elementCount(shape) > 1 << 15 ? 1 : 0,
  );
  expect((await runOp(small, inputs, values, fn)).out).toEqual(out);
  small.destroy();
});

test('a line of many blocks, bf16 in and out', async () => {
  const count = 300_007;
  const x = randomNormals(count, seeded(1));
  const bits = new Uint16Array(new Uint32Array(x.buffer).map((word) => word >>> 16));
  const cut = new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer);
  const { y } = await runOp(device, { x: spec([count], 'bf16') }, { x: bits }, (t) => ({
    y: cast(cast(geluTanh(t.x), 'bf16'), 'f32'),
  }));
  const want = Float64Array.from(
    cut,
    (v) => 0.5 * v * (1 + Math.tanh(0.7978845608028654 * (v + 0.044715 * v ** 3))),
  );
  expect(relativeError(y, want)).toBeLessThan(4e-3);
});

// Of the last, the first operand cannot begin with a binding.
test.each([
  ['blocks', 0],
  ['blocks', 64],
  ['line', 1],
])('%s: dense from element %i, one number, bf16', async (variant, offset) => {
  const count = 3 * 16 * 4 * 256;
  const random = seeded(offset);
  const x = randomNormals(count + 128, random);
  const half = new Uint16Array(
    new Uint32Array(randomNormals(count, random).buffer).map((word) => word >>> 16),
  );
  const inputs = { x: spec([count + 128]), scale: spec([1]), half: spec([count], 'bf16') };
  const fn = (t: Record<keyof typeof inputs, Tensor>) => ({
    y: add(mul(geluTanh(slice(t.x, 0, offset, count)), t.scale), t.half),
  });
  if (cpuLanes(device.caps) > 0) {
    const { dispatches } = planProgram(trace(inputs, fn), device);
    expect(dispatches.map(({ label }) => label)).toEqual([`pointwise: pointwise/${variant} x4`]);
  }
  const { y } = await runOp(device, inputs, { x, scale: new Float32Array([1.5]), half }, fn);
  const added = new Float32Array(Uint32Array.from(half, (word) => word << 16).buffer);
  const want = Float64Array.from(added, (h, i) => {
    const v = x[offset + i];
    return 1.5 * (v / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))) + h;
  });
  expect(relativeError(y, want)).toBeLessThanOrEqual(1e-6);
});

test.for([
  { shape: [67, 132], second: [132], variants: ['rows', 'line', 'grid'] },
  { shape: [64, 256], second: [1], variants: ['blocks', 'line', 'grid'] },
  { shape: [67, 1], second: [1], variants: ['line', 'grid'] },
])('$shape with $second: each of $variants can be chosen, with the same bits', async (each, { skip }) => {
  if (cpuLanes(device.caps) === 0) skip('there is one variant on this adapter');
  const { shape, second, variants } = each;
  const random = seeded(7);
  const values = {
    x: randomNormals(elementCount(shape), random),
    y: randomNormals(elementCount(second), random),
  };
  const inputs = { x: spec(shape), y: spec(second) };
  const fn = ({ x, y }: Record<keyof typeof inputs, Tensor>) => ({ out: mul(add(x, y), x) });
  const [{ receipt }] = planProgram(trace(inputs, fn), device).dispatches;
  expect(receipt!.alternatives().map(({ variant }) => variant)).toEqual(variants);
  const outs: Float32Array[] = [];
  for (const choice of receipt!.alternatives()) {
    device.decisions.choices.set(receipt!.key, choice);
    const [{ receipt: tuned }] = planProgram(trace(inputs, fn), device).dispatches;
    expect(tuned).toMatchObject({ ...choice, reason: 'tuned' });
    outs.push((await runOp(device, inputs, values, fn)).out as Float32Array);
  }
  device.decisions.choices.delete(receipt!.key);
  for (const out of outs) expect(out).toEqual(outs[0]);
});

test('the class of pointwise work: sizes, types and broadcasts, not what is computed', () => {
  const keyOf = (fn: (t: Record<'x' | 'y', Tensor>) => Tensor, y: number[]) =>
    planProgram(
      trace({ x: spec([67, 132]), y: spec(y) }, (t) => ({ out: fn(t) })),
      device,
    ).dispatches[0].receipt!.key;
  const key = keyOf(({ x, y }) => add(x, y), [132]);
  expect(key).toBe('pointwise shape=128x256 dtype=f32 reads=f32:11xf32:01');
  expect(keyOf(({ x, y }) => geluTanh(mul(x, y)), [132])).toBe(key);
  expect(keyOf(({ x, y }) => add(x, y), [67, 1])).not.toBe(key);
});

test.each([[[1, 1]], [[7, 1]], [[5, 3]], [[4, 8]], [[33, 64]]])(
  'bytes [%i] come in as 0 to 255 and go out cut and saturated',
  async (shape) => {
    const [rows, columns] = shape;
    const bytes = Uint8Array.from({ length: rows * columns }, (_, i) => (i * 37 + 5) % 256);
    const { wide, back, turned, twice } = await runOp(
      device,
      { x: spec(shape, 'u8') },
      { x: bytes },
      ({ x }) => ({
        wide: cast(x, 'f32'),
        back: cast(add(x, 0.9), 'u8'),
        turned: cast(permute(x, [1, 0]), 'u8'),
        twice: cast(sub(mul(x, 3), 255), 'u8'),
      }),
    );
    expect(wide).toEqual(Float32Array.from(bytes));
    expect(back).toEqual(bytes);
    expect(turned).toEqual(bytes.map((_, i) => bytes[(i % rows) * columns + Math.floor(i / rows)]));
    expect(twice).toEqual(bytes.map((value) => Math.min(255, Math.max(0, 3 * value - 255))));
  },
);

test('what is only stored is not written: neither cast to, nor a view of it laid out', () => {
  const plan = (view: (x: Tensor) => Tensor) =>
    planProgram(
      trace({ x: spec([6, 8], 'i8') }, ({ x }) => ({ out: view(x) })),
      device,
    );
  for (const view of [
    (x: Tensor) => cast(add(cast(x, 'f32'), 1), 'e4m3'),
    (x: Tensor) => slice(x, 0, 2, 3),
  ]) {
    expect(() => plan(view)).toThrow(InvalidArgumentError);
    expect(() => plan(view)).toThrow(/no kernel writes (e4m3|i8); it is for weights only/);
  }
  expect(plan((x) => cast(x, 'f32')).dispatches).toHaveLength(1);
});
