/**
 * `text_encoder/config.json` as transformers writes it. Keys that change numbers are honoured, or refused
 * where only one value is supported; keys of training, generation and the decoder are accepted and unused.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import * as z from 'zod';
import { readConfig } from '../weights/config.ts';

const count = z.int().positive();
const unused = z.unknown().optional();

const schema = z.object({
  d_model: count,
  d_kv: count,
  d_ff: count,
  num_layers: count,
  num_heads: count,
  vocab_size: count,
  relative_attention_num_buckets: z.int().min(4).default(32),
  relative_attention_max_distance: count.default(128),
  layer_norm_epsilon: z.number().nonnegative().default(1e-6),
  // T5 v1.1: the first T5 has a plain ReLU here, and UMT5 a bias of its own in every block.
  feed_forward_proj: z.literal('gated-gelu'),
  dense_act_fn: z.literal('gelu_new').optional(),
  is_gated_act: z.literal(true).optional(),
  model_type: z.literal('t5').optional(),
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
