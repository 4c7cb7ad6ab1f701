import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Decisions,
  type KernelTarget,
  kernelName,
  type Lowering,
  lowerMatmul,
  type MatmulSpec,
} from '@dwm/kernels-wgsl';
import {
  lowerChosen,
  MATMUL_VARIANTS,
  matmulReference,
  type TrialProblem,
  type Variant,
} from '@dwm/kernels-wgsl/testing';
import { afterEach, expect, test } from 'vitest';
import { loadTuning, openNodeDevice, resetTuning, saveTuning } from '../node/index.ts';
import { compile } from '../program.ts';
import { record, spec, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { setSelfTest } from './before-use.ts';
import { selfTestOnFirstUse } from './self-test.ts';

const device = await openNodeDevice();
const [m, n, k] = [20, 12, 9];
const random = seeded(3);
const values = { a: randomNormals(m * k, random), b: randomNormals(k * n, random) };
const want = matmulReference(
  { batch: 1, m, n, k, transposeA: false, transposeB: false, sharedB: true },
  values.a,
  values.b,
);

afterEach(() => {
  device.decisions.verdicts.clear();
  setSelfTest(device, async () => {});
});

const matmulSpec: MatmulSpec = {
  ...{ batch: 1, m, n, k, transposeA: false, transposeB: false, sharedB: true },
  ...{ dtypeA: 'f32', dtypeB: 'f32', dtypeOut: 'f32', halfPrecision: false, epilogue: undefined },
};

/** What runs here in f32. */
const plain = MATMUL_VARIANTS.find((each) => !each.suspect && each.applies(matmulSpec, device.caps))!;

/** That kernel, with `finish` in place of what it does with each sum. */
const broken = (name: string, finish: string): Variant<MatmulSpec> => ({
  name,
  suspect: true,
  applies: () => true,
  lower(matmulSpec, caps): Lowering {
    const { dispatches, scratch } = plain.lower(matmulSpec, caps);
    const [dispatch] = dispatches;
    const wgsl = dispatch.wgsl.replace(/out\[o\] = ([^;]*);/, finish);
    expect(wgsl).not.toBe(dispatch.wgsl);
    return { dispatches: [{ ...dispatch, wgsl }], scratch };
  },
});

const right = broken('right', 'out[o] = ($1);');
const wrong = broken('wrong', 'out[o] = 1.1 * ($1);');
const notCompiling = broken('not compiling', 'out[o] = nonsense($1);');
const nothing = broken('nothing', 'if (o == 4294967295u) { out[o] = ($1); }');
/** Right as long as its outputs hold no number yet. */
const onceOnly = broken(
  'once',
  'let before = bitcast<u32>(out[o]); out[o] = ($1); if ((before & 0x7f800000u) != 0x7f800000u) { out[o] += 1.0; }',
);

const problemOf = (matmulSpec: MatmulSpec): TrialProblem<MatmulSpec> => ({
  ...{ spec: matmulSpec, plain: matmulSpec, outputs: [m * n] },
  inputs: [
    { count: m * k, dtype: 'f32' },
    { count: k * n, dtype: 'f32' },
  ],
});

/** The product by the first of `variants` that the device computes rightly: its name and relative error. */
async function product(
  variants: readonly Variant<MatmulSpec>[],
): Promise<{ variant: string; error: number }> {
  const inputs = { a: spec([m, k]), b: spec([k, n]) };
  const program = await compile(device, inputs, ({ a, b }) => ({
    out: record(
      {
        ...{ kind: 'kernel' as const, name: 'product', cost: { flops: 1, bytes: 1 } },
        ...{ epilogue: false, bindings: 3 },
        lower: (target: KernelTarget) =>
          lowerChosen('product', [...variants, plain], matmulSpec, target, problemOf),
      },
      [a, b],
      [spec([m, n])],
    )[0] as Tensor,
  }));
  const { out } = await program.run(values);
  const error = relativeError((await out.read()) as Float32Array, want);
  const { variant } = program.plan.dispatches[0].receipt!;
  program.destroy();
  return { variant, error };
}

test.each([wrong, notCompiling, nothing, onceOnly])(
  'a kernel that is computed wrongly is left out: $name',
  async (variant) => {
    const leftOut: string[] = [];
    let saves = 0;
    selfTestOnFirstUse(device, {
      save: async () => void saves++,
      onLeftOut: (kernel, why) => leftOut.push(`${kernel}: ${why}`),
    });
    const found = await product([variant, right]);
    expect(found.variant).toBe('right');
    expect(found.error).toBeLessThan(1e-6);
    expect(leftOut).toHaveLength(1);
    expect(leftOut[0]).toMatch(new RegExp(`^product ${variant.name}: (relative error|.*nonsense)`));
    if (variant === onceOnly) expect(leftOut[0]).toContain('in a later run');
    expect([...device.decisions.verdicts.keys()]).toEqual([`product ${variant.name}`, 'product right']);
    // Once a driver: what is known is neither tried nor kept again.
    const before = saves;
    expect((await product([variant, right])).variant).toBe('right');
    expect(saves).toBe(before);
    expect(leftOut).toHaveLength(1);
  },
);

test('without a self-test, and where it is forced, the first variant runs', async () => {
  const { variant, error } = await product([wrong, right]);
  expect(variant).toBe('wrong');
  expect(error).toBeGreaterThan(0.05);
});

test('where every suspect fails the plain kernel is left', async () => {
  selfTestOnFirstUse(device);
  const { variant, error } = await product([wrong, onceOnly]);
  expect(variant).toBe(plain.name);
  expect(error).toBeLessThan(1e-6);
});

test('verdicts are kept beside the choices, by device, and forgotten with them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dwm-verdicts-'));
  const path = join(folder, 'tune.json');
  device.decisions.verdicts.set('matmul matrix side=2 config=1', 'relative error 0.5 in a later run');
  device.decisions.verdicts.set('matmul half splits=1', null);
  await saveTuning(device, { path });
  const again = { caps: device.caps, decisions: new Decisions() };
  await loadTuning(again, { path });
  expect(again.decisions.verdicts).toEqual(device.decisions.verdicts);
  const adapter = { ...device.caps.adapter, description: 'another driver' };
  const other = { caps: { ...device.caps, adapter }, decisions: new Decisions() };
  await loadTuning(other, { path });
  expect(other.decisions.verdicts.size).toBe(0);
  await resetTuning(again, { path });
  await loadTuning(again, { path });
  expect(again.decisions.verdicts.size).toBe(0);
  await rm(folder, { recursive: true });
});

test('the f16 kernels of this device are right, in every layout', async (context) => {
  if (!device.caps.features.f16) context.skip('the adapter has no f16');
  selfTestOnFirstUse(device);
  const half = { ...matmulSpec, batch: 2, sharedB: false, halfPrecision: true };
  const { key, alternatives } = lowerMatmul(half, device).receipt!;
  // A CPU without matrix units would take a kernel in f32.
  const suspect = alternatives().find(({ variant }) => variant === 'matrix' || variant === 'half')!;
  device.decisions.choices.set(key, suspect);
  const inputs = { a: spec([2, m, k]), b: spec([2, k, n]) };
  const program = await compile(
    device,
    inputs,
    ({ a, b }) => ({
      out: record(
        {
          ...{ kind: 'kernel' as const, name: 'matmul', cost: { flops: 1, bytes: 1 } },
          ...{ epilogue: false, bindings: 5 },
          lower: (target: KernelTarget) => lowerMatmul(half, target),
        },
        [a, b],
        [spec([2, m, n])],
      )[0] as Tensor,
    }),
    'f16',
  );
  program.destroy();
  device.decisions.choices.delete(key);
  expect(device.decisions.verdicts.get(kernelName('matmul', suspect))).toBeNull();
});
