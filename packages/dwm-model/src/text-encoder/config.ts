/**
 * `text_encoder/config.json` as transformers writes it, of T5 v1.1 or of umT5, or what the weights of Wan's umT5 say,
 * which come without one. Keys that change numbers are honoured, or refused
 * where only one value is supported; keys of training, generation and the decoder are accepted and unused.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { Checkpoint } from '@dwm/core-tensor/files';
import * as z from 'zod';
import { layerCount, readConfig } from '../weights/config.ts';

const count = z.int().positive();
const unused = z.unknown().optional();

const schema = z.object({
  d_model: count,
  d_kv: count,
  d_ff: count,
  num_layers: layerCount,
  num_heads: count,
  vocab_size: count,
  relative_attention_num_buckets: z.int().min(4).default(32),
  relative_attention_max_distance: count.default(128),
  layer_norm_epsilon: z.number().nonnegative().default(1e-6),
  // The first T5 has a plain ReLU here.
  feed_forward_proj: z.literal('gated-gelu'),
  dense_act_fn: z.literal('gelu_new').optional(),
  is_gated_act: z.literal(true).optional(),
  model_type: z.enum(['t5', 'umt5']).default('t5'),
  scalable_attention: z.literal(true).optional(),
  tokenizer_class: unused,
  is_decoder: z.literal(false).optional(),

  architectures: unused,
  bos_token_id: unused,
  classifier_dropout: unused,
  decoder_start_token_id: unused,
  dropout_rate: unused,
  dtype: unused,
  eos_token_id: unused,
  gradient_checkpointing: unused,
  initializer_factor: unused,
  is_encoder_decoder: unused,
  n_positions: unused,
  num_decoder_layers: unused,
  output_past: unused,
  pad_token_id: unused,
  task_specific_params: unused,
  tie_word_embeddings: unused,
  torch_dtype: unused,
  transformers_version: unused,
  use_cache: unused,
});

/** What the encoder's numbers depend on. */
export interface T5Config {
  /** How the file names its weights. */
  readonly names: 'transformers' | 'wan';
  /** umT5: every block has a table of relative positions, where T5 shares that of block 0. */
  readonly tablePerBlock: boolean;
  readonly width: number;
  readonly heads: number;
  readonly headWidth: number;
  readonly hiddenWidth: number;
  readonly blocks: number;
  readonly vocabulary: number;
  /** Of the relative attention bias, both directions together. */
  readonly buckets: number;
  /** Distance in tokens from which on all share the last bucket. */
  readonly maxDistance: number;
  readonly eps: number;
}

/** @throws InvalidFileError naming file and field, for a missing, unknown or unsupported value. */
export function readT5Config(json: unknown, file: string): T5Config {
  const config = readConfig(schema, json, file);
  const { relative_attention_num_buckets: buckets, relative_attention_max_distance: maxDistance } = config;
  if (maxDistance <= Math.floor(buckets / 4)) {
    throw new InvalidFileError(
      file,
      `relative_attention_max_distance is ${maxDistance}, expected more than a quarter of relative_attention_num_buckets (${buckets})`,
      { field: 'relative_attention_max_distance' },
    );
  }
  return {
    names: 'transformers',
    tablePerBlock: config.model_type === 'umt5',
    width: config.d_model,
    heads: config.num_heads,
    headWidth: config.d_kv,
    hiddenWidth: config.d_ff,
    blocks: config.num_layers,
    vocabulary: config.vocab_size,
    buckets,
    maxDistance,
    eps: config.layer_norm_epsilon,
  };
}

/**
 * The configuration of Wan's umT5 from the shapes of its weights.
 * @throws InvalidFileError when a tensor that tells it is missing.
 */
export function umt5ConfigOf(checkpoint: Pick<Checkpoint, 'name' | 'tensors'>): T5Config {
  const shapeOf = (name: string, dimensions: number) => {
    const shape = checkpoint.tensors.get(name)?.shape;
    if (shape?.length === dimensions) return shape;
    throw new InvalidFileError(
      checkpoint.name,
      `tensor ${name} is ${shape ? `of shape [${shape}]` : 'missing'}; expected Wan's umT5 encoder (models_t5_umt5-xxl-enc-bf16.pth)`,
      { field: name },
    );
  };
  const [vocabulary, width] = shapeOf('token_embedding.weight', 2);
  const [buckets, heads] = shapeOf('blocks.0.pos_embedding.embedding.weight', 2);
  const [inner] = shapeOf('blocks.0.attn.q.weight', 2);
  const [hiddenWidth] = shapeOf('blocks.0.ffn.fc1.weight', 2);
  let blocks = 1;
  while (checkpoint.tensors.has(`blocks.${blocks}.norm1.weight`)) blocks++;
  return {
    ...{ names: 'wan', tablePerBlock: true, width, heads, headWidth: inner / heads, hiddenWidth, blocks },
    ...{ vocabulary, buckets, maxDistance: 128, eps: 1e-6 },
  };
}
