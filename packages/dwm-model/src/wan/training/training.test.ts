import { compile, type Device, DeviceTensor, InvalidArgumentError } from '@dwm/core-tensor';
import { toFloat32 } from '@dwm/core-tensor/files';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { randomNormals, relativeError, seeded } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Parameters } from '../../weights/parameters.ts';
import { IMAGE_TOKENS, readWanConfig, wanParameters } from '../transformer/index.ts';
import {
  makeWanBatch,
  paddedText,
  type WanCLIPFeatures,
  type WanObjectiveInputs,
  wanBatchSpecs,
  wanLevels,
  wanLoraFiles,
  wanLoraTrainable,
  wanObjective,
} from './index.ts';

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device.destroy());

const json = {
  ...{ _class_name: 'WanModel', model_type: 'i2v', in_dim: 13, out_dim: 3, dim: 24, ffn_dim: 20 },
  ...{ freq_dim: 8, text_dim: 12, text_len: IMAGE_TOKENS + 3, num_heads: 2, num_layers: 1 },
};
const config = { ...readWanConfig(json, 'config.json'), imageDim: 7 };
const size = { channels: 3, frames: 2, height: 2, width: 6 };

/** Of the base: weights made up. */
function weights(): Parameters {
  const random = seeded(3);
  const tensors = Object.entries(wanParameters(config)).map(([name, { shape }]) => {
    const count = shape.reduce((a, b) => a * b, 1);
    const values = randomNormals(count, random).map((value) => value / 3);
    return [name, DeviceTensor.from(device, values, shape, 'f32', name)] as const;
  });
  return new Parameters(new Map(tensors));
}

const options = {
  ...({
    rank: 2,
    alpha: 3,
    trainablePatterns: ['embedding$', 'patch_emb'],
    clipFeatures: 'none',
    seed: 5,
  } as const),
};

test('every linear layer is updated, patches are trained whole, and what no text reaches stays as it starts', async () => {
  const base = weights();
  const lora = wanLoraTrainable(base, options);
  const all = wanLoraTrainable(base, { ...options, clipFeatures: 'zeros' });
  const updates = [...lora.layout.parts.keys()].filter((name) => name.includes('.lora_'));
  // Ten of attention, two of the feed-forward, five of time and text, the head; the picture's two are idle.
  expect(updates.length).toBe(2 * 18);
  expect([...lora.idle.layout.parts.keys()]).toEqual([
    ...['img_emb.proj.1.lora_A.weight', 'img_emb.proj.1.lora_B.weight'],
    ...['img_emb.proj.3.lora_A.weight', 'img_emb.proj.3.lora_B.weight'],
  ]);
  expect([...all.layout.parts.keys()].filter((name) => name.includes('.lora_')).length).toBe(2 * 20);
  expect(all.idle.layout.length).toBe(0);
  expect([...lora.layout.parts.keys()].filter((name) => !name.includes('.lora_'))).toEqual([
    ...['patch_embedding.weight', 'patch_embedding.bias'],
  ]);
  expect(lora.layout.parts.get('patch_embedding.weight')!.offset).toBe(lora.lowRankLength);

  const theta = await lora.initial();
  const files = wanLoraFiles(
    [
      { layout: lora.layout, theta },
      { layout: lora.idle.layout, theta: await lora.idle.initial() },
    ],
    options.alpha,
    true,
  );
  const saved = files.get('lora_diffusion_pytorch_model.safetensors')!;
  expect(saved.size).toBe(3 * 20);
  const down = saved.get('lora_unet__blocks_0_cross_attn_k_img.lora_down.weight')!;
  expect(down.shape).toEqual([2, 24]);
  expect(down.dtype).toBe('BF16');
  const values = lora.layout.values(theta, 'blocks.0.cross_attn.k_img.lora_A.weight');
  expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(1 / Math.sqrt(24));
  expect(relativeError(toFloat32(down), values)).toBeLessThan(4e-3);
  expect(saved.get('lora_unet__head_head.alpha')!.shape).toEqual([]);
  expect([...toFloat32(saved.get('lora_unet__head_head.alpha')!)]).toEqual([3]);
  expect([...files.get('non_lora_weights.safetensors')!.keys()]).toEqual([
    ...['patch_embedding.bias', 'patch_embedding.weight'],
  ]);
  expect(() => wanLoraTrainable(base, { ...options, trainablePatterns: ['('] })).toThrow(
    InvalidArgumentError,
  );
  base.destroy();
});

const example = (seed: number, tokens: number) => {
  const latents = (of: number) => randomNormals(72, seeded(seed + of));
  return {
    ...{ video: latents(0), static: latents(1), hand: latents(2) },
    text: randomNormals(tokens * 12, seeded(seed + 3)),
  };
};
const rules = {
  ...{ seed: 1, size, config, handDropout: 0 },
  ...{ timesteps: [900, 500.5, 20], sigmas: [0.9, 0.5005, 0.02] },
};

test('a batch follows from the seed and the place in the run; dropped hands are zeros and said', () => {
  const examples = [example(10, 4), example(20, 300)];
  const batch = makeWanBatch(examples, 6, rules);
  expect(batch).toEqual(makeWanBatch(examples, 6, rules));
  const [, second] = [makeWanBatch([examples[0]], 6, rules), makeWanBatch([examples[1]], 7, rules)];
  expect(batch.noise.slice(72)).toEqual(second.noise);
  expect(batch.levels.slice(3)).toEqual(second.levels);
  expect([0.9, 0.5005, 0.02].map(Math.fround)).toContain(batch.levels[1]);
  expect(batch.levels[2]).toBe(0);
  // [channels, frames, ...] to [frames, channels, ...].
  expect(batch.video[12]).toBe(examples[0].video[24]);
  expect(batch.text[4 * 12]).toBe(0);
  expect(batch.text[config.textLength * 12]).toBe(examples[1].text[0]);
  expect(batch.text.length).toBe(2 * config.textLength * 12);
  const dropped = makeWanBatch(examples, 6, { ...rules, handDropout: 1 });
  expect(dropped.hand.every((value) => value === 0)).toBe(true);
  expect([dropped.levels[2], dropped.levels[5]]).toEqual([1, 1]);
  const indices = new Set(
    Array.from({ length: 50 }, (_, at) => makeWanBatch([examples[0]], at, rules).levels[1]),
  );
  expect(indices.size).toBe(3);
});

async function objective(clipFeatures: WanCLIPFeatures, far: boolean, dropped: boolean) {
  const base = weights();
  const { video, static: still, hand, text } = example(1, 5);
  const program = await compile(device, wanBatchSpecs(1, { config, size }), (x) => ({
    ...wanObjective(config, base, x as unknown as WanObjectiveInputs, { clipFeatures }),
  }));
  await program.run({
    ...{ video, static: still, hand, noise: far ? video.map((_, i) => (i < 9 ? 60 : 1)) : video },
    text: paddedText([text], config),
    time: new Float32Array(8),
    levels: wanLevels([0.25], [dropped]),
  });
  const read = async (name: keyof typeof program.outputs) =>
    (await program.outputs[name].read()) as Float32Array;
  const result = {
    loss: (await read('loss'))[0],
    output: await read('output'),
    target: await read('target'),
  };
  program.destroy();
  base.destroy();
  return { ...result, video, still };
}

test('elements that are far off count as nothing, but in the mean', async () => {
  const { loss, output, target } = await objective('none', true, false);
  const errors = output.map((value, i) => value - target[i]);
  const counted = errors.filter((error) => Math.abs(error) <= 50);
  expect(counted.length).toBeLessThan(72);
  expect(loss).toBeCloseTo(counted.reduce((all, error) => all + error * error, 0) / 72, 4);
});

test('without hands the target is that nothing happens', async () => {
  const { target, still, video } = await objective('none', false, true);
  expect(
    relativeError(
      target,
      video.map((value, i) => value - still[i]),
    ),
  ).toBeLessThan(1e-6);
});

test('no features of a picture and features of zeros are two things', async () => {
  const [none, zeros] = [await objective('none', false, false), await objective('zeros', false, false)];
  expect(relativeError(none.output, zeros.output)).toBeGreaterThan(1e-3);
});
