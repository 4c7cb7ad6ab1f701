/**
 * Every matmul variant, forced one by one, against float64: also those for hardware, which run here on whatever
 * device there is. `DWM_SEED` changes the random shapes.
 */
import {
  type DeviceCaps,
  elementCount,
  type Lowering,
  type MatmulSpec,
  type PackedDType,
  type Tuning,
} from '@dwm/kernels-wgsl';
import type { Fusion } from '@dwm/kernels-wgsl/pointwise';
import {
  lowerHalf,
  MATMUL_SHAPES,
  MATMUL_VARIANTS,
  matmulReference,
  matrixKernel,
  matrixMatmul,
  scaledReference,
} from '@dwm/kernels-wgsl/testing';
import { describe, expect, test } from 'vitest';
import { toFloat16, toFloat32 } from '../files/safetensors/convert.ts';
import { grad } from '../grad/grad.ts';
import { openNodeDevice } from '../node/index.ts';
import { input, record, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { quantizedMatmul } from './matmul.ts';
import { sum } from './reduce.ts';
import { runOp, spec } from './testing.ts';

const device = await openNodeDevice();
const seed = Number(process.env.DWM_SEED ?? 20250);
const random = seeded(seed);
console.log(`random matmul shapes: DWM_SEED=${seed}`);

/** This device, as a GPU would describe itself. */
const asHardware: DeviceCaps = {
  ...device.caps,
  adapter: { ...device.caps.adapter, kind: 'hardware' },
};

interface Case {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

interface Forced {
  readonly variant: string;
  readonly tuning?: Tuning;
  readonly half?: boolean;
  /** Only some of the shapes, because each alignment is a pipeline that lavapipe takes seconds to compile. */
  readonly few?: boolean;
}

type Lower = (spec: MatmulSpec) => Lowering;

/** Undefined where the variant takes the case neither on this device nor on hardware. */
function lowering(shape: Case, forced: Forced | Lower, epilogue: Fusion) {
  const half = typeof forced !== 'function' && forced.half === true;
  const matmulSpec: MatmulSpec = {
    ...shape,
    sharedB: shape.batch === 1,
    ...{ dtypeA: 'f32', dtypeB: 'f32', dtypeOut: 'f32' },
    halfPrecision: half,
    epilogue,
  };
  if (typeof forced === 'function') return forced(matmulSpec);
  const found = MATMUL_VARIANTS.find(({ name }) => name === forced.variant)!;
  const caps = [device.caps, asHardware].find((c) => found.applies(matmulSpec, c));
  if (!caps) return undefined;
  return found.lower(matmulSpec, caps, forced.tuning);
}

/** Largest relative error of the case, or undefined where the variant does not apply. */
async function errorOf(shape: Case, forced: Forced | Lower): Promise<number | undefined> {
  const { batch, m, n, k, transposeA, transposeB } = shape;
  // A gate of the output's shape leaves no shape in the code, so that pipelines are shared, and, unlike a sum,
  // cancels nothing; matmul.test.ts has other epilogues.
  const count = batch * m * n;
  const gate: Fusion = {
    shape: [count],
    expression: {
      kind: 'apply',
      fn: 'mul',
      args: [{ kind: 'accumulator' }, { kind: 'operand', index: 0 }],
    },
    operands: [{ dtype: 'f32', access: { offset: 0, dims: [{ stride: 1, shift: 0, divisor: 1 }] }, count }],
  };
  const lowered = lowering(shape, forced, gate);
  if (!lowered) return undefined;
  const inputs = {
    a: spec(transposeA ? [batch, k, m] : [batch, m, k]),
    b: spec(transposeB ? [batch, n, k] : [batch, k, n]),
    gate: spec([count]),
  };
  const values = {
    a: randomNormals(elementCount(inputs.a.shape), random),
    b: randomNormals(elementCount(inputs.b.shape), random),
    gate: randomNormals(count, random),
  };
  const fn = (t: { [K in keyof typeof inputs]: Tensor }) => ({
    out: record(
      {
        ...{ kind: 'kernel' as const, name: 'matmul', cost: { flops: 1, bytes: 1 } },
        ...{ epilogue: false, bindings: 6, lower: () => lowered },
      },
      [t.a, t.b, t.gate],
      [spec([batch, m, n])],
    )[0],
  });
  const { out } = await runOp(device, inputs, values, fn);
  expect((await runOp(device, inputs, values, fn)).out).toEqual(out);
  const want = matmulReference({ ...shape, sharedB: batch === 1 }, values.a, values.b);
  return relativeError(
    out,
    want.map((v, i) => v * values.gate[i]),
  );
}

const TRANSPOSES = [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
] as const;

const FORCED: readonly Forced[] = [
  { variant: 'lanes', tuning: { rows: 32, columns: 4, splits: 1 } },
  { variant: 'lanes', tuning: { rows: 8, columns: 2, splits: 3 } },
  { variant: 'lanes', tuning: { rows: 2, columns: 4, splits: 1 } },
  { variant: 'lanes', tuning: { rows: 1, columns: 1, splits: 1 } },
  { variant: 'dot-rows' },
  { variant: 'staged', tuning: { side: 4, step: 8, splits: 3 }, few: true },
  { variant: 'half', tuning: { splits: 1 }, half: true },
  { variant: 'half', tuning: { splits: 3 }, half: true },
];

const bound = ({ half }: Forced) => (half ? 5e-3 : 1e-6);
/** Looser, for a product of few terms that happens to cancel. */
const randomBound = ({ half }: Forced) => (half ? 5e-3 : 1e-5);

describe.each(FORCED)('$variant $tuning', (forced) => {
  test.for(TRANSPOSES)('transposed %s %s', async ([transposeA, transposeB], { skip }) => {
    let ran = 0;
    for (const [i, shape] of MATMUL_SHAPES.entries()) {
      if (forced.few && i % 5 !== 2) continue;
      const error = await errorOf({ ...shape, transposeA, transposeB }, forced);
      if (error === undefined) continue;
      expect(error, JSON.stringify(shape)).toBeLessThan(bound(forced));
      ran++;
    }
    if (ran === 0) skip('the variant takes no such layout, or needs f16');
  });
});

// lavapipe takes seconds to compile it: once.
test('staged 128 x 128', async () => {
  const shape = { batch: 2, m: 131, n: 143, k: 36, transposeA: false, transposeB: true };
  const forced = { variant: 'staged', tuning: { side: 8, step: 8, splits: 1 } };
  expect(await errorOf(shape, forced)).toBeLessThan(1e-6);
});

test.for([
  { side: 1, buffers: 1, splits: 1, config: { M: 16, N: 16, K: 16 } },
  { side: 1, buffers: 2, splits: 2, config: { M: 16, N: 8, K: 16 } },
  { side: 1, buffers: 2, splits: 1, config: { M: 8, N: 16, K: 16 } },
  { side: 2, buffers: 1, splits: 3, config: { M: 8, N: 8, K: 8 } },
] as const)(
  'matrix kernel without matrix units: side $side, buffers $buffers, splits $splits, $config',
  async ({ side, buffers, splits, config }, { skip }) => {
    if (!device.caps.features.f16) skip('the adapter has no f16');
    const kernel = matrixMatmul((sources) => matrixKernel({ side, buffers }, config, 32, true, sources));
    // Few, because lavapipe takes seconds to compile it for each width.
    for (const [transposeA, transposeB] of TRANSPOSES.slice(0, 3)) {
      const shape = { batch: 2, m: 35, n: 31, k: 65, transposeA, transposeB };
      const error = await errorOf(shape, (matmulSpec) => lowerHalf(matmulSpec, device.caps, kernel, splits));
      expect(error).toBeLessThan(2e-3);
    }
  },
);

test('200 random shapes', async () => {
  const upTo = (most: number) => 1 + Math.floor(random() ** 2 * most);
  let ran = 0;
  for (let i = 0; ran < 200; i++) {
    const [transposeA, transposeB] = TRANSPOSES[Math.floor(random() * 4)];
    const shape = { batch: upTo(3), m: upTo(90), n: upTo(150), k: upTo(300), transposeA, transposeB };
    const forced = FORCED[i % FORCED.length];
    const error = await errorOf(shape, forced);
    if (error === undefined) continue;
    expect(error, `${JSON.stringify({ shape, forced })} seed ${seed}`).toBeLessThan(randomBound(forced));
    ran++;
  }
});

/** Random bytes of a quantized weight, and the numbers that they stand for. */
function quantized(
  dtype: PackedDType,
  count: number,
): { bytes: Int8Array | Uint8Array; numbers: Float64Array } {
  if (dtype === 'i8') {
    const bytes = Int8Array.from({ length: count }, () => Math.floor(random() * 256) - 128);
    return { bytes, numbers: Float64Array.from(bytes) };
  }
  if (dtype === 'i4') {
    const bytes = Uint8Array.from({ length: count / 2 }, () => Math.floor(random() * 256));
    const signed = (nibble: number) => (nibble < 8 ? nibble : nibble - 16);
    return { bytes, numbers: Float64Array.from([...bytes].flatMap((b) => [signed(b & 15), signed(b >> 4)])) };
  }
  const name = dtype === 'e4m3' ? 'F8_E4M3' : 'F8_E5M2';
  // Without infinities and what is no number.
  const bytes = Uint8Array.from(
    { length: count },
    () => Math.floor(random() * 0x74) | (random() < 0.5 ? 128 : 0),
  );
  return { bytes, numbers: Float64Array.from(toFloat32({ dtype: name, data: bytes })) };
}

describe.each(['i8', 'i4', 'e4m3', 'e5m2'] as const)('weights in %s', (dtype) => {
  test.each([
    { m: 1, n: 40, k: 64, groupSize: 8, scale: 'f32', offsets: false },
    { m: 5, n: 33, k: 96, groupSize: 96, scale: 'f32', offsets: true },
    { m: 70, n: 51, k: 160, groupSize: 32, scale: 'f16', offsets: false },
  ] as const)('$m x $n x $k, groups of $groupSize', async ({ m, n, k, groupSize, scale, offsets }) => {
    const { bytes, numbers } = quantized(dtype, n * k);
    const groups = [n, k / groupSize];
    const made = () => randomNormals((n * k) / groupSize, random);
    const asStored = (values: Float32Array) => (scale === 'f16' ? toFloat16(values) : values);
    const scales = asStored(made());
    const moved = offsets ? asStored(made()) : undefined;
    const read = (data: Float32Array | Uint16Array) =>
      toFloat32({ dtype: scale === 'f16' ? 'F16' : 'F32', data });
    const x = randomNormals(m * k, random);
    const scaledB = { groupSize, dtype: scale, offsets };
    const weight = scaledReference({ k, scaledB }, numbers, read(scales), moved && read(moved));
    const shape = { batch: 1, m, n, k, transposeA: false, transposeB: true, sharedB: true };
    const want = matmulReference(shape, x, weight);
    const inputs = {
      x: spec([m, k]),
      w: spec([n, k], dtype),
      scales: spec(groups, scale),
      ...(offsets && { offsets: spec(groups, scale) }),
    };
    const values = { x, w: bytes, scales, ...(moved && { offsets: moved }) };
    const { out } = await runOp(device, inputs, values, (t) => ({
      out: quantizedMatmul(t.x, t.w, t.scales, t.offsets),
    }));
    expect(relativeError(out, want)).toBeLessThan(1e-6);
    const lower = async (lowering: Lowering) => {
      const { out: forced } = await runOp(device, inputs, values, (t) => ({
        out: record(
          {
            ...{ kind: 'kernel' as const, name: 'matmul', cost: { flops: 1, bytes: 1 } },
            ...{ epilogue: false, bindings: 6, lower: () => lowering },
          },
          [t.x, t.w, t.scales, ...(t.offsets ? [t.offsets] : [])],
          [spec([m, n])],
        )[0],
      }));
      return relativeError(forced, want);
    };
    for (const halfPrecision of [false, true]) {
      const matmulSpec: MatmulSpec = {
        ...{ ...shape, dtypeA: 'f32', dtypeB: dtype, dtypeOut: 'f32', scaledB, epilogue: undefined },
        halfPrecision,
      };
      for (const variant of MATMUL_VARIANTS) {
        const caps = [device.caps, asHardware].find((own) => variant.applies(matmulSpec, own));
        const half = variant.name === 'half';
        if (!caps || half !== halfPrecision) continue;
        expect(await lower(variant.lower(matmulSpec, caps)), variant.name).toBeLessThan(half ? 5e-3 : 1e-6);
      }
      // lavapipe takes seconds to compile it: once.
      if (!halfPrecision || dtype !== 'i4' || m < 9 || !device.caps.features.f16) continue;
      const kernel = matrixMatmul((sources) =>
        matrixKernel({ side: 1, buffers: 1 }, { M: 8, N: 8, K: 8 }, 32, true, sources),
      );
      expect(await lower(lowerHalf(matmulSpec, device.caps, kernel)), 'matrix').toBeLessThan(5e-3);
    }
  });

  test('has no gradient', () => {
    const x = input('x', spec([2, 16]));
    const w = input('w', spec([8, 16], dtype));
    const out = quantizedMatmul(x, w, input('scales', spec([8, 1])));
    expect(() => grad(sum(out, [0, 1]), [x])).toThrow('quantizedMatmul has no gradient');
  });
});
