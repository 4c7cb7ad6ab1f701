/** DWM's own LoRA under everybody's names, and LightX2V's two layouts, on a made-up network, against sums worked out here. */
import { type Device, DeviceTensor } from '@dwm/core-tensor';
import {
  bytesSource,
  openSafetensors,
  type SafetensorsTensor,
  writeSafetensors,
} from '@dwm/core-tensor/files';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loraRemarks } from '../weights/lora-remarks.ts';
import { type MergedLora, mergeLora } from '../weights/merge-lora.ts';
import { Parameters } from '../weights/parameters.ts';
import { type LightX2VOptions, mergeLightX2V, WAN_LORA } from './lora.ts';

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device.destroy());

const SHAPES: Record<string, number[]> = {
  'blocks.0.self_attn.q.weight': [3, 5],
  'blocks.0.self_attn.q.bias': [3],
  'blocks.0.self_attn.norm_q.weight': [3],
  'blocks.0.modulation': [1, 6, 3],
  'blocks.1.cross_attn.k_img.weight': [3, 5],
  'blocks.1.ffn.0.weight': [7, 3],
  'head.head.weight': [4, 3],
  'head.head.bias': [4],
  'patch_embedding.weight': [3, 4, 1, 2, 2],
};
const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const values = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(seed + 1.3 * i));
const base = (name: string) => values(size(SHAPES[name]), Object.keys(SHAPES).indexOf(name) * 10);
const tensor = (shape: number[], seed: number) => ({
  dtype: 'F32' as const,
  shape,
  data: values(size(shape), seed),
});
const one = (value: number) => ({ dtype: 'F32' as const, shape: [], data: Float32Array.of(value) });

type Tensors = Record<string, SafetensorsTensor>;

async function mergedBy(
  tensors: Tensors,
  use: (parameters: Parameters, source: ReturnType<typeof bytesSource>) => Promise<MergedLora>,
) {
  const parameters = new Parameters(
    new Map(
      Object.entries(SHAPES).map(([name, shape]) => [
        name,
        DeviceTensor.from(device, base(name), shape, 'f32', name),
      ]),
    ),
  );
  const source = bytesSource('lora.safetensors', writeSafetensors(new Map(Object.entries(tensors))));
  try {
    const merged = await use(parameters, source);
    const after: Record<string, Float32Array> = {};
    for (const [name, held] of parameters.tensors) after[name] = (await held.read()) as Float32Array;
    return { merged, after };
  } finally {
    parameters.destroy();
  }
}

const merge = (tensors: Tensors, options: Partial<LightX2VOptions> = {}) =>
  mergedBy(tensors, (parameters, source) =>
    mergeLightX2V(device, { parameters }, source, { blocks: 2, ...options }),
  );

/** As --lora is merged. */
const mergeOwn = (tensors: Tensors) =>
  mergedBy(tensors, async (parameters, source) =>
    mergeLora(device, parameters, { lora: await openSafetensors(source) }, WAN_LORA),
  );

/** W + factor · B·A. */
function sum(name: string, factor: number, rank: number, [a, b]: readonly number[]): number[] {
  const [rows, ...rest] = SHAPES[name];
  const columns = size(rest);
  const [down, up] = [values(rank * columns, a), values(rows * rank, b)];
  return [...base(name)].map((w, i) => {
    const [y, x] = [Math.floor(i / columns), i % columns];
    let total = 0;
    for (let r = 0; r < rank; r++) total += up[y * rank + r] * down[r * columns + x];
    return w + factor * total;
  });
}
const close = (got: Float32Array, want: readonly number[]) =>
  expect([...got].every((x, i) => Math.abs(x - want[i]) < 1e-5)).toBe(true);
const plus = (name: string, factor: number, seed: number) => {
  const added = values(size(SHAPES[name]), seed);
  return [...base(name)].map((w, i) => w + factor * added[i]);
};

const KOHYA = {
  'diffusion_model.blocks.0.self_attn.q.lora_down.weight': tensor([2, 5], 1),
  'diffusion_model.blocks.0.self_attn.q.lora_up.weight': tensor([3, 2], 2),
  'diffusion_model.blocks.0.self_attn.q.alpha': one(8),
  'diffusion_model.blocks.0.self_attn.q.diff_b': tensor([3], 3),
  'diffusion_model.blocks.0.self_attn.norm_q.diff': tensor([3], 4),
  'diffusion_model.blocks.0.modulation.diff': tensor([1, 6, 3], 5),
  'diffusion_model.blocks.1.cross_attn.k_img.lora_down.weight': tensor([1, 5], 6),
  'diffusion_model.blocks.1.cross_attn.k_img.lora_up.weight': tensor([3, 1], 7),
  'diffusion_model.head.head.diff': tensor([4, 3], 8),
};

test("kohya's names with differences: alpha counts, and what is outside the blocks is left out", async () => {
  const { merged, after } = await merge(KOHYA, { scale: 0.5 });
  close(after['blocks.0.self_attn.q.weight'], sum('blocks.0.self_attn.q.weight', 0.5 * 4, 2, [1, 2]));
  close(after['blocks.1.cross_attn.k_img.weight'], sum('blocks.1.cross_attn.k_img.weight', 0.5, 1, [6, 7]));
  close(after['blocks.0.self_attn.q.bias'], plus('blocks.0.self_attn.q.bias', 0.5, 3));
  close(after['blocks.0.self_attn.norm_q.weight'], plus('blocks.0.self_attn.norm_q.weight', 0.5, 4));
  close(after['blocks.0.modulation'], plus('blocks.0.modulation', 0.5, 5));
  expect(after['head.head.weight']).toEqual(base('head.head.weight'));
  expect(merged).toMatchObject({ merged: 2, differences: 3, unused: ['diffusion_model.head.head.diff'] });
  const { after: all } = await merge(KOHYA, { outsideBlocks: true });
  close(all['head.head.weight'], plus('head.head.weight', 1, 8));
});

const peft = (prefix: string) => ({
  [`${prefix}blocks.0.attn1.to_q.lora_A.weight`]: tensor([2, 5], 1),
  [`${prefix}blocks.0.attn1.to_q.lora_B.weight`]: tensor([3, 2], 2),
  [`${prefix}blocks.0.attn1.to_q.alpha`]: one(8),
  [`${prefix}blocks.1.ffn.net.0.proj.lora_A.weight`]: tensor([1, 3], 6),
  [`${prefix}blocks.1.ffn.net.0.proj.lora_B.weight`]: tensor([7, 1], 7),
});

test.each(['base_model.model.', 'transformer.', ''])(
  "PEFT's names after '%s': without alpha",
  async (prefix) => {
    const { merged, after } = await merge(peft(prefix));
    close(after['blocks.0.self_attn.q.weight'], sum('blocks.0.self_attn.q.weight', 1, 2, [1, 2]));
    close(after['blocks.1.ffn.0.weight'], sum('blocks.1.ffn.0.weight', 1, 1, [6, 7]));
    expect(merged.unused).toEqual([]);
  },
);

test('strict refuses what does not cover the network, or finds no place in it', async () => {
  await expect(merge(KOHYA, { blocks: 3 })).rejects.toThrow(/holds nothing for block 2 of 3; .*strict/);
  const stray = { ...KOHYA, 'diffusion_model.blocks.9.ffn.0.diff_b': tensor([3], 0) };
  await expect(merge(stray)).rejects.toThrow(/blocks.9.ffn.0.diff_b .*belong.* to nothing/);
  const { merged } = await merge(stray, { strict: false });
  expect(merged.unused).toContain('diffusion_model.blocks.9.ffn.0.diff_b');
  // What is left out anyway needs no place.
  const outer = { ...KOHYA, 'diffusion_model.img_emb.emb_pos.diff': tensor([3], 0) };
  expect((await merge(outer)).merged.unused).toContain('diffusion_model.img_emb.emb_pos.diff');
  await expect(merge(outer, { outsideBlocks: true })).rejects.toThrow(/emb_pos.diff belong.* to nothing/);
});

const Q = 'blocks.0.self_attn.q.weight';
const FFN = 'blocks.1.ffn.0.weight';

test.each([
  ['lora_unet__blocks_0_self_attn_q.lora_down.weight', 'lora_unet__blocks_0_self_attn_q.lora_up.weight'],
  ['lora_unet_blocks_0_self_attn_q.lora_down.weight', 'lora_unet_blocks_0_self_attn_q.lora_up.weight'],
  [
    'diffusion_model.blocks.0.self_attn.q.lora_down.weight',
    'diffusion_model.blocks.0.self_attn.q.lora_up.weight',
  ],
  [
    'model.diffusion_model.blocks.0.self_attn.q.lora_A.weight',
    'model.diffusion_model.blocks.0.self_attn.q.lora_B.weight',
  ],
  ['lycoris_blocks_0_self_attn_q.lora_down.weight', 'lycoris_blocks_0_self_attn_q.lora_up.weight'],
  [
    'transformer.blocks.0.attn1.to_q.lora_A.default.weight',
    'transformer.blocks.0.attn1.to_q.lora_B.default.weight',
  ],
  ['lora_unet_blocks_0_attn1_to_q.lora_down.weight', 'lora_unet_blocks_0_attn1_to_q.lora_up.weight'],
  ['blocks.0.self_attn.q.lora.down.weight', 'blocks.0.self_attn.q.lora.up.weight'],
  ['lora_unet__blocks.0.self_attn.q.lora_down.weight', 'lora_unet__blocks.0.self_attn.q.lora_up.weight'],
  [
    'pipe.dit.blocks.0.self_attn.q.lora_A.default.weight',
    'pipe.dit.blocks.0.self_attn.q.lora_B.default.weight',
  ],
  [
    'diffusion_model._orig_mod.blocks.0.self_attn.q.lora_down.weight',
    'diffusion_model._orig_mod.blocks.0.self_attn.q.lora_up.weight',
  ],
])('%s is the layer that it names', async (down, up) => {
  const { merged, after } = await mergeOwn({ [down]: tensor([2, 5], 1), [up]: tensor([3, 2], 2) });
  // Nobody says alpha: it is the rank.
  close(after[Q], sum(Q, 1, 2, [1, 2]));
  expect(merged).toMatchObject({ merged: 1, unused: [] });
});

test('every layer has its own rank and alpha, in any float; without one it is the rank', async () => {
  const layer = (name: string, rank: number, [out, into]: number[], [a, b]: number[]) => ({
    [`lora_unet__${name}.lora_down.weight`]: tensor([rank, into], a),
    [`lora_unet__${name}.lora_up.weight`]: tensor([out, rank], b),
  });
  const { merged, after } = await mergeOwn({
    ...layer('blocks_0_self_attn_q', 2, [3, 5], [1, 2]),
    'lora_unet__blocks_0_self_attn_q.alpha': { dtype: 'F32', shape: [1], data: Float32Array.of(5) },
    ...layer('blocks_1_cross_attn_k_img', 3, [3, 5], [3, 4]),
    'lora_unet__blocks_1_cross_attn_k_img.alpha': one(0),
    ...layer('blocks_1_ffn_0', 1, [7, 3], [5, 6]),
    ...layer('head_head', 4, [4, 3], [7, 8]),
    'lora_unet__head_head.alpha': { dtype: 'BF16', shape: [], data: Uint16Array.of(0x3f00) },
  });
  close(after[Q], sum(Q, 2.5, 2, [1, 2]));
  expect(after['blocks.1.cross_attn.k_img.weight']).toEqual(base('blocks.1.cross_attn.k_img.weight'));
  close(after[FFN], sum(FFN, 1, 1, [5, 6]));
  close(after['head.head.weight'], sum('head.head.weight', 0.125, 4, [7, 8]));
  expect(merged).toMatchObject({ merged: 4, unused: [] });
  expect(loraRemarks(merged).notes).toContain(
    'LoRA: alpha 0 of rank 3 in 1 layers, as its .alpha tensor says: B·A counts 0 times',
  );
});

test('a convolution, and a linear layer saved as one of a single pixel', async () => {
  const { after } = await mergeOwn({
    'lora_unet__patch_embedding.lora_down.weight': tensor([2, 4, 1, 2, 2], 1),
    'lora_unet__patch_embedding.lora_up.weight': tensor([3, 2, 1, 1, 1], 2),
    'lora_unet__blocks_1_ffn_0.lora_down.weight': tensor([1, 3, 1, 1], 3),
    'lora_unet__blocks_1_ffn_0.lora_up.weight': tensor([7, 1, 1, 1], 4),
  });
  close(after['patch_embedding.weight'], sum('patch_embedding.weight', 1, 2, [1, 2]));
  close(after[FFN], sum(FFN, 1, 1, [3, 4]));
});

test('what was made for a patch projection of fewer channels changes the first ones', async () => {
  const patch = 'patch_embedding.weight';
  const { after } = await mergeOwn({
    'lora_unet__patch_embedding.lora_down.weight': tensor([2, 3, 1, 2, 2], 1),
    'lora_unet__patch_embedding.lora_up.weight': tensor([3, 2, 1, 1, 1], 2),
    'diffusion_model.patch_embedding.diff': tensor([3, 2, 1, 2, 2], 3),
  });
  const [down, up, difference] = [values(24, 1), values(6, 2), values(24, 3)];
  const want = [...base(patch)].map((w, i) => {
    const [row, column] = [Math.floor(i / 16), i % 16];
    const update = [0, 1].reduce((total, r) => total + up[row * 2 + r] * down[r * 12 + column], 0);
    return w + (column < 12 ? update : 0) + (column < 8 ? difference[row * 8 + column] : 0);
  });
  close(after[patch], want);
  const whole = await mergeOwn({
    'patch_embedding.weight': tensor([3, 3, 1, 2, 2], 5),
    'lora_unet__head_head.lora_down.weight': tensor([1, 3], 6),
    'lora_unet__head_head.lora_up.weight': tensor([4, 1], 7),
  });
  const trained = values(36, 5);
  expect([...whole.after[patch]]).toEqual(
    Array.from({ length: 48 }, (_, i) => (i % 16 < 12 ? trained[Math.floor(i / 16) * 12 + (i % 16)] : 0)),
  );
  const wide = { 'diffusion_model.patch_embedding.diff': tensor([3, 5, 1, 2, 2], 3) };
  await expect(mergeOwn(wide)).rejects.toThrow(/patch_embedding.diff.*\[3,\s?4,\s?1,\s?2,\s?2\]/);
});

test('differences count beside updates, or alone; what belongs to the text encoder is named', async () => {
  const text = Object.fromEntries(
    Array.from({ length: 10 }, (_, i) => [`lora_te_blocks_${i}_attn_q.lora_down.weight`, tensor([1, 2], i)]),
  );
  const { merged, after } = await mergeOwn({
    'lora_unet__blocks_0_self_attn_q.diff': tensor([3, 5], 1),
    'lora_unet__blocks_0_self_attn_q.diff_b': tensor([3], 2),
    'diffusion_model.head.head.diff_b': tensor([4], 3),
    'lora_unet_blocks_0_modulation.diff': tensor([1, 6, 3], 4),
    'lycoris_blocks_0_self_attn_norm_q.w_norm': tensor([3], 5),
    ...text,
  });
  close(after[Q], plus(Q, 1, 1));
  close(after['blocks.0.self_attn.q.bias'], plus('blocks.0.self_attn.q.bias', 1, 2));
  close(after['head.head.bias'], plus('head.head.bias', 1, 3));
  close(after['blocks.0.modulation'], plus('blocks.0.modulation', 1, 4));
  close(after['blocks.0.self_attn.norm_q.weight'], plus('blocks.0.self_attn.norm_q.weight', 1, 5));
  const { warnings, notes } = loraRemarks(merged);
  expect(notes).toEqual(['LoRA: a difference is added to 5 tensors']);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(
    /^LoRA: lora_te_blocks_0_attn_q.lora_down.weight, .*lora_te_blocks_7_\S+ and 2 others belong to nothing/,
  );
  await expect(mergeOwn(text)).rejects.toThrow(/holds no LoRA weights of this network; lora_te_blocks_0/);
});
