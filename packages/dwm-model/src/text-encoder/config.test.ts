import { InvalidFileError } from '@dwm/core-tensor';
import { expect, test } from 'vitest';
import { readT5Config } from './config.ts';

const xxl = {
  _name_or_path: 'google/t5-v1_1-xxl',
  architectures: ['T5EncoderModel'],
  classifier_dropout: 0.0,
  d_ff: 10240,
  d_kv: 64,
  d_model: 4096,
  decoder_start_token_id: 0,
  dense_act_fn: 'gelu_new',
  dropout_rate: 0.1,
  eos_token_id: 1,
  feed_forward_proj: 'gated-gelu',
  initializer_factor: 1.0,
  is_encoder_decoder: true,
  is_gated_act: true,
  layer_norm_epsilon: 1e-6,
  model_type: 't5',
  num_decoder_layers: 24,
  num_heads: 64,
  num_layers: 24,
  output_past: true,
  pad_token_id: 0,
  relative_attention_max_distance: 128,
  relative_attention_num_buckets: 32,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.43.4',
  use_cache: true,
  vocab_size: 32128,
};

test('reads what transformers writes', () => {
  expect(readT5Config(xxl, 'config.json')).toEqual({
    names: 'transformers',
    tablePerBlock: false,
    width: 4096,
    heads: 64,
    headWidth: 64,
    hiddenWidth: 10240,
    blocks: 24,
    vocabulary: 32128,
    buckets: 32,
    maxDistance: 128,
    eps: 1e-6,
  });
});

test('umT5 has a table of positions in every block', () => {
  expect(readT5Config({ ...xxl, model_type: 'umt5' }, 'config.json').tablePerBlock).toBe(true);
});

test.each([
  ['feed_forward_proj', 'relu'],
  ['feed_forward_proj', undefined],
  ['dense_act_fn', 'silu'],
  ['is_gated_act', false],
  ['is_decoder', true],
  ['model_type', 'mt5'],
  ['d_model', 0],
  ['num_layers', undefined],
  ['layer_norm_epsilon', '1e-6'],
  ['relative_attention_max_distance', 8],
  ['some_new_option', true],
])('refuses %s = %s by file and field', (field, value) => {
  const read = () => readT5Config({ ...xxl, [field]: value }, 'te/config.json');
  expect(read).toThrow(InvalidFileError);
  expect(read).toThrow(new RegExp(`te/config.json: .*${field}`));
});
