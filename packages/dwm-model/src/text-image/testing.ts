/** A CLIP folder with made-up weights, in the layout of transformers: small, and odd wherever a size may be. */
import { type SafetensorsTensor, writeSafetensors } from '@dwm/core-tensor/files';
import { seeded } from '@dwm/core-tensor/testing';
import { readCLIPConfig } from './config.ts';
import { towerParameters } from './parameters.ts';

const MERGES = ['t h', 'th e</w>', 'o p', 'e n</w>', 'op en</w>', 'd r'];

/** Bytes, bytes that end a word, and what the merges make, from id 0 on; then the start and the end token. */
export function madeUpVocabulary(): { ids: Record<string, number>; merges: string[] } {
  const letters = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
  const joined = MERGES.map((pair) => pair.replace(' ', ''));
  const tokens = [...letters, ...letters.map((letter) => `${letter}</w>`), ...joined];
  const all = [...tokens, '<|startoftext|>', '<|endoftext|>'];
  return { ids: Object.fromEntries(all.map((token, id) => [token, id])), merges: MERGES };
}

export const madeUpConfig = () => ({
  architectures: ['CLIPModel'],
  model_type: 'clip',
  projection_dim: 18,
  text_config: {
    ...{ hidden_size: 32, intermediate_size: 70, num_hidden_layers: 2, num_attention_heads: 4 },
    ...{ hidden_act: 'quick_gelu', vocab_size: 200, max_position_embeddings: 13, eos_token_id: 2 },
    ...{ bos_token_id: 0, length_penalty: 1.0, layer_norm_eps: 1e-5 },
  },
  vision_config: {
    ...{ hidden_size: 36, intermediate_size: 50, num_hidden_layers: 2, num_attention_heads: 3 },
    ...{ hidden_act: 'quick_gelu', image_size: 32, patch_size: 8 },
  },
});

export const madeUpPreprocessing = () => ({
  crop_size: { height: 32, width: 32 },
  ...{ do_center_crop: true, do_convert_rgb: true, do_normalize: true, do_rescale: true, do_resize: true },
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_processor_type: 'CLIPImageProcessor',
  image_std: [0.26862954, 0.26130258, 0.27577711],
  resample: 3,
  rescale_factor: 1 / 255,
  size: { shortest_edge: 32 },
});

/** Weights that neither vanish nor blow up, as `CLIPModel` names them. */
export function madeUpWeights(config: object): Map<string, SafetensorsTensor> {
  const random = seeded(11);
  const tensors = new Map<string, SafetensorsTensor>();
  for (const [name, { shape }] of Object.entries(towerParameters(readCLIPConfig(config, 'config.json')))) {
    const count = shape.reduce((a, b) => a * b, 1);
    const centre = /norm\d?\.weight$/.test(name) ? 1 : 0;
    const spread = shape.length > 1 && !name.includes('embedding') ? 2 / Math.sqrt(count / shape[0]) : 0.5;
    const data = Float32Array.from({ length: count }, () => centre + spread * (2 * random() - 1));
    tensors.set(name, { dtype: 'F32', shape, data });
  }
  tensors.set('logit_scale', { dtype: 'F32', shape: [], data: Float32Array.of(4.6) });
  const positions = { dtype: 'I64', shape: [1, 13], data: new BigInt64Array(13) } as const;
  tensors.set('text_model.embeddings.position_ids', positions);
  return tensors;
}

/** The files of a folder by name. */
export function madeUpCLIP(config: object = madeUpConfig()): Record<string, string | Uint8Array> {
  const { ids, merges } = madeUpVocabulary();
  return {
    'config.json': JSON.stringify(config),
    'preprocessor_config.json': JSON.stringify(madeUpPreprocessing()),
    'vocab.json': JSON.stringify(ids),
    'merges.txt': `#version: 0.2\n${merges.join('\n')}\n`,
    'model.safetensors': writeSafetensors(madeUpWeights(config)),
  };
}
