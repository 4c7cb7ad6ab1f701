/** LightX2V's two layouts on a made-up network, against sums worked out here. */
import { bytesSource, type Device, DeviceTensor, writeSafetensors } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Parameters } from '../weights/parameters.ts';
import { type LightX2VOptions, mergeLightX2V } from './lora.ts';

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

async function merge(
  tensors: Record<string, ReturnType<typeof tensor>>,
  options: Partial<LightX2VOptions> = {},
) {
  const parameters = new Parameters(
    new Map(
      Object.entries(SHAPES).map(([name, shape]) => [
        name,
        DeviceTensor.from(device, base(name), shape, 'f32', name),
      ]),
    ),
  );
  const source = bytesSource('lightx2v.safetensors', writeSafetensors(new Map(Object.entries(tensors))));
  try {
    const merged = await mergeLightX2V(device, parameters, source, { blocks: 2, ...options });
    const after: Record<string, Float32Array> = {};
    for (const [name, held] of parameters.tensors) after[name] = (await held.read()) as Float32Array;
    return { merged, after };
  } finally {
    parameters.destroy();
  }
}

/** W + factor · B·A. */
function sum(name: string, factor: number, rank: number, [a, b]: readonly number[]): number[] {
  const [rows, columns] = SHAPES[name];
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
});
