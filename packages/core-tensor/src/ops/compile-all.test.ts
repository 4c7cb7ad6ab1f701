/**
 * Every kernel of every family compiles, those for matrix units included: on Dawn's null backend, which has all
 * features and runs nothing, posing as each kind of device that kernels choose by. Of the matmul every variant
 * with every candidate tile.
 */
import { type DeviceCaps, type DType, MATMUL_VARIANTS, type MatmulSpec } from '@dwm/kernels-wgsl';
import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { Pipelines } from '../pipelines.ts';
import { planProgram } from '../plan/plan.ts';
import { trace } from '../program.ts';
import { type Precision, record, type Tensor } from '../tensor.ts';
import { attentionWithLse } from './attention.ts';
import { concat, pad } from './concat.ts';
import { conv3d } from './conv.ts';
import { embedding } from './embedding.ts';
import { groupNorm } from './group-norm.ts';
import { layerNorm, rmsNorm } from './layer-norm.ts';
import { matmul, quantizedMatmul } from './matmul.ts';
import { add, exp, geluTanh, mul, silu } from './pointwise.ts';
import { randomNormal } from './random.ts';
import { absMax, sum } from './reduce.ts';
import { resizeLinear } from './resize.ts';
import { rotary } from './rotary.ts';
import { spec } from './testing.ts';

const device = await openNodeDevice({ adapter: 'null' });

function pose(
  kind: 'hardware' | 'software',
  lanes: number,
  features: Partial<DeviceCaps['features']> = {},
): DeviceCaps {
  const { caps } = device;
  return {
    ...caps,
    adapter: { ...caps.adapter, kind },
    features: {
      ...caps.features,
      ...{ subgroups: lanes > 0, subgroupMinSize: lanes, subgroupMaxSize: lanes, subgroupMatrixConfigs: [] },
      ...features,
    },
  };
}

// The null backend takes matrices of any size, and lists none.
const subgroupMatrixConfigs = [16, 8].map((size) => ({
  ...{ componentType: 'f16', resultComponentType: 'f32', M: size, N: size, K: size },
}));
const POSES = {
  'GPU with matrix units': pose('hardware', 32, { subgroupMatrixConfigs }),
  GPU: pose('hardware', 32),
  'GPU without f16 and subgroups': pose('hardware', 0, { f16: false }),
  'CPU of 8 lanes': pose('software', 8),
  'CPU of 4 lanes': pose('software', 4, { f16: false }),
};

const OPS: Record<string, () => Record<string, Tensor>> = {};
const op = (
  name: string,
  shapes: Record<string, [number[], DType?]>,
  fn: (t: Record<string, Tensor>) => Tensor | Tensor[],
) => {
  const inputs = Object.fromEntries(Object.entries(shapes).map(([key, [s, d]]) => [key, spec(s, d)]));
  OPS[name] = () =>
    trace(inputs, (t) => {
      const results = fn(t);
      return Object.fromEntries((Array.isArray(results) ? results : [results]).map((r, i) => [`out${i}`, r]));
    });
};

for (const headDim of [16, 36, 64, 128]) {
  const tokens: [number[]] = [[2, 70, 3, headDim]];
  op(`attention ${headDim}`, { q: tokens, k: tokens, v: tokens }, (t) => attentionWithLse(t.q, t.k, t.v));
}
op(
  'attention, biased and masked',
  { q: [[2, 9, 3, 16]], k: [[2, 7, 3, 16]], bias: [[9, 7], 'bf16'], mask: [[2, 7], 'u32'] },
  (t) => attentionWithLse(t.q, t.k, t.k, { bias: t.bias, mask: t.mask }),
);
for (const dtype of ['f32', 'f16', 'bf16'] as const) {
  for (const [inner, outer] of [
    [16, 32],
    [3, 5],
  ]) {
    op(
      `conv ${inner} to ${outer} ${dtype}`,
      { x: [[1, 3, 9, 11, inner]], w: [[3, 3, 3, inner, outer], dtype], cache: [[1, 2, 9, 11, inner]] },
      (t) => silu(conv3d(t.x, t.w, { cache: t.cache, padding: { top: 1, bottom: 1, left: 1, right: 1 } })),
    );
    op(
      `conv 1x1, stride 2, ${inner} ${dtype}`,
      { x: [[1, 3, 9, 11, inner]], w: [[1, 1, 1, inner, outer], dtype] },
      (t) => conv3d(t.x, t.w, { stride: 2 }),
    );
  }
  op(`embedding ${dtype}`, { ids: [[5], 'u32'], table: [[9, 12], dtype] }, (t) => embedding(t.ids, t.table));
  for (const k of [64, 65]) {
    for (const transposeB of [false, true]) {
      op(
        `matmul ${k} ${transposeB} ${dtype}`,
        { a: [[3, 70, k]], b: [transposeB ? [40, k] : [k, 40], dtype], c: [[40], dtype] },
        (t) => geluTanh(add(matmul(t.a, t.b, { transposeB }), t.c)),
      );
    }
  }
}
for (const bits of [4, 8] as const) {
  op(`int${bits}`, { x: [[70, 64]], w: [[40, (64 * bits) / 32], 'u32'], scales: [[40, 2]] }, (t) =>
    quantizedMatmul(t.x, t.w, t.scales, { bits, groupSize: 32 }),
  );
}
op('norms', { x: [[2, 50, 64]], g: [[64], 'bf16'] }, (t) => [
  layerNorm(t.x, { eps: 1e-5, gamma: t.g, beta: t.g }),
  rmsNorm(t.x, { eps: 1e-5, gamma: t.g }),
  groupNorm(t.x, { groups: 8, eps: 1e-5, gamma: t.g, beta: t.g }),
]);
op('rotary', { x: [[1, 9, 2, 8]], cos: [[7, 8]] }, (t) => rotary(t.x, t.cos, t.cos, 2));
op('joins', { x: [[3, 5]], y: [[3, 7]] }, (t) => [concat([t.x, t.y], 1), pad(t.x, 0, 1, 2)]);
op('reductions', { x: [[30, 5, 7]] }, (t) => [sum(t.x, [0, 2]), absMax(t.x, [1])]);
op('resize', { x: [[1, 3, 8, 9, 4]] }, (t) => resizeLinear(t.x, [3, 5, 6]));
op('random', { seed: [[2], 'u32'] }, (t) => randomNormal(t.seed, [9], 0));
op('elementwise', { x: [[9, 5]], y: [[5], 'bf16'] }, (t) => exp(mul(t.x, t.y)));

async function compiles(
  outputs: Record<string, Tensor>,
  caps: DeviceCaps,
  precision: Precision,
): Promise<string[]> {
  const { dispatches } = planProgram(outputs, caps, precision);
  await device.wait(Promise.all(dispatches.map((dispatch) => Pipelines.of(device).get(dispatch))));
  return dispatches.map(({ label }) => label);
}

test.each(Object.keys(POSES) as (keyof typeof POSES)[])('%s', async (name) => {
  for (const precision of ['f32', 'f16'] as const) {
    for (const make of Object.values(OPS))
      expect(await compiles(make(), POSES[name], precision)).not.toEqual([]);
  }
});

test('every matmul variant with every candidate', async () => {
  const ran = new Set<string>();
  for (const caps of Object.values(POSES)) {
    for (const variant of MATMUL_VARIANTS) {
      for (const [m, n, k] of [
        [4, 40, 64],
        [600, 600, 1024],
        [70, 41, 2051],
      ]) {
        const matmulSpec: MatmulSpec = {
          ...{ batch: 1, m, n, k, transposeA: false, transposeB: true, sharedB: true },
          ...{ dtypeA: 'f32', dtypeB: 'bf16', dtypeOut: 'f32', halfPrecision: true, epilogue: undefined },
        };
        if (!variant.applies(matmulSpec, caps)) continue;
        for (const tuning of variant.candidates?.(matmulSpec, caps) ?? [undefined]) {
          const outputs = trace({ a: spec([m, k]), b: spec([n, k], 'bf16') }, (t) => ({
            out: record(
              {
                ...{ kind: 'kernel' as const, name: 'matmul', cost: { flops: 1, bytes: 1 } },
                ...{ epilogue: false, bindings: 6, lower: () => variant.lower(matmulSpec, caps, tuning) },
              },
              [t.a, t.b],
              [spec([m, n])],
            )[0],
          }));
          for (const label of await compiles(outputs, caps, 'f16')) ran.add(label);
        }
      }
    }
  }
  for (const { name } of MATMUL_VARIANTS) {
    expect(
      [...ran].some((label) => label.includes(`matmul/${name} `) || label.endsWith(`matmul/${name}`)),
      name,
    ).toBe(true);
  }
});
