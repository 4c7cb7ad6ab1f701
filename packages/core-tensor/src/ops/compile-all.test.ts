/**
 * Every kernel of every family compiles, those for matrix units included: on Dawn's null backend, which has all
 * features and runs nothing, posing as each kind of device that kernels choose by. Of matmul, attention and
 * convolution every variant with every candidate tile.
 */
import {
  type AttentionSpec,
  type ConvSpec,
  convOutputShape,
  type DeviceCaps,
  type MatmulSpec,
  type Operand,
} from '@dwm/kernels-wgsl';
import { identity } from '@dwm/kernels-wgsl/pointwise';
import { ATTENTION_VARIANTS, CONV_VARIANTS, MATMUL_VARIANTS, type Variant } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { pipelinesOf } from '../pipelines.ts';
import { type PlannedDispatch, planProgram } from '../plan/plan.ts';
import type { Precision, Tensor } from '../tensor.ts';
import { EVERY_OP } from './testing/every-op.ts';

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
      subgroupSizeControl: false,
      ...features,
    },
  };
}

// The null backend takes matrices of any size, and lists none.
const subgroupMatrixConfigs = [
  [16, 16, 16],
  [16, 8, 16],
  [8, 16, 16],
  [8, 8, 8],
].map(([M, N, K]) => ({ componentType: 'f16', resultComponentType: 'f32', M, N, K }));
const POSES = {
  'GPU with matrix units': pose('hardware', 32, { subgroupMatrixConfigs }),
  GPU: pose('hardware', 32),
  'GPU without f16 and subgroups': pose('hardware', 0, { f16: false }),
  'CPU of 8 lanes': pose('software', 8),
  'CPU of 4 lanes': pose('software', 4, { f16: false }),
};

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
    await device.wait(pipelinesOf(device).get(dispatch as PlannedDispatch));
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
  const { dispatches } = planProgram(outputs, { caps }, precision);
  await Promise.all(dispatches.map((dispatch) => compileOne(dispatch, caps)));
  return dispatches.length;
}

test.each(Object.keys(POSES) as (keyof typeof POSES)[])('%s', { timeout: 240_000 }, async (name) => {
  for (const precision of ['f32', 'f16'] as const) {
    for (const { make } of Object.values(EVERY_OP))
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

test('every matmul variant with every candidate', { timeout: 240_000 }, () =>
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
  ),
);

test('every attention variant with every candidate', { timeout: 240_000 }, () =>
  everyVariant(ATTENTION_VARIANTS, () =>
    [16, 36, 64, 128].flatMap((headDim): AttentionSpec[] => {
      const sizes = { batch: 2, queries: 700, keys: 300, heads: 3, headDim, scale: 1, halfPrecision: true };
      const bias = { shape: [700, 300], dtype: 'f32' } as const;
      return [
        { ...sizes, dtypes: { q: 'f32', k: 'f16', v: 'bf16' }, mask: false },
        { ...sizes, dtypes: { q: 'f32', k: 'f32', v: 'f32' }, mask: true, bias },
      ];
    }),
  ),
);

test('every convolution variant with every candidate', { timeout: 240_000 }, () =>
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
  ),
);
