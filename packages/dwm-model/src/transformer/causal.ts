/**
 * The transformer that looks back only. The clip is cut into blocks of latent frames. A block attends to the text, to
 * itself, to the blocks just before it, and to the first ones (`CausalConfig`); the text attends to itself alone. So
 * nothing that was computed depends on what comes later, and there are two ways to run it that give the same numbers:
 *
 * - whole: all blocks of a clip at once, for training (`causalParts`);
 * - block by block, with the keys and values of those before (`causalText`, `causalBlock`), without end.
 *
 * The weights are those of the transformer that looks both ways. The text is told one timestep whatever the video is
 * told, so that its keys are computed once.
 */
import {
  add,
  attention,
  attentionWithLse,
  broadcastTo,
  concat,
  constant,
  mul,
  permute,
  repeat,
  reshape,
  sigmoid,
  slice,
  splitAt,
  sub,
  type Tensor,
} from '@dwm/core-tensor';
import type { Weights } from '../weights/weights.ts';
import type { CausalConfig, TransformerConfig } from './config.ts';
import type { TokenGrid } from './grid.ts';
import type { TimeInputs, TransformerInputs, TransformerSizes, TransformerState } from './inputs.ts';
import { type Modulation, partOf, rotation, transformerLayers, unpatchify } from './layers.ts';
import { rotaryTables, sincosTable, timestepTable, tokenGrid } from './positions.ts';

/** What the text is told: the timestep of pure noise, from which a block is begun. */
const TEXT_TIMESTEP = 999;

/** Whole blocks [first, end). */
type BlockRange = readonly [first: number, end: number];

/** The blocks that block `index` sees, itself the last of them. */
export function seenBlocks({ window, sink }: CausalConfig, index: number): BlockRange[] {
  const first = Math.max(0, index + 1 - window);
  return sink >= first
    ? [[0, index + 1]]
    : sink > 0
      ? [
          [0, sink],
          [first, index + 1],
        ]
      : [[first, index + 1]];
}

/** Tokens of whole blocks. */
const blockTokens = (
  { block_frames }: CausalConfig,
  framePatch: number,
  { rows, columns }: TokenGrid,
): number => (block_frames / framePatch) * rows * columns;

/**
 * All blocks of a clip at once, as `transformerParts`; the last may have fewer frames. With a history, blocks see its
 * blocks in place of those before them, and its own attend to each other; rows are text, history, video.
 * `conditioning` has a row for the text, and then one for the whole video or one for each block.
 */
export function causalParts(
  config: TransformerConfig,
  causal: CausalConfig,
  {
    hidden: [batch, frames, , height, width],
    textLength,
    feedForwardParts = 1,
    history = false,
  }: TransformerSizes,
) {
  const dim = config.innerDim;
  const grid = tokenGrid(config, frames, height, width);
  const videoLength = grid.frames * grid.rows * grid.columns;
  const each = blockTokens(causal, config.patch_size_t ?? 1, grid);
  const blocks = Math.ceil(videoLength / each);
  const tracks = history ? 2 : 1;
  const length = textLength + tracks * videoLength;
  /** Rows of blocks [first, end) of a track. */
  const rowsOf = (track: number, [first, end]: BlockRange): [start: number, end: number] => {
    const base = textLength + track * videoLength;
    return [base + first * each, base + Math.min(end * each, videoLength)];
  };

  const begin = (weights: Weights, inputs: TransformerInputs): TransformerState => {
    const { dense, patches, conditioning } = transformerLayers(config, weights);
    const perBlock = history || inputs.time.shape.length === 3;
    const timeOf = (time: Tensor) => {
      const rows = reshape(time, [batch, -1, dim]);
      return perBlock ? broadcastTo(rows, [batch, blocks, dim]) : rows;
    };
    const given = [...(inputs.history ? [inputs.history] : []), inputs];
    const time = concat([textTime(config, batch), ...given.map((track) => timeOf(track.time))], 1);
    const positions = positionTables(config, grid);
    const video = given.map(({ hidden }) => placed(patches(hidden, grid), positions.added));
    return {
      x: concat([dense(inputs.text, 'patch_embed.text_proj'), ...video], 1),
      conditioning: conditioning({ time, ...(inputs.ofs && { ofs: inputs.ofs }) }),
    };
  };

  /** Of blocks of a track [batch, blocks, dim], the rows of each; of a single one, as it is. */
  const spread = (ofBlocks: Tensor) =>
    ofBlocks.shape[1] === 1 ? ofBlocks : slice(repeat(ofBlocks, 1, each), 1, 0, videoLength);
  /** What `track` has of `all`, [batch, 1 + conditioned, dim]. */
  const ofTrack = (all: Tensor, track: number) =>
    all.shape[1] === 2 ? slice(all, 1, 1, 1) : slice(all, 1, 1 + track * blocks, blocks);

  const tables = positionTables(config, grid).turned;
  const rotate = rotation(
    tables && {
      cos: constantRows(tables.cos, tracks, dimOf(config)),
      sin: constantRows(tables.sin, tracks, dimOf(config)),
    },
    textLength,
  );

  /** Blocks [first, end) that see as many as any other: all of them are one attention, a block in its batch. */
  const steady: BlockRange = [causal.sink + causal.window - 1, Math.floor(videoLength / each)];
  const batched = steady[1] - steady[0] > 1;

  const attend = (q: Tensor, k: Tensor, v: Tensor): Tensor => {
    const heads = q.shape.slice(2);
    const rows = (x: Tensor, ranges: readonly (readonly [number, number])[]) => {
      const parts = joined(ranges).map(([start, end]) => slice(x, 1, start, end - start));
      return parts.length === 1 ? parts[0] : concat(parts, 1);
    };
    const text: [number, number] = [0, textLength];
    const seenBy = (track: number, index: number) => {
      const own = rowsOf(track, [index, index + 1]);
      const before = seenBlocks(causal, index).map(([first, end]) =>
        rowsOf(0, [first, Math.min(end, index)]),
      );
      const seen = [text, ...before.filter(([start, end]) => start < end), own];
      return attention(rows(q, [own]), rows(k, seen), rows(v, seen));
    };

    const [first, end] = steady;
    const count = end - first;
    /** Steady blocks, or those `back` before each of them, [batch · count, tokens of a block, heads, head dim]. */
    const shifted = (x: Tensor, track: number, back: number) => {
      const [start] = rowsOf(track, [first - back, end - back]);
      return reshape(slice(x, 1, start, count * each), [batch * count, each, ...heads]);
    };
    /** Rows that all steady blocks see, once for each. */
    const shared = (x: Tensor, [start, last]: readonly [number, number]) => {
      const one = reshape(slice(x, 1, start, last - start), [batch, 1, last - start, dim]);
      const all = broadcastTo(one, [batch, count, last - start, dim]);
      return reshape(all, [batch * count, last - start, ...heads]);
    };
    const seenByAll = (track: number) => {
      const seen = (x: Tensor) =>
        concat(
          [
            shared(x, text),
            ...(causal.sink > 0 ? [shared(x, rowsOf(0, [0, causal.sink]))] : []),
            ...Array.from({ length: causal.window - 1 }, (_, i) => shifted(x, 0, i + 1)),
            shifted(x, track, 0),
          ],
          1,
        );
      const out = attention(shifted(q, track, 0), seen(k), seen(v));
      return reshape(out, [batch, count * each, ...heads]);
    };

    const out = [attention(rows(q, [text]), rows(k, [text]), rows(v, [text]))];
    for (let track = 0; track < tracks; track++) {
      for (let index = 0; index < blocks; index++) {
        if (!batched || index < first || index >= end) out.push(seenBy(track, index));
        else if (index === first) out.push(seenByAll(track));
      }
    }
    return concat(out, 1);
  };

  const block = (weights: Weights, index: number, { x, conditioning }: TransformerState): Tensor => {
    const layers = transformerLayers(config, weights);
    const modulation = (layer: string): Modulation => {
      const all = layers.dense(conditioning, layer);
      const joint = (nth: number) => {
        const text = slice(partOf(all, 3 + nth, dim), 1, 0, 1);
        const video = Array.from({ length: tracks }, (_, track) =>
          spread(ofTrack(partOf(all, nth, dim), track)),
        );
        if (tracks === 1 && video[0].shape[1] === 1)
          return splitAt([batch, length, dim], 1, textLength, text, video[0]);
        const rows = video.map((track) => broadcastTo(track, [batch, videoLength, dim]));
        return concat([broadcastTo(text, [batch, textLength, dim]), ...rows], 1);
      };
      return { shift: joint(0), scale: joint(1), gate: joint(2) };
    };
    return layers.block(index, x, { modulation, rotate, attend, feedForwardParts });
  };

  const end = (weights: Weights, { x, conditioning }: TransformerState): Tensor => {
    const { dense, finalNorm, finish } = transformerLayers(config, weights);
    const all = dense(conditioning, 'norm_out.linear');
    const last = slice(finalNorm(x), 1, length - videoLength, videoLength);
    const out = finish(last, (nth) => spread(ofTrack(partOf(all, nth, dim), tracks - 1)));
    return unpatchify(config, out, grid, frames);
  };
  return { begin, block, end };
}

/** Keys and values of some tokens, one of each for every layer, [batch, tokens, heads, head dim]. */
export interface KeysValues {
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
}

/** By names, as programs have their inputs and outputs: `k0`, `v0`, `k1`, … */
export const namedKeysValues = ({ keys, values }: KeysValues): Record<string, Tensor> =>
  Object.fromEntries(
    keys.flatMap((k, i) => [
      [`k${i}`, k],
      [`v${i}`, values[i]],
    ]),
  );

/** What has such names among `given`. */
export function keysValues(given: Readonly<Record<string, Tensor>>, layers: number): KeysValues {
  const of = (letter: string) => Array.from({ length: layers }, (_, i) => given[`${letter}${i}`]);
  return { keys: of('k'), values: of('v') };
}

/** @param text embeddings [batch, tokens, text_embed_dim]. */
export function causalText(
  config: TransformerConfig,
  weights: Weights,
  { text, ofs }: { readonly text: Tensor; readonly ofs?: Tensor },
): KeysValues {
  const dim = config.innerDim;
  const layers = transformerLayers(config, weights);
  const time = textTime(config, text.shape[0]);
  const conditioning = layers.conditioning({ time, ...(ofs && { ofs }) });
  const modulation = (layer: string): Modulation => {
    const all = layers.dense(conditioning, layer);
    const [shift, scale, gate] = [3, 4, 5].map((nth) => partOf(all, nth, dim));
    return { shift, scale, gate };
  };
  const made = collector();
  let x = layers.dense(text, 'patch_embed.text_proj');
  for (let i = 0; i < config.num_layers; i++) {
    const attend = (q: Tensor, k: Tensor, v: Tensor) => {
      made.add(k, v);
      return attention(q, k, v);
    };
    x = layers.block(i, x, { modulation, rotate: (y) => y, attend });
  }
  return made;
}

/** What a block is given; `time` is [batch, innerDim]. */
interface CausalBlockInputs extends TimeInputs {
  /** [batch, latent frames, in_channels, height, width]. */
  readonly hidden: Tensor;
  /** `blockPositions` of its place in the run. */
  readonly positions: Readonly<Record<string, Tensor>>;
  /** Of the text and of blocks that came before, in any order. */
  readonly before: KeysValues;
  /** u32 [1, tokens]: which of those count; all if left out. */
  readonly mask?: Tensor;
}

/** @returns the prediction [batch, latent frames, out_channels, height, width], and the block's own keys and values. */
export function causalBlock(
  config: TransformerConfig,
  weights: Weights,
  { hidden, positions, before, mask, ...times }: CausalBlockInputs,
): KeysValues & { readonly prediction: Tensor } {
  const dim = config.innerDim;
  const [batch, frames, , height, width] = hidden.shape;
  const grid = tokenGrid(config, frames, height, width);
  const layers = transformerLayers(config, weights);
  const conditioning = reshape(layers.conditioning(times), [batch, 1, -1]);
  const modulation = (layer: string): Modulation => {
    const all = layers.dense(conditioning, layer);
    const [shift, scale, gate] = [0, 1, 2].map((nth) => partOf(all, nth, dim));
    return { shift, scale, gate };
  };
  const { cos, sin, added } = positions;
  const rotate = rotation(cos && { cos, sin });
  const made = collector();
  let x = placed(layers.patches(hidden, grid), added);
  for (let i = 0; i < config.num_layers; i++) {
    const attend = (q: Tensor, k: Tensor, v: Tensor) => {
      made.add(k, v);
      return joinAttention(
        attentionWithLse(q, before.keys[i], before.values[i], mask && { mask }),
        attentionWithLse(q, k, v),
      );
    };
    x = layers.block(i, x, { modulation, rotate, attend });
  }
  const all = layers.dense(conditioning, 'norm_out.linear');
  const out = layers.finish(layers.finalNorm(x), (nth) => partOf(all, nth, dim));
  return { prediction: unpatchify(config, out, grid, frames), keys: made.keys, values: made.values };
}

/**
 * Where tokens of `frames` latent frames lie, the first of them latent frame `first` of the run: tables by the names of
 * `CausalBlockInputs.positions`, each with its shape.
 */
export function blockPositions(
  config: TransformerConfig,
  size: { readonly frames: number; readonly height: number; readonly width: number },
  first: number,
): Record<string, { readonly data: Float32Array; readonly shape: readonly number[] }> {
  const grid = tokenGrid(config, size.frames, size.height, size.width);
  const { turned, added } = positionTables(config, grid, first / (config.patch_size_t ?? 1));
  const turn = (data: Float32Array) => ({ data, shape: [data.length / dimOf(config), dimOf(config)] });
  return {
    ...(turned && { cos: turn(turned.cos), sin: turn(turned.sin) }),
    ...(added && { added: { data: added, shape: [1, added.length / config.innerDim, config.innerDim] } }),
  };
}

/** Attention to two sets of keys, of that to each: their shares are those of their sums of exponentials. */
function joinAttention([one, lseOne]: [Tensor, Tensor], [other, lseOther]: [Tensor, Tensor]): Tensor {
  const [batch, queries, heads] = one.shape;
  const share = reshape(permute(sigmoid(sub(lseOne, lseOther)), [0, 2, 1]), [batch, queries, heads, 1]);
  return add(other, mul(share, sub(one, other)));
}

const dimOf = (config: TransformerConfig): number => config.attention_head_dim;

/** The tables that turn queries and keys, or the one that is added to the rows; a model has one kind. */
function positionTables(config: TransformerConfig, grid: TokenGrid, first = 0) {
  return config.use_rotary_positional_embeddings
    ? { turned: rotaryTables(config, grid, first) }
    : { added: sincosTable(config, grid, first) };
}

/** A table as many times one after the other, [rows, width]. */
function constantRows(table: Float32Array, times: number, width: number): Tensor {
  const all = new Float32Array(times * table.length);
  for (let i = 0; i < times; i++) all.set(table, i * table.length);
  return constant(all, [all.length / width, width]);
}

function placed(x: Tensor, table: Float32Array | Tensor | undefined): Tensor {
  if (!table) return x;
  return add(x, table instanceof Float32Array ? constant(table, [1, ...x.shape.slice(1)]) : table);
}

/** [batch, 1, innerDim]. */
function textTime(config: TransformerConfig, batch: number): Tensor {
  const dim = config.innerDim;
  return broadcastTo(constant(timestepTable([TEXT_TIMESTEP], dim, config), [1, 1, dim]), [batch, 1, dim]);
}

/** Ranges in order, with those that touch as one. */
function joined(ranges: readonly (readonly [number, number])[]): [number, number][] {
  const out: [number, number][] = [];
  for (const [start, end] of ranges) {
    const last = out.at(-1);
    if (last && last[1] === start) last[1] = end;
    else out.push([start, end]);
  }
  return out;
}

function collector() {
  const keys: Tensor[] = [];
  const values: Tensor[] = [];
  return {
    keys,
    values,
    add(k: Tensor, v: Tensor) {
      keys.push(k);
      values.push(v);
    },
  };
}
