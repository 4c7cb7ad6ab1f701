import { LAYER_NORM_SHAPES, layerNormBackwardReference, layerNormReference } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { Program, trace } from '../program.ts';
import { spec, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { layerNorm, rmsNorm } from './layer-norm.ts';
import { applyVjp, runOp } from './testing.ts';

const device = await openNodeDevice();
const eps = 1e-5;

type Names = 'x' | 'g' | 'gamma' | 'beta';

function example(rows: number, channels: number) {
  const random = seeded(rows * 7 + channels);
  const inputs = {
    ...{ x: spec([rows, channels]), g: spec([rows, channels]) },
    ...{ gamma: spec([channels]), beta: spec([channels]) },
  };
  const values = {
    ...{ x: randomNormals(rows * channels, random), g: randomNormals(rows * channels, random) },
    ...{ gamma: randomNormals(channels, random), beta: randomNormals(channels, random) },
  };
  return { inputs, values };
}

function gradients(t: Record<Names, Tensor>): Record<string, Tensor> {
  const { x, gamma, beta, g } = t;
  const [dx, dgamma, dbeta] = applyVjp(layerNorm(x, { eps, gamma, beta }), [g]);
  const [plain] = applyVjp(layerNorm(x, { eps }), [g]);
  const [rms, rmsGamma] = applyVjp(rmsNorm(x, { eps, gamma }), [g]);
  const [, onlyGamma] = applyVjp(layerNorm(x, { eps, gamma, beta }), [g], [false, true, false]);
  const [, onlyBeta] = applyVjp(layerNorm(x, { eps, beta }), [g], [false, true]);
  return { dx, dgamma, dbeta, plain, rms, rmsGamma, onlyGamma, onlyBeta } as Record<string, Tensor>;
}

function wanted({ x, g, gamma }: Record<Names, Float32Array>, channels: number) {
  const full = layerNormBackwardReference(x, g, channels, { eps, center: true, gamma });
  const rms = layerNormBackwardReference(x, g, channels, { eps, center: false, gamma });
  return {
    ...full,
    plain: layerNormBackwardReference(x, g, channels, { eps, center: true }).dx,
    ...{ rms: rms.dx, rmsGamma: rms.dgamma, onlyGamma: full.dgamma, onlyBeta: full.dbeta },
  };
}

// A row of one channel has no gradient but rounding's.
test.each(LAYER_NORM_SHAPES.filter(({ channels }) => channels > 1))(
  'gradients of $rows rows of $channels',
  async ({ rows, channels }) => {
    const { inputs, values } = example(rows, channels);
    const got = await runOp(device, inputs, values, gradients);
    for (const [name, want] of Object.entries(wanted(values, channels))) {
      expect(relativeError(got[name], want), name).toBeLessThanOrEqual(2e-6);
    }
    expect(await runOp(device, inputs, values, gradients)).toEqual(got);

    // The teams that a GPU gets, on this device; they take a CPU long to compile.
    if (channels !== 3072) return;
    const caps = { ...device.caps, adapter: { ...device.caps.adapter, kind: 'hardware' as const } };
    const teams = trace(inputs, gradients);
    const program = await Program.create<typeof inputs, typeof teams>(
      device,
      planProgram(teams, { caps }),
      inputs,
    );
    const { dx, dgamma } = await program.run(values);
    const want = wanted(values, channels);
    expect(relativeError(await dx.read(), want.dx)).toBeLessThanOrEqual(2e-6);
    expect(relativeError(await dgamma.read(), want.dgamma)).toBeLessThanOrEqual(2e-6);
    program.destroy();
  },
);

test('the reference equals finite differences', () => {
  const channels = 5;
  const { values } = example(3, channels);
  for (const center of [true, false]) {
    const loss = (x: ArrayLike<number>, gamma: ArrayLike<number>) =>
      layerNormReference(x, channels, { eps, center, gamma }).reduce((s, y, i) => s + y * values.g[i], 0);
    const difference = (array: Float32Array, fn: (moved: Float64Array) => number) =>
      Float64Array.from(array, (_, i) => {
        const at = (h: number) => fn(Float64Array.from(array, (v, j) => (j === i ? v + h : v)));
        return (at(1e-5) - at(-1e-5)) / 2e-5;
      });
    const got = layerNormBackwardReference(values.x, values.g, channels, {
      eps,
      center,
      gamma: values.gamma,
    });
    expect(
      relativeError(
        got.dx,
        difference(values.x, (x) => loss(x, values.gamma)),
      ),
    ).toBeLessThan(1e-7);
    expect(
      relativeError(
        got.dgamma,
        difference(values.gamma, (gamma) => loss(values.x, gamma)),
      ),
    ).toBeLessThan(1e-7);
  }
});

test('a common offset of 1e4 standard deviations costs no precision', async () => {
  const { inputs, values } = example(40, 3072);
  const x = values.x.map((value) => 1000 + value / 10);
  const got = await runOp(device, inputs, { ...values, x }, gradients);
  const want = wanted({ ...values, x }, 3072);
  expect(relativeError(got.dx, want.dx)).toBeLessThanOrEqual(2e-6);
  expect(relativeError(got.dgamma, want.dgamma)).toBeLessThanOrEqual(2e-6);
});

test.each([31, 32])('rows of %i beyond one binding are cut; bf16 input', async (channels) => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 8192 } });
  const { inputs, values } = example(401, channels);
  const bits = new Uint16Array(new Uint32Array(values.x.buffer).map((word) => word >>> 16));
  const cut = new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer);
  const got = await runOp(
    small,
    { ...inputs, x: spec([401, channels], 'bf16') },
    { ...values, x: bits },
    gradients,
  );
  for (const [name, want] of Object.entries(wanted({ ...values, x: cut }, channels))) {
    expect(relativeError(got[name], want), name).toBeLessThanOrEqual(2e-6);
  }
  small.destroy();
});

test('what is not needed is not computed', () => {
  const { inputs } = example(3, 8);
  trace(inputs, ({ x, gamma, beta, g }) => {
    const y = layerNorm(x, { eps, gamma, beta });
    expect(applyVjp(y, [g], [false, false, false]).every((t) => t === undefined)).toBe(true);
    const [dx, ...others] = applyVjp(y, [g], [true, false, false]);
    expect(others).toEqual([undefined, undefined]);
    expect(planProgram({ dx: dx! }, device).dispatches.length).toBe(1);
    return { dx: dx! };
  });
});
