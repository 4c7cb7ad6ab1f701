/**
 * Every kernel of every family compiles, those for matrix units included: on Dawn's null backend, which has all
 * features and runs nothing, posing as each kind of device that kernels choose by. Of matmul, attention and
 * convolution every variant with every candidate tile.
 */
import {
  ATTENTION_VARIANTS,
  type AttentionSpec,
  CONV_VARIANTS,
  type ConvSpec,
  convOutputShape,
  type DeviceCaps,
  type DType,
  identity,
  MATMUL_VARIANTS,
  type MatmulSpec,
  type Operand,
  type Variant,
} from '@dwm/kernels-wgsl';
import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { Pipelines } from '../pipelines.ts';
import { type PlannedDispatch, planProgram } from '../plan/plan.ts';
import { trace } from '../program.ts';
import type { Precision, Tensor } from '../tensor.ts';
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
import { softmax } from './softmax.ts';
import { applyVjp, spec } from './testing.ts';

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
op('wide norms', { x: [[2, 9, 1024]], g: [[1024], 'bf16'], s: [[2, 1, 1024]] }, (t) => [
  mul(layerNorm(t.x, { eps: 1e-5, gamma: t.g, beta: t.g }), t.s),
  rmsNorm(t.x, { eps: 1e-5, gamma: t.g }),
  ...applyVjp(layerNorm(t.x, { eps: 1e-5, gamma: t.g }), [t.x]).map((g) => g!),
]);
op('softmax', { x: [[70, 226]], y: [[5, 9], 'bf16'] }, (t) => [
  softmax(t.x),
  mul(softmax(t.y), 2),
  applyVjp(softmax(t.x), [t.x])[0]!,
]);
op('rotary', { x: [[1, 9, 2, 8]], cos: [[7, 8]] }, (t) => rotary(t.x, t.cos, t.cos, 2));
op('joins', { x: [[3, 5]], y: [[3, 7]] }, (t) => [concat([t.x, t.y], 1), pad(t.x, 0, 1, 2)]);
op('reductions', { x: [[30, 5, 7]] }, (t) => [sum(t.x, [0, 2]), absMax(t.x, [1])]);
op('resize', { x: [[1, 3, 8, 9, 4]] }, (t) => resizeLinear(t.x, [3, 5, 6]));
op('random', { seed: [[2], 'u32'] }, (t) => randomNormal(t.seed, [9], 0));
op('elementwise', { x: [[9, 5]], y: [[5], 'bf16'] }, (t) => exp(mul(t.x, t.y)));
op('elementwise, whole blocks', { x: [[64, 512]], y: [[1], 'bf16'] }, (t) => exp(mul(t.x, t.y)));

/** A GPU with more workgroup memory than the null backend has. */
const LARGE: DeviceCaps = {
  ...POSES['GPU with matrix units'],
  limits: { ...device.caps.limits, maxComputeWorkgroupStorageSize: 49152 },
};

type Compiled = Pick<PlannedDispatch, 'label' | 'wgsl' | 'uniforms'> & {
  readonly bindings: readonly Pick<Operand, 'access'>[];
};

/**
 * Makes the pipeline; where the null backend would refuse its size, only the module. Its subgroups are of 128, and
 * matrices want whole ones.
 */
async function compileOne(dispatch: Compiled, caps: DeviceCaps): Promise<void> {
  const whole = /workgroup_size\((128|256)\)/.test(dispatch.wgsl);
  if (caps !== LARGE && (whole || !dispatch.wgsl.includes('subgroup_matrix'))) {
    await device.wait(Pipelines.of(device).get(dispatch as PlannedDispatch));
    return;
  }
  const module = device.gpu.createShaderModule({ code: dispatch.wgsl });
  const { messages } = await device.wait(module.getCompilationInfo());
  expect(messages.filter(({ type }) => type === 'error').map(({ message }) => message)).toEqual([]);
}

async function compiles(
  outputs: Record<string, Tensor>,
  caps: DeviceCaps,
  precision: Precision,
): Promise<number> {
  const { dispatches } = planProgram(outputs, caps, precision);
  await Promise.all(dispatches.map((dispatch) => compileOne(dispatch, caps)));
  return dispatches.length;
}

test.each(Object.keys(POSES) as (keyof typeof POSES)[])('%s', async (name) => {
  for (const precision of ['f32', 'f16'] as const) {
    for (const make of Object.values(OPS))
      expect(await compiles(make(), POSES[name], precision)).toBeGreaterThan(0);
  }
});

/** Compiles every variant with every candidate, of each of the specs, for every pose. */
async function everyVariant<Spec>(
  variants: readonly Variant<Spec>[],
  specs: (caps: DeviceCaps) => readonly Spec[],
): Promise<void> {
  const seen = new Set<string>();
  for (const caps of [...Object.values(POSES), LARGE]) {
    for (const variant of variants) {
      for (const each of specs(caps).filter((candidate) => variant.applies(candidate, caps))) {
        for (const tuning of variant.candidates?.(each, caps) ?? [undefined]) {
          for (const { operands, ...dispatch } of variant.lower(each, caps, tuning).dispatches) {
            await compileOne({ ...dispatch, bindings: operands }, caps);
          }
        }
        seen.add(variant.name);
      }
    }
  }
  expect([...seen].sort()).toEqual(variants.map(({ name }) => name).sort());
}

test('every matmul variant with every candidate', () =>
  everyVariant(MATMUL_VARIANTS, () =>
    [
      [4, 40, 64],
      [600, 600, 1024],
      [70, 41, 2051],
    ].map(
      ([m, n, k]): MatmulSpec => ({
        ...{ batch: 1, m, n, k, transposeA: false, transposeB: true, sharedB: true },
        ...{ dtypeA: 'f32', dtypeB: 'bf16', dtypeOut: 'f32', halfPrecision: true, epilogue: undefined },
      }),
    ),
  ));

test('every attention variant with every candidate', () =>
  everyVariant(ATTENTION_VARIANTS, () =>
    [16, 36, 64, 128].flatMap((headDim): AttentionSpec[] => {
      const sizes = { batch: 2, queries: 700, keys: 300, heads: 3, headDim, scale: 1, halfPrecision: true };
      const bias = { shape: [700, 300], dtype: 'f32' } as const;
      return [
        { ...sizes, dtypes: { q: 'f32', k: 'f16', v: 'bf16' }, mask: false },
        { ...sizes, dtypes: { q: 'f32', k: 'f32', v: 'f32' }, mask: true, bias },
      ];
    }),
  ));

test('every convolution variant with every candidate', () =>
  everyVariant(CONV_VARIANTS, ({ features }) =>
    [
      [128, 128],
      [16, 40],
      [3, 5],
    ].flatMap(([inChannels, outChannels]) =>
      [true, false].map((cached): ConvSpec => {
        const shape = {
          ...{ batch: 1, frames: 3, height: 19, width: 21, inChannels, outChannels, cached },
          kernel: [3, 3, 3],
          stride: 1,
          padding: { top: 1, bottom: 1, left: 1, right: 1 },
          upsample: { time: 1, space: cached ? 2 : 1, keepFirst: false },
        } as const;
        const fusion = identity(convOutputShape(shape));
        return {
          ...shape,
          weightDtype: 'bf16',
          precision: features.f16 ? 'f16' : 'f32',
          outputDtype: 'f32',
          fusion,
        };
      }),
    ),
  ));
