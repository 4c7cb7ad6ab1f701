/**
 * The encoder of T5 v1.1 and umT5: pre-norm blocks of attention and a gated feed-forward, without any bias but that of
 * relative positions. In T5 block 0 holds its table and all blocks share it; in umT5 each has its own. The residual
 * stream stays in f32, where T5 needs it: its activations leave the range of f16.
 */
import {
  add,
  attention,
  constant,
  embedding,
  geluTanh,
  mul,
  permute,
  reshape,
  rmsNorm,
  type Tensor,
  unsqueeze,
} from '@dwm/core-tensor';
import type { ParameterSpecs } from '../weights/parameters.ts';
import { project as projected } from '../weights/quantized.ts';
import type { Weights } from '../weights/weights.ts';
import type { T5Config } from './config.ts';
import { bucketTable } from './relative-position.ts';

/** The names of one block's parameters, by what they are. */
interface BlockNames {
  readonly relativeBias: string;
  readonly attentionNorm: string;
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly out: string;
  readonly feedForwardNorm: string;
  readonly gate: string;
  readonly up: string;
  readonly down: string;
}

interface Names {
  /** A file may hold any of them, or all, for the one table. */
  readonly tokenTables: readonly string[];
  readonly finalNorm: string;
  readonly block: (index: number) => BlockNames;
}

const NAMES: Readonly<Record<T5Config['names'], Names>> = {
  transformers: {
    tokenTables: ['shared.weight', 'encoder.embed_tokens.weight'],
    finalNorm: 'encoder.final_layer_norm.weight',
    block: (index) => {
      const [first, second] = [0, 1].map((layer) => `encoder.block.${index}.layer.${layer}`);
      return {
        relativeBias: `${first}.SelfAttention.relative_attention_bias.weight`,
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
    },
  },
  wan: {
    tokenTables: ['token_embedding.weight'],
    finalNorm: 'norm.weight',
    block: (index) => {
      const block = `blocks.${index}`;
      return {
        relativeBias: `${block}.pos_embedding.embedding.weight`,
        attentionNorm: `${block}.norm1.weight`,
        query: `${block}.attn.q.weight`,
        key: `${block}.attn.k.weight`,
        value: `${block}.attn.v.weight`,
        out: `${block}.attn.o.weight`,
        feedForwardNorm: `${block}.norm2.weight`,
        gate: `${block}.ffn.gate.0.weight`,
        up: `${block}.ffn.fc1.weight`,
        down: `${block}.ffn.fc2.weight`,
      };
    },
  },
};

/** The names of the token table that a file of these names may have. */
export const tokenTables = ({ names }: Pick<T5Config, 'names'>): readonly string[] =>
  NAMES[names].tokenTables;

/** @param tokenTable the one of `tokenTables` to read; the first unless told. */
export function t5Parameters(config: T5Config, tokenTable = tokenTables(config)[0]): ParameterSpecs {
  const { width, heads, headWidth, hiddenWidth, blocks, vocabulary, buckets } = config;
  const inner = heads * headWidth;
  const shapes: Record<string, readonly number[]> = {
    [tokenTable]: [vocabulary, width],
    [NAMES[config.names].finalNorm]: [width],
  };
  for (let i = 0; i < blocks; i++) {
    const names = NAMES[config.names].block(i);
    if (i === 0 || config.tablePerBlock) shapes[names.relativeBias] = [buckets, heads];
    for (const norm of [names.attentionNorm, names.feedForwardNorm]) shapes[norm] = [width];
    for (const projection of [names.query, names.key, names.value]) shapes[projection] = [inner, width];
    shapes[names.out] = [width, inner];
    for (const projection of [names.gate, names.up]) shapes[projection] = [hiddenWidth, width];
    shapes[names.down] = [width, hiddenWidth];
  }
  return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, { shape }]));
}

/** What the names of a block's weights begin with. */
export const t5BlockPrefix = ({ names }: Pick<T5Config, 'names'>, index: number): string =>
  names === 'wan' ? `blocks.${index}.` : `encoder.block.${index}.`;

/** Weights that belong to no block alone, the token table aside. */
export const isT5Outer = (config: T5Config, name: string): boolean =>
  name === NAMES[config.names].finalNorm ||
  (!config.tablePerBlock && name === NAMES[config.names].block(0).relativeBias);

/** What the blocks hand on, [batch, tokens, width], and the bias that all share where each has none of its own. */
interface T5State {
  readonly x: Tensor;
  /** [1, heads, tokens, tokens] */
  readonly bias?: Tensor;
  /** u32 [batch, tokens], 0 for keys that nobody attends to. */
  readonly mask?: Tensor;
}

/** The encoder after its token table as a block and what comes after, for weights that come and go. */
export function t5Parts(config: T5Config, [batch, tokens]: readonly number[]) {
  const { heads, headWidth, eps, buckets, maxDistance } = config;
  const { block: namesOf, finalNorm } = NAMES[config.names];
  const norm = (weights: Weights, x: Tensor, gamma: string) => rmsNorm(x, { eps, gamma: weights.get(gamma) });
  const splitHeads = (x: Tensor) => reshape(x, [batch, tokens, heads, headWidth]);
  const pairs = constant(bucketTable(tokens, buckets, maxDistance), [tokens, tokens]);
  const biasOf = (weights: Weights, index: number) =>
    unsqueeze(permute(embedding(pairs, weights.get(namesOf(index).relativeBias)), [2, 0, 1]), 0);

  const sharedBias = (weights: Weights) => (config.tablePerBlock ? undefined : biasOf(weights, 0));
  const block = (weights: Weights, index: number, { x, bias: shared, mask }: T5State): Tensor => {
    const project = (y: Tensor, weight: string) => projected(weights, y, weight);
    const names = namesOf(index);
    const bias = shared ?? biasOf(weights, index);
    const attended = norm(weights, x, names.attentionNorm);
    const [query, key, value] = [names.query, names.key, names.value].map((name) =>
      splitHeads(project(attended, name)),
    );
    // T5 folds 1 / sqrt(headWidth) into its initialization.
    const heard = attention(query, key, value, { scale: 1, bias, mask });
    const between = add(x, project(reshape(heard, [batch, tokens, heads * headWidth]), names.out));

    const fed = norm(weights, between, names.feedForwardNorm);
    const gated = mul(geluTanh(project(fed, names.gate)), project(fed, names.up));
    return add(between, project(gated, names.down));
  };
  const end = (weights: Weights, x: Tensor) => norm(weights, x, finalNorm);
  return { sharedBias, block, end };
}

/**
 * @param ids u32 [batch, tokens].
 * @param mask u32 [batch, tokens], 0 for keys that nobody attends to. Left out, padding is attended to, which
 *   is how the diffusion models here were trained.
 * @returns the normalized output and the residual stream after every block, each [batch, tokens, width].
 */
export function t5Encoder(
  config: T5Config,
  weights: Weights,
  ids: Tensor,
  mask?: Tensor,
): { out: Tensor; blocks: Tensor[] } {
  const { sharedBias, block, end } = t5Parts(config, ids.shape);
  const tokenTable = tokenTables(config).find((name) => weights.has(name))!;
  let x = embedding(ids, weights.get(tokenTable));
  const bias = sharedBias(weights);
  const blocks: Tensor[] = [];
  for (let i = 0; i < config.blocks; i++) {
    x = block(weights, i, { x, ...(bias && { bias }), ...(mask && { mask }) });
    blocks.push(x);
  }
  return { out: end(weights, x), blocks };
}
