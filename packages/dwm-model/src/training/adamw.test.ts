import { compile, spec } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { expect, test } from 'vitest';
import { adamw, adamwScalars } from './adamw.ts';
import { PackedLayout } from './packed.ts';

const device = await openNodeDevice();
const options = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.01, maxGradNorm: 1 };

test('ten steps equal AdamW in float64, with clipping', async () => {
  const layout = new PackedLayout({ 'a.weight': [3, 5], 'b.bias': [7] });
  const n = layout.length;
  const inputs = { theta: spec([n]), m: spec([n]), v: spec([n]), g: spec([n]), scalars: spec([3]) };
  const program = await compile(
    device,
    inputs,
    ({ theta, m, v, g, scalars }) =>
      adamw({ theta, m, v }, g, scalars, options) as unknown as Record<string, typeof theta>,
  );
  let state: Record<'theta' | 'm' | 'v', Float32Array> = {
    theta: new Float32Array(n),
    m: new Float32Array(n),
    v: new Float32Array(n),
  };
  const want = { theta: new Float64Array(n), m: new Float64Array(n), v: new Float64Array(n) };
  for (const [name] of layout.parts)
    layout.values(state.theta, name).forEach((_, i, part) => {
      part[i] = Math.sin(i + 1);
    });
  want.theta.set(state.theta);
  for (let step = 1; step <= 10; step++) {
    const g = new Float32Array(n);
    for (const [name] of layout.parts)
      layout.values(g, name).forEach((_, i, part) => {
        part[i] = Math.cos(3 * i + step);
      });
    const lr = 1e-2 / step;
    const out = await program.run({ ...state, g, scalars: adamwScalars(step, lr, options) });
    state = {
      theta: (await out.theta.read()) as Float32Array,
      m: (await out.m.read()) as Float32Array,
      v: (await out.v.read()) as Float32Array,
    };
    const norm = Math.sqrt(g.reduce((sum, x) => sum + x * x, 0));
    expect((await out.norm.read())[0]).toBeCloseTo(norm, 4);
    const scale = Math.min(1, options.maxGradNorm / (norm + 1e-6));
    for (let i = 0; i < n; i++) {
      const x = g[i] * scale;
      want.m[i] = 0.9 * want.m[i] + 0.1 * x;
      want.v[i] = 0.95 * want.v[i] + 0.05 * x * x;
      const mHat = want.m[i] / (1 - 0.9 ** step);
      const vHat = want.v[i] / (1 - 0.95 ** step);
      want.theta[i] = want.theta[i] * (1 - lr * 0.01) - (lr * mHat) / (Math.sqrt(vHat) + 1e-8);
    }
  }
  for (let i = 0; i < n; i++) expect(state.theta[i]).toBeCloseTo(want.theta[i], 5);
  // The gap after 15 values stays zero.
  expect([...state.theta.subarray(15, 64)].every((value) => value === 0)).toBe(true);
});
