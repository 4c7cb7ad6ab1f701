/** Names that files have for layers of CogVideoX; those of Wan are in `wan/lora.test.ts`. */
import { expect, test } from 'vitest';
import { loraNames } from './lora-names.ts';

const Q = 'transformer_blocks.0.attn1.to_q';
const OUT = 'transformer_blocks.0.attn1.to_out.0';
const TARGETS = new Set([
  ...[Q, OUT, 'transformer_blocks.1.ff.net.0.proj', 'patch_embed.proj'].flatMap((module) => [
    `${module}.weight`,
    `${module}.bias`,
  ]),
]);
const found = (names: readonly string[]) => loraNames('lora.safetensors', names, TARGETS);

test.each([
  ['lora_unet_transformer_blocks_0_attn1_to_q.lora_down.weight', Q],
  ['lora_unet__transformer_blocks_0_attn1_to_q.lora_down.weight', Q],
  ['lora_transformer_transformer_blocks_0_attn1_to_q.lora_down.weight', Q],
  ['diffusion_model.transformer_blocks.0.attn1.to_q.lora_down.weight', Q],
  ['diffusion_model.transformer_blocks.0.attn1.to_q.lora_A.weight', Q],
  ['base_model.model.transformer_blocks.0.attn1.to_q.lora_A.default.weight', Q],
  ['transformer.transformer_blocks.0.attn1.processor.to_q_lora.down.weight', Q],
  ['transformer.transformer_blocks.0.attn1.to_q.lora.down.weight', Q],
  ['lycoris_transformer_blocks_0_attn1_to_out_0.lora_down.weight', OUT],
  ['transformer.transformer_blocks.0.attn1.to_out.lora_A.weight', OUT],
  ['lora_unet_transformer_blocks_1_ff_net_0_proj.lora_down.weight', 'transformer_blocks.1.ff.net.0.proj'],
])('%s', (down, module) => {
  const up = down
    .replace('lora_A', 'lora_B')
    .replace('lora_down', 'lora_up')
    .replace(/lora\.down/, 'lora.up');
  const alpha = down.replace(/(?:[._]lora)?[._](?:lora_A|lora_down|down).*$/, '.alpha');
  const { layers, unused } = found([down, up, alpha]);
  expect([...layers]).toEqual([[module, { down, up, alpha }]]);
  expect(unused).toEqual([]);
  // Without an alpha too.
  expect([...found([up, down]).layers]).toEqual([[module, { down, up }]]);
});

test('differences of weights and biases, in both kinds of names', () => {
  const { differences, unused } = found([
    'lora_unet_transformer_blocks_0_attn1_to_q.diff',
    'diffusion_model.transformer_blocks.0.attn1.to_q.diff_b',
    'lora_unet_patch_embed_proj.diff_b',
    'lora_te_encoder_layers_0.diff',
  ]);
  expect([...differences.keys()]).toEqual([`${Q}.weight`, `${Q}.bias`, 'patch_embed.proj.bias']);
  expect(unused).toEqual(['lora_te_encoder_layers_0.diff']);
});

test.each([
  ['lora_unet_transformer_blocks_0_attn1_to_q.dora_scale', 'DoRA'],
  ['transformer.transformer_blocks.0.attn1.to_q.lora_magnitude_vector.default.weight', 'DoRA'],
  ['lora_unet_transformer_blocks_0_attn1_to_q.hada_w1_a', 'LoHa'],
  ['lora_unet_transformer_blocks_0_attn1_to_q.lokr_w1', 'LoKr'],
  ['lora_unet_transformer_blocks_0_attn1_to_q.lora_mid.weight', 'LoRA in Tucker form'],
])('%s is refused by name', (name, kind) => {
  expect(() => found([name])).toThrow(`lora.safetensors: ${name}: is ${kind}, which is not supported`);
});
