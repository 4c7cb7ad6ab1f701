/** Wan's own names of the transformer's weights, which are ours, and diffusers' for the same. */
import { InvalidArgumentError } from '@dwm/core-tensor';

/** In order; the first that fits the start of a name below its block is taken. */
const ATTENTION: readonly (readonly [native: string, diffusers: string])[] = [
  ['k_img.', 'add_k_proj.'],
  ['v_img.', 'add_v_proj.'],
  ['norm_k_img.', 'norm_added_k.'],
  ['norm_q.', 'norm_q.'],
  ['norm_k.', 'norm_k.'],
  ['q.', 'to_q.'],
  ['k.', 'to_k.'],
  ['v.', 'to_v.'],
  ['o.', 'to_out.0.'],
];

const PARTS: readonly (readonly [native: string, diffusers: string])[] = [
  ['time_embedding.0.', 'condition_embedder.time_embedder.linear_1.'],
  ['time_embedding.2.', 'condition_embedder.time_embedder.linear_2.'],
  ['time_projection.1.', 'condition_embedder.time_proj.'],
  ['text_embedding.0.', 'condition_embedder.text_embedder.linear_1.'],
  ['text_embedding.2.', 'condition_embedder.text_embedder.linear_2.'],
  ['img_emb.proj.0.', 'condition_embedder.image_embedder.norm1.'],
  ['img_emb.proj.1.', 'condition_embedder.image_embedder.ff.net.0.proj.'],
  ['img_emb.proj.3.', 'condition_embedder.image_embedder.ff.net.2.'],
  ['img_emb.proj.4.', 'condition_embedder.image_embedder.norm2.'],
  ['head.head.', 'proj_out.'],
  ['head.modulation', 'scale_shift_table'],
  ['patch_embedding.', 'patch_embedding.'],
];

const BLOCK: readonly (readonly [native: string, diffusers: string])[] = [
  ...ATTENTION.map(([a, b]) => [`self_attn.${a}`, `attn1.${b}`] as const),
  ...ATTENTION.map(([a, b]) => [`cross_attn.${a}`, `attn2.${b}`] as const),
  ['norm3.', 'norm2.'],
  ['modulation', 'scale_shift_table'],
  ['ffn.0.', 'ffn.net.0.proj.'],
  ['ffn.2.', 'ffn.net.2.'],
];

/** diffusers' name of a weight. */
export function diffusersName(name: string): string {
  const [, block = '', rest] = /^(blocks\.\d+\.)?(.*)$/.exec(name)!;
  const found = (block ? BLOCK : PARTS).find(([native]) => rest.startsWith(native));
  if (!found) throw new InvalidArgumentError('name', `diffusers has none for ${name}`);
  return block + found[1] + rest.slice(found[0].length);
}
