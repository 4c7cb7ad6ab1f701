/**
 * The T5 v1.1 encoder: pre-norm blocks of attention and a gated feed-forward, without any bias but that of
 * relative positions, which block 0 holds and all blocks share. The residual stream stays in f32, where T5
 * needs it: its activations leave the range of f16.
 */
import {
  add,
  attention,
  constant,
  embedding,
  geluTanh,
  linear,
  mul,
  permute,
  reshape,
  rmsNorm,
  type Tensor,
  unsqueeze,
} from '@dwm/core-tensor';
import type { ParameterSpecs, Parameters } from '../weights/parameters.ts';
import type { T5Config } from './config.ts';
import { bucketTable } from './relative-position.ts';

const relativeBias = 'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight';
const finalNorm = 'encoder.final_layer_norm.weight';

/** Two names of the one token table; a file may hold either or both. */
export const TOKEN_TABLES = ['shared.weight', 'encoder.embed_tokens.weight'] as const;

/** The names of one block's parameters, as transformers has them. */
function blockNames(index: number) {
  const [first, second] = [0, 1].map((layer) => `encoder.block.${index}.layer.${layer}`);
  return {
    attentionNorm: `${first}.layer_norm.weight`,
    query: `${first}.SelfAttention.q.weight`,
    key: `${first}.SelfAttention.k.weight`,
    value: `${first}.SelfAttention.v.weight`,
    out: `${first}.SelfAttention.o.weight`,
    feedForwardNorm: `${second}.layer_norm.weight`,
    gate: `${second}.DenseReluDense.wi_0.weight`,
    up: `${second}.DenseReluDense.wi_1.weight`,
    down: `${second}.DenseReluDense.wo.weight`,
  };
}

/** @param tokenTable the one of `TOKEN_TABLES` to read. */
export function t5Parameters(config: T5Config, tokenTable: string): ParameterSpecs {
  const { width, heads, headWidth, hiddenWidth, blocks, vocabulary, buckets } = config;
  const inner = heads * headWidth;
  const shapes: Record<string, readonly number[]> = {
    [tokenTable]: [vocabulary, width],
    [relativeBias]: [buckets, heads],
    [finalNorm]: [width],
  };
  for (let i = 0; i < blocks; i++) {
    const names = blockNames(i);
    for (const norm of [names.attentionNorm, names.feedForwardNorm]) shapes[norm] = [width];
    for (const projection of [names.query, names.key, names.value]) shapes[projection] = [inner, width];
    shapes[names.out] = [width, inner];
    for (const projection of [names.gate, names.up]) shapes[projection] = [hiddenWidth, width];
    shapes[names.down] = [width, hiddenWidth];
  }
  return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, { shape }]));
}

/**
 * @param ids u32 [batch, tokens].
 * @param mask u32 [batch, tokens], 0 for keys that nobody attends to. Left out, padding is attended to, which
 *   is how the diffusion models here were trained.
 * @returns the normalized output and the residual stream after every block, each [batch, tokens, width].
 */
export function t5Encoder(
  config: T5Config,
  parameters: Parameters,
  ids: Tensor,
  mask?: Tensor,
): { out: Tensor; blocks: Tensor[] } {
  const { heads, headWidth, eps, buckets, maxDistance } = config;
  const [batch, tokens] = ids.shape;
  const norm = (x: Tensor, gamma: string) => rmsNorm(x, { eps, gamma: parameters.get(gamma) });
  const project = (x: Tensor, weight: string) => linear(x, parameters.get(weight));
  const splitHeads = (x: Tensor) => reshape(x, [batch, tokens, heads, headWidth]);

  const pairs = constant(bucketTable(tokens, buckets, maxDistance), [tokens, tokens]);
  const bias = unsqueeze(permute(embedding(pairs, parameters.get(relativeBias)), [2, 0, 1]), 0);

  const tokenTable = TOKEN_TABLES.find((name) => parameters.has(name))!;
  let x = embedding(ids, parameters.get(tokenTable));
  const blocks: Tensor[] = [];
  for (let i = 0; i < config.blocks; i++) {
    const names = blockNames(i);
    const attended = norm(x, names.attentionNorm);
    const [query, key, value] = [names.query, names.key, names.value].map((name) =>
      splitHeads(project(attended, name)),
    );
    // T5 folds 1 / sqrt(headWidth) into its initialization.
    const heard = attention(query, key, value, { scale: 1, bias, mask });
    x = add(x, project(reshape(heard, [batch, tokens, heads * headWidth]), names.out));

    const fed = norm(x, names.feedForwardNorm);
    const gated = mul(geluTanh(project(fed, names.gate)), project(fed, names.up));
    x = add(x, project(gated, names.down));
    blocks.push(x);
  }
  return { out: norm(x, finalNorm), blocks };
}
