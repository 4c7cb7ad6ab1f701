/**
 * A matrix that is loaded from beyond the end of an array is another, valid one (Tint clamps its place): no kernel may
 * do that. Here every load and store of every tile is computed for every subgroup, and every kernel is offered to
 * devices whose subgroups have no known size.
 */
import { expect, test } from 'vitest';
import { ATTENTION_VARIANTS } from '../attention/attention.ts';
import type { AttentionSpec } from '../attention/sections.ts';
import type { DeviceCaps, SubgroupMatrixConfig } from '../caps.ts';
import { CONV_VARIANTS } from '../conv/conv.ts';
import { type ConvSpec, convOutputShape } from '../conv/geometry.ts';
import type { Tuning, Variant } from '../kernel.ts';
import { identity } from '../pointwise/fusion.ts';
import { lowerMatmul, MATMUL_VARIANTS } from './matmul.ts';
import type { MatmulSpec } from './spec.ts';

const config = (M: number, N: number, K: number): SubgroupMatrixConfig => ({
  ...{ componentType: 'f16', resultComponentType: 'f32', M, N, K },
});
const CONFIGS = [config(16, 16, 16), config(16, 8, 16), config(8, 16, 16), config(8, 8, 8)];

const gpu = (min: number, max: number, subgroupSizeControl = false): DeviceCaps => ({
  adapter: {
    ...{ vendor: 'v', architecture: '', device: '', description: '' },
    ...{ isFallback: false, kind: 'hardware' },
  },
  features: {
    ...{ f16: true, subgroups: true, subgroupMinSize: min, subgroupMaxSize: max, timestampQuery: false },
    ...{ subgroupSizeControl, subgroupMatrixConfigs: CONFIGS },
  },
  limits: {
    ...{
      maxStorageBufferBindingSize: 2 ** 31,
      maxBufferSize: 2 ** 32,
      maxComputeWorkgroupStorageSize: 49152,
    },
    ...{ maxComputeInvocationsPerWorkgroup: 1024, maxComputeWorkgroupSizeX: 1024 },
    ...{ maxComputeWorkgroupSizeY: 1024, maxComputeWorkgroupSizeZ: 64 },
    ...{ maxComputeWorkgroupsPerDimension: 65535, maxStorageBuffersPerShaderStage: 8 },
    ...{ minStorageBufferOffsetAlignment: 256, minUniformBufferOffsetAlignment: 256 },
  },
});

const matmuls = [9, 100, 700].map(
  (m): MatmulSpec => ({
    ...{ batch: 1, m, n: m, k: 70, transposeA: false, transposeB: true, sharedB: true },
    ...{ dtypeA: 'f32', dtypeB: 'bf16', dtypeOut: 'f32', halfPrecision: true, epilogue: undefined },
  }),
);
const attentions = [20, 64, 128].map(
  (headDim): AttentionSpec => ({
    ...{ batch: 1, queries: 70, keys: 75, heads: 2, headDim, scale: 1, mask: false, halfPrecision: true },
    dtypes: { q: 'f32', k: 'f32', v: 'f32' },
  }),
);
const convolution: Omit<ConvSpec, 'fusion'> = {
  ...{ batch: 1, frames: 2, height: 40, width: 41, inChannels: 16, outChannels: 600, kernel: [3, 3, 3] },
  ...{ stride: 1, padding: { top: 1, bottom: 1, left: 1, right: 1 }, cached: false },
  ...{ upsample: { time: 1, space: 1, keepFirst: false } },
  ...{ weightDtype: 'f32', precision: 'f16', outputDtype: 'f32' },
};
const convolutions = [{ ...convolution, fusion: identity(convOutputShape(convolution)) }];

interface Found {
  readonly wgsl: string;
  readonly about: string;
}

/** The kernels that multiply matrices, of every variant and candidate that `caps` are given. */
function matrixKernels(caps: DeviceCaps): Found[] {
  const of = <Spec>(variants: readonly Variant<Spec>[], specs: readonly Spec[]) =>
    specs.flatMap((spec) =>
      variants
        .filter((variant) => variant.applies(spec, caps))
        .flatMap((variant) =>
          (variant.candidates?.(spec, caps) ?? [undefined]).flatMap((tuning?: Tuning) =>
            variant
              .lower(spec, caps, tuning)
              .dispatches.map(({ wgsl, label }) => ({ wgsl, about: `${label} ${JSON.stringify(tuning)}` })),
          ),
        ),
    );
  return [
    ...of(MATMUL_VARIANTS, matmuls),
    ...of(ATTENTION_VARIANTS, attentions),
    ...of(CONV_VARIANTS, convolutions),
  ].filter(({ wgsl }) => wgsl.includes('enable chromium_experimental_subgroup_matrix'));
}

/** What a kernel defines from `subgroup`, by name. */
const definitionsOf = (wgsl: string): [name: string, value: string][] =>
  [...wgsl.matchAll(/let (ownRow|ownColumn|ownPatch) = ([^;]*);/g)].map(([, name, value]) => [name, value]);

const known = new Map<string, number>();

/** An index as WGSL says it, for one subgroup and one of two buffers. */
function evaluate(
  index: string,
  definitions: readonly [string, string][],
  subgroup: number,
  buffer: number,
): number {
  let text = index.replaceAll('buffer', `${buffer}`);
  for (const [name, value] of definitions) text = text.replaceAll(name, `(${value})`);
  // Whole numbers: the only division is that of the subgroup by 2.
  text = text
    .replaceAll('subgroup / 2u', `${Math.floor(subgroup / 2)}`)
    .replaceAll('subgroup', `${subgroup}`)
    .replace(/(\d+)u/g, '$1');
  if (!known.has(text)) {
    expect(text).toMatch(/^[\d\s+*%()]+$/);
    known.set(text, Number(new Function(`return ${text}`)()));
  }
  return known.get(text)!;
}

test('no load or store of a matrix reaches beyond its array', () => {
  const lanes = 32;
  const kernels = matrixKernels(gpu(lanes, lanes));
  const shapes = new Set<string>();
  expect(kernels.length).toBeGreaterThan(40);
  for (const { wgsl, about } of kernels) {
    const sizes = new Map(
      [...wgsl.matchAll(/var<workgroup> (\w+): array<(vec4<u32>|f32), (\d+)>/g)].map(
        ([, name, type, count]) => [name, { words: Number(count), halves: type === 'f32' ? 1 : 8 }],
      ),
    );
    const subgroups = Number(/@workgroup_size\((\d+)\)/.exec(wgsl)![1]) / lanes;
    const loads = [
      ...wgsl.matchAll(
        /subgroupMatrixLoad<subgroup_matrix_(\w+)<f\d+, (\d+), (\d+)>, (row|col)_major>\(&(\w+), (.*?), (\d+)u\)/g,
      ),
    ].map(([, kind, columns, rows, order, array, at, stride]) => ({
      ...{ kind, array, at, stride: Number(stride) },
      ...(order === 'row'
        ? { lines: Number(rows), length: Number(columns) }
        : { lines: Number(columns), length: Number(rows) }),
    }));
    const [, N, M] = /subgroup_matrix_result<f32, (\d+), (\d+)>/.exec(wgsl)!.map(Number);
    const stores = [...wgsl.matchAll(/subgroupMatrixStore<row_major>\(&(\w+), (.*?), \w+, (\d+)u\)/g)].map(
      ([, array, at, stride]) => ({
        ...{ kind: 'stored', array, at, stride: Number(stride), lines: M, length: N },
      }),
    );
    expect(loads.length).toBeGreaterThan(1);
    expect(stores.length).toBeGreaterThan(0);
    expect(loads.length + stores.length).toBe(wgsl.match(/subgroupMatrix(Load|Store)</g)!.length);
    const definitions = definitionsOf(wgsl);
    const buffers = wgsl.includes('let buffer = ') ? [0, 1] : [0];
    for (const { kind, array, at, stride, lines, length } of [...loads, ...stores]) {
      shapes.add(kind);
      const { words, halves } = sizes.get(array)!;
      for (let subgroup = 0; subgroup < subgroups; subgroup++) {
        for (const buffer of buffers) {
          const first = evaluate(at, definitions, subgroup, buffer);
          const end = first + (lines - 1) * stride + Math.ceil(length / halves);
          if (end > words) expect.fail(`${about}: ${array} at ${at} of subgroup ${subgroup}`);
        }
      }
    }
  }
  expect(shapes).toEqual(new Set(['left', 'right', 'result', 'stored']));
  expect(kernels.filter(({ wgsl }) => wgsl.includes('let buffer = ')).length).toBeGreaterThan(10);
});

test('subgroups of a range of sizes get no kernel that counts on one, unless it can ask for one', () => {
  expect(matrixKernels(gpu(16, 32))).toEqual([]);
  const asking = matrixKernels(gpu(16, 32, true));
  expect(asking.length).toBe(matrixKernels(gpu(32, 32)).length);
  for (const { wgsl } of asking) {
    expect(wgsl).toContain('enable subgroup_size_control;');
    expect(wgsl.match(/@compute @subgroup_size\(32\) @workgroup_size/g)).toHaveLength(1);
  }
  for (const { wgsl } of matrixKernels(gpu(32, 32))) expect(wgsl).not.toContain('subgroup_size');
});

test('what comes first: on GPUs two buffers, and parts of K where tiles are few; on CPUs neither', () => {
  const hardware = gpu(32, 32);
  const software: DeviceCaps = { ...hardware, adapter: { ...hardware.adapter, kind: 'software' } };
  const few = { ...matmuls[1], m: 64, n: 512, k: 4096 };
  const first = (spec: MatmulSpec, caps: DeviceCaps) => lowerMatmul(spec, { caps }).receipt;
  expect(first(few, hardware)).toMatchObject({ variant: 'matrix', tuning: { buffers: 2, splits: 8 } });
  expect(first(few, software)).toMatchObject({ variant: 'matrix', tuning: { buffers: 1, splits: 1 } });
  expect(first(matmuls[2], hardware)?.tuning).toMatchObject({ buffers: 2, splits: 1 });
});

test('a CPU without matrix units multiplies in f32, a GPU without them in f16', () => {
  const { adapter, features, limits } = gpu(8, 8);
  const none = { ...features, subgroupMatrixConfigs: [] };
  const variant = (kind: 'hardware' | 'software') =>
    lowerMatmul(matmuls[1], { caps: { adapter: { ...adapter, kind }, features: none, limits } }).receipt
      ?.variant;
  expect([variant('software'), variant('hardware')]).toEqual(['lanes', 'half']);
  const hardware: DeviceCaps = { adapter: { ...adapter, kind: 'hardware' }, features: none, limits };
  const few = { ...matmuls[1], m: 64, n: 512, k: 4096 };
  expect(lowerMatmul(few, { caps: hardware }).receipt).toMatchObject({
    variant: 'half',
    tuning: { splits: 8 },
  });
});
