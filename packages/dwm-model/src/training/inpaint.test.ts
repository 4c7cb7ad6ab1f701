import { randomReference } from '@dwm/core-tensor';
import { expect, test } from 'vitest';
import { readTransformerConfig } from '../transformer/index.ts';
import { makeBatch } from './data/batch.ts';
import { type InpaintRules, MASK_KINDS, makeInpaintBatch, randomMask } from './inpaint.ts';

const size = { channels: 16, frames: 5, height: 6, width: 8 };
const pixels = size.height * size.width;
const SCALE = 0.7;
const config = readTransformerConfig(
  {
    ...{ num_attention_heads: 1, attention_head_dim: 16, num_layers: 1, in_channels: 33, out_channels: 16 },
    ...{ patch_size: 2, text_embed_dim: 4, time_embed_dim: 8, max_text_seq_length: 3, sample_frames: 17 },
    ...{ sample_height: 6, sample_width: 8, temporal_compression_ratio: 4, spatial_interpolation_scale: 1 },
    ...{ temporal_interpolation_scale: 1, use_rotary_positional_embeddings: true, attention_bias: true },
    ...{ norm_elementwise_affine: true, norm_eps: 1e-5, flip_sin_to_cos: true, freq_shift: 0 },
    ...{ activation_fn: 'gelu-approximate', timestep_activation_fn: 'silu' },
  },
  'config.json',
);
const normals = (count: number, stream: number) =>
  Float32Array.from(randomReference({ count, distribution: 'normal', stream }, [3, 4]));
const latents = size.channels * size.frames * pixels;
const examples = [0, 1, 2].map((i) => ({ video: normals(2 * latents, i), text: normals(12, 9 + i) }));
const rules: InpaintRules = {
  seed: 5,
  size,
  scalingFactor: SCALE,
  alphasCumprod: Float64Array.from({ length: 1000 }, (_, t) => 0.99 - t / 1100),
  config,
  promptDropout: 0,
  timesteps: [0, 999],
  identity: 0.5,
  black: normals(latents, 20),
};

test('masks: as often as asked for, each of its kind, the same for the same position', () => {
  const counts = new Map<string, number>();
  for (let position = 0; position < 4000; position++) {
    const { kind, hidden } = randomMask(5, position, size, 0.4);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    const share = hidden.reduce((a, b) => a + b, 0) / hidden.length;
    const frames = Array.from({ length: size.frames }, (_, f) =>
      hidden.subarray(f * pixels, (f + 1) * pixels),
    );
    const isWhole = frames.map((frame) => frame.every((x) => x === 1));
    if (kind === 'none') expect(share).toBe(0);
    if (kind === 'all') expect(share).toBe(1);
    if (kind === 'all but first')
      expect([frames[0].includes(1), ...isWhole]).toEqual([false, false, true, true, true, true]);
    if (kind === 'frames') {
      expect(isWhole.filter((whole) => whole).length).toBe(Math.round(share * size.frames));
      expect(share).toBeGreaterThan(0);
      expect(share).toBeLessThan(1);
    }
    if (kind === 'boxes') {
      expect(share).toBeGreaterThan(0.02);
      for (const frame of frames) expect(frame).toEqual(frames[0]);
    }
  }
  expect(counts.get('none')! / 4000).toBeCloseTo(0.4, 1);
  for (const kind of MASK_KINDS.slice(1)) expect(counts.get(kind)! / 4000).toBeCloseTo(0.15, 1);
  expect(randomMask(5, 77, size, 0)).toEqual(randomMask(5, 77, size, 0));
  expect(randomMask(6, 77, size, 0)).not.toEqual(randomMask(5, 77, size, 0));
});

test('where nothing is hidden, the condition is what DWM passes for a static video', () => {
  const batch = makeInpaintBatch(examples, 7, { ...rules, identity: 1 });
  const triplets = examples.map(({ video, text }) => ({ video, static: video, hand: video, text }));
  const dwm = makeBatch(triplets, 7, { ...rules, handDropout: 0 });
  for (const name of ['video', 'static', 'noise', 'text', 'time', 'levels'] as const)
    expect(batch[name], name).toEqual(dwm[name]);
  expect([...new Set(batch.mask)]).toEqual([Math.fround(SCALE)]);
  // Two draws from one posterior, not one draw twice.
  expect(batch.static).not.toEqual(batch.video);
});

test('hidden places hold black and visibility 0; where all is hidden, zeros', () => {
  const whole = makeInpaintBatch(examples, 0, { ...rules, identity: 1 });
  const seen = new Set<string>();
  for (let position = 0; position < 60; position += 3) {
    const batch = makeInpaintBatch(examples, position, { ...rules, identity: 0 });
    for (let i = 0; i < 3; i++) {
      const { kind, hidden } = randomMask(rules.seed, position + i, size, 0);
      seen.add(kind);
      for (let at = 0; at < latents; at++) {
        const frame = Math.floor(at / (size.channels * pixels));
        const isHidden = hidden[frame * pixels + (at % pixels)] === 1;
        const got = batch.static[i * latents + at];
        if (kind === 'all') expect(got).toBe(0);
        else if (isHidden) expect(got).toBe(rules.black[at]);
        else if (position === 0) expect(got).toBe(whole.static[i * latents + at]);
        if (at % (size.channels * pixels) < pixels)
          expect(batch.mask[i * hidden.length + frame * pixels + (at % pixels)]).toBe(
            isHidden ? 0 : Math.fround(SCALE),
          );
      }
    }
  }
  expect([...seen].sort()).toEqual(['all', 'all but first', 'boxes', 'frames']);
});

test('without hands, the static video is what happens; timesteps come from the range', () => {
  const triplets = examples.map(({ text }, i) => ({
    ...{ video: normals(2 * latents, 30 + i), static: normals(2 * latents, 40 + i) },
    ...{ hand: normals(2 * latents, 50 + i), text },
  }));
  const made = (share: number, range: readonly [number, number]) => {
    const noHands = { share, black: rules.black };
    return makeBatch(triplets, 7, { ...rules, handDropout: 0, noHands, timesteps: range });
  };
  const batch = made(1, [0, 999]);
  for (let i = 0; i < 3; i++) {
    expect(batch.hand.subarray(i * latents, (i + 1) * latents)).toEqual(rules.black);
  }
  const withStatic = triplets.map((triplet) => ({ ...triplet, video: triplet.static }));
  const same = makeBatch(withStatic, 7, { ...rules, handDropout: 0 });
  expect(batch.video).toEqual(same.video);
  expect(batch.static).toEqual(made(0, [0, 999]).static);
  expect(made(0, [0, 999]).video).not.toEqual(same.video);

  const [first, last] = [700, 702];
  const seen = Array.from({ length: 3 }, (_, i) => made(0, [first, last]).levels[3 * i]);
  const possible = [first, 701, last].map((t) => Math.fround(Math.sqrt(Math.fround(rules.alphasCumprod[t]))));
  for (const level of seen) expect(possible).toContain(level);
  expect(new Set(made(0, [999, 999]).levels.filter((_, i) => i % 3 === 0)).size).toBe(1);
});
