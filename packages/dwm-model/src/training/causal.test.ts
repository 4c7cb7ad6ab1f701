import { compile, type Device, elementCount, grad, spec, type Tensor } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { randomNormals, relativeError, seeded } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readTransformerConfig, transformerParameters } from '../transformer/index.ts';
import { randomParameters } from '../vae/testing.ts';
import { type CausalRules, causalBatchSpecs, makeCausalBatch } from './data/causal-batch.ts';
import { dwmObjective, type ObjectiveInputs } from './objective.ts';
import { PackedLayout } from './packed.ts';

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device?.destroy());

const config = readTransformerConfig(
  {
    ...{ num_attention_heads: 2, attention_head_dim: 16, num_layers: 2, in_channels: 7, out_channels: 2 },
    ...{ patch_size: 2, text_embed_dim: 5, time_embed_dim: 16, max_text_seq_length: 3 },
    ...{ sample_frames: 9, sample_height: 4, sample_width: 6, temporal_compression_ratio: 4 },
    ...{ spatial_interpolation_scale: 1, temporal_interpolation_scale: 1 },
    ...{ use_rotary_positional_embeddings: true, attention_bias: true, norm_elementwise_affine: true },
    ...{ norm_eps: 1e-5, flip_sin_to_cos: true, freq_shift: 0, activation_fn: 'gelu-approximate' },
    ...{ timestep_activation_fn: 'silu', causal: { block_frames: 1, window: 2, sink: 0 } },
  },
  'config.json',
);
const size = { channels: 2, frames: 2, height: 4, width: 6 };
const rules: CausalRules = {
  ...{ seed: 3, size, config, scalingFactor: 0.7, promptDropout: 0, handDropout: 0 },
  alphasCumprod: Float64Array.from({ length: 1000 }, (_, t) => 0.999 - 0.998 * (t / 999)),
  ...{ timesteps: [600, 999], historyTimestep: 200 },
};
const random = seeded(5);
const moments = () => randomNormals(2 * 2 * 2 * 4 * 6, random);
const examples = [0, 1].map(() => ({
  ...{ video: moments(), static: moments(), hand: moments() },
  text: randomNormals(15, random),
}));

test('what is drawn for a clip follows from its place in the run', () => {
  const both = makeCausalBatch(examples, 7, rules);
  const second = makeCausalBatch([examples[1]], 8, rules);
  for (const [name, values] of Object.entries(second))
    expect(both[name as keyof typeof both]?.slice(-values.length), name).toEqual(values);
  expect(new Set(both.levels.filter((_, i) => i % 3 === 0)).size).toBe(4);
});

/** Relative error of the gradient along random directions, weights of `part` moving, by differences of fourth order. */
async function gradientError(device: Device, part: RegExp): Promise<number> {
  const specs = Object.entries(transformerParameters(config)).map(
    ([name, { shape }]) => [name, shape] as const,
  );
  const layout = new PackedLayout(Object.fromEntries(specs));
  const inputs = causalBatchSpecs(1, rules, 3);
  const program = await compile(
    device,
    { ...inputs, theta: spec([layout.length]) },
    ({ theta, ...given }) => {
      const weights = {
        get: (name: string) => layout.part(theta, name),
        has: (name: string) => layout.parts.has(name),
      };
      const { loss } = dwmObjective(config, weights, 0.7, given as unknown as ObjectiveInputs);
      return { loss, gradient: grad(loss, [theta])[0] };
    },
  );
  const batch = makeCausalBatch([examples[0]], 7, rules);
  const draw = seeded(9);
  const theta = randomNormals(layout.length, draw).map((value) => value / 4);
  const at = async (values: Float32Array) =>
    (await (await program.run({ ...batch, theta: values })).loss.read())[0];
  const gradient = (await (await program.run({ ...batch, theta })).gradient.read()) as Float32Array;
  let [missed, all] = [0, 0];
  for (let direction = 0; direction < 2; direction++) {
    const step = new Float32Array(layout.length);
    for (const [name, { offset, shape }] of layout.parts) {
      if (!part.test(name)) continue;
      for (let i = 0; i < elementCount(shape); i++) step[offset + i] = (draw() < 0.5 ? -1 : 1) / 64;
    }
    const moved = (steps: number) => at(theta.map((value, i) => value + steps * step[i]));
    const near = (await moved(1)) - (await moved(-1));
    const far = (await moved(2)) - (await moved(-2));
    const difference = (8 * near - far) / 12;
    const analytic = gradient.reduce((sum, value, i) => sum + value * step[i], 0);
    missed += (difference - analytic) ** 2;
    all += difference ** 2;
  }
  program.destroy();
  return Math.sqrt(missed / all);
}

test('what the network makes in turn is what it says of the clip after it', {
  timeout: 120_000,
}, async () => {
  const longer = { ...rules, size: { ...size, frames: 4 }, ownHistory: true };
  const length = 2 * 2 * 4 * 4 * 6;
  const clip = { video: randomNormals(length, random), static: randomNormals(length, random) };
  const example = { ...clip, hand: randomNormals(length, random), text: randomNormals(15, random) };
  const weights = randomParameters(device, transformerParameters(config));
  const program = await compile(device, causalBatchSpecs(2, longer, 3), (given): Record<string, Tensor> => {
    const { x0, history } = dwmObjective(config, weights, 0.7, given as unknown as ObjectiveInputs);
    return { x0, history, video: given.video! };
  });
  const batch = makeCausalBatch([example, example], 7, longer);
  // One clip is all its own, of the other the last two blocks of four are.
  const made = await program.run({ ...batch, own: Float32Array.of(1, 1, 1, 1, 0, 0, 1, 1) });
  const [x0, history, video] = await Promise.all([made.x0.read(), made.history.read(), made.video.read()]);
  const half = x0.length / 2;
  const given = half + half / 2;
  expect(relativeError(history.subarray(0, half), x0.subarray(0, half))).toBeLessThan(2e-6);
  expect(history.subarray(half, given)).toEqual(video.subarray(half, given));
  expect(relativeError(history.subarray(given), x0.subarray(given))).toBeLessThan(2e-6);
  expect(relativeError(x0.subarray(given), x0.subarray(half / 2, half))).toBeGreaterThan(1e-2);
  program.destroy();
  weights.destroy();
});

test('the first block that a network sees as its own is drawn for each clip', () => {
  const fourBlocks = { ...rules, size: { ...size, frames: 4 }, ownHistory: true };
  const moments = new Float32Array(2 * 2 * 4 * 4 * 6);
  const clip = { video: moments, static: moments, hand: moments, text: new Float32Array(15) };
  const own = Array.from({ length: 12 }, (_, at) => makeCausalBatch([clip], at, fourBlocks).own);
  expect(new Set(own.map(String))).toEqual(new Set(['1,1,1,1', '0,1,1,1', '0,0,1,1']));
});

test('gradients reach what blocks remember of those before', { timeout: 120_000 }, async () => {
  expect(await gradientError(device, /attn1\.(to_k|to_v|norm_k)/)).toBeLessThan(2e-3);
});
