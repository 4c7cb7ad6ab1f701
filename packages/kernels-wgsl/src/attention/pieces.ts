/**
 * What every attention kernel shares: the spec, the bindings and uniforms, and how the work is cut so that
 * each dispatch binds no more than the device allows and runs no longer than a slice should.
 *
 * Queries are independent, so they are cut freely: by batch, then by rows (by heads first where only the bias
 * is too large). Keys are cut only when those of one batch exceed a binding; the softmax then carries on from
 * dispatch to dispatch: `out` holds the sum of weighted values so far, `state` (scratch) the maximum score and
 * the sum of weights. The order is fixed, so results are repeatable.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { byteLength, bytesOf, type DType } from '../dtype.ts';
import { lineGrid } from '../grid.ts';
import { f32Bits, type Lowering, type Operand, read, scratch, write } from '../kernel.ts';
import { broadcastAccess, elementCount, splitRange, windowOf } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import { declare, enables, type Lanes, load } from '../storage.ts';

export interface AttentionSpec {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  /** Multiple of 4, 8 to 128. */
  readonly headDim: number;
  readonly dtypes: { readonly q: DType; readonly k: DType; readonly v: DType };
  readonly scale: number;
  /** Broadcasts to [batch, heads, queries, keys]. */
  readonly bias?: { readonly shape: readonly number[]; readonly dtype: DType };
  readonly mask: boolean;
  /** Whether output 1, the log-sum-exp, is written. */
  readonly lse: boolean;
}

/** Score of a key that is not there: absorbs whatever is added to it. */
export const NO_KEY = '-3.4e38';
/**
 * Where the running maximum starts. exp(NO_KEY - NO_MAXIMUM) vanishes, so a query without keys needs no branch
 * until the end, where its sum of weights is below 1/2 while any other's is 1 or more.
 */
export const NO_MAXIMUM = '-1e30';

type Range = readonly [start: number, end: number];

/** One dispatch's share of the work. */
interface Piece {
  readonly batch: Range;
  readonly head: Range;
  readonly query: Range;
  readonly key: Range;
}

const size = ([start, end]: Range) => end - start;

/** Floating-point operations of one dispatch, so that progress and aborts are prompt and no watchdog trips. */
const WORK = { software: 2e9, hardware: 5e11 };

/** Queries and keys are cut at multiples of this. */
const QUANTUM = 64;

interface Bound {
  readonly name: string;
  readonly declaration: (binding: number) => string;
  readonly operand: Operand;
  readonly dtype: DType;
  /** Elements of one WGSL array element. */
  readonly lanes: number;
  /** Elements of the tensor. */
  readonly count: number;
  /** First and last element that a piece touches. */
  range(piece: Piece): readonly [number, number];
}

function boundTensors(spec: AttentionSpec, split: boolean, caps: DeviceCaps): Bound[] {
  const { batch, queries, keys, heads, headDim, bias } = spec;
  const tensor = (name: string, operand: Operand, dtype: DType, lanes: Lanes) => ({
    name,
    operand,
    dtype,
    lanes,
    declaration: (binding: number) => declare(binding, name, dtype, operand.access, caps, lanes),
  });
  const tokens = (along: 'query' | 'key', perBatch: number) => ({
    count: batch * perBatch * heads * headDim,
    range: ({ batch: b, head, ...piece }: Piece): [number, number] => [
      ((b[0] * perBatch + piece[along][0]) * heads + head[0]) * headDim,
      (((b[1] - 1) * perBatch + piece[along][1] - 1) * heads + head[1]) * headDim - 1,
    ],
  });
  const perQuery = (values: number) => ({
    count: batch * heads * queries * values,
    range: ({ batch: b, head, query }: Piece): [number, number] => [
      ((b[0] * heads + head[0]) * queries + query[0]) * values,
      (((b[1] - 1) * heads + head[1] - 1) * queries + query[1]) * values - 1,
    ],
  });
  const bounds: Bound[] = [
    { ...tensor('q', read(0), spec.dtypes.q, 4), ...tokens('query', queries) },
    { ...tensor('k', read(1), spec.dtypes.k, 4), ...tokens('key', keys) },
    { ...tensor('v', read(2), spec.dtypes.v, 4), ...tokens('key', keys) },
  ];
  if (bias) {
    const strides = biasStrides(spec);
    const at = (...coordinates: number[]) => coordinates.reduce((sum, c, d) => sum + c * strides[d], 0);
    bounds.push({
      ...tensor('bias', read(3), bias.dtype, 1),
      count: elementCount(bias.shape),
      range: ({ batch: b, head, query, key }) => [
        at(b[0], head[0], query[0], key[0]),
        at(b[1] - 1, head[1] - 1, query[1] - 1, key[1] - 1),
      ],
    });
  }
  if (spec.mask) {
    bounds.push({
      ...tensor('mask', read(bias ? 4 : 3), 'u32', 1),
      count: batch * keys,
      range: ({ batch: b, key }) => [b[0] * keys + key[0], (b[1] - 1) * keys + key[1] - 1],
    });
  }
  bounds.push({ ...tensor('out', write(0), 'f32', 4), ...tokens('query', queries) });
  if (spec.lse) bounds.push({ ...tensor('lse', write(1), 'f32', 1), ...perQuery(1) });
  if (split) {
    bounds.push({
      name: 'state',
      operand: scratch(0, 'read_write'),
      dtype: 'f32',
      lanes: 2,
      declaration: (binding) =>
        `@group(0) @binding(${binding}) var<storage, read_write> state: array<vec2<f32>>;`,
      ...perQuery(2),
    });
  }
  return bounds;
}

const biasStrides = ({ bias, batch, heads, queries, keys }: AttentionSpec): number[] =>
  bias
    ? broadcastAccess(bias.shape, [batch, heads, queries, keys]).dims.map(({ stride }) => stride)
    : [0, 0, 0, 0];

/**
 * `Params`, the bindings, and the functions that read them. Coordinates count from the start of the dispatch's
 * piece and must lie inside it.
 */
function prelude(spec: AttentionSpec, bounds: readonly Bound[], caps: DeviceCaps): string {
  const { dtypes, bias } = spec;
  return wgsl`${enables([dtypes.q, dtypes.k, dtypes.v, ...(bias ? [bias.dtype] : [])], caps)}
struct Params {
  // Of the piece.
  workgroups: u32, blocks: u32, heads: u32, queries: u32, keys: u32,
  // The head's vec4s, and queries of one invocation: constants that a compiler cannot see.
  vectors: u32, blockRows: u32,
  // In vec4s: from token to token, and from batch to batch.
  tokenStride: u32, queryBatchStride: u32, keyBatchStride: u32,
  scale: f32,
  biasBatch: u32, biasHead: u32, biasQuery: u32, biasKey: u32,
  maskStride: u32, batchStatistics: u32, headStatistics: u32,
  // Whether this is the first and the last dispatch over these queries' keys.
  first: u32, last: u32,
  ${bounds.map(({ name }) => `${name}At: u32,`).join(' ')}
}
@group(0) @binding(0) var<uniform> params: Params;
${bounds.map(({ declaration }, k) => declaration(k + 1)).join('\n')}

fn loadQ(i: u32) -> vec4<f32> { return ${load('q', dtypes.q, 'i', caps, 4)}; }
fn loadK(i: u32) -> vec4<f32> { return ${load('k', dtypes.k, 'i', caps, 4)}; }
fn loadV(i: u32) -> vec4<f32> { return ${load('v', dtypes.v, 'i', caps, 4)}; }
fn queryAt(batch: u32, head: u32, query: u32) -> u32 {
  return batch * params.queryBatchStride + query * params.tokenStride + head * ${spec.headDim / 4}u;
}
fn keyAt(batch: u32, head: u32) -> u32 {
  return batch * params.keyBatchStride + head * ${spec.headDim / 4}u;
}
fn statisticsAt(batch: u32, head: u32, query: u32) -> u32 {
  return batch * params.batchStatistics + head * params.headStatistics + query;
}
#if ${bias !== undefined}
fn biasOf(batch: u32, head: u32, query: u32, key: u32) -> f32 {
  let i = params.biasAt + batch * params.biasBatch + head * params.biasHead
    + query * params.biasQuery + key * params.biasKey;
  return ${bias ? load('bias', bias.dtype, 'i', caps) : ''};
}
#endif
// What turns the sum of weighted values into the output: 1 / l, or 0 for a query without keys.
fn normaliser(l: f32) -> f32 { return select(0.0, 1.0 / l, l > 0.5); }
fn logSumExp(m: f32, l: f32) -> f32 { return select(${NO_MAXIMUM}, m + log(l), l > 0.5); }
// The score that a key starts from: 0, or NO_KEY if it is past the end or masked.
fn keyScore(batch: u32, key: u32) -> f32 {
#if ${spec.mask}
  let at = params.maskAt + batch * params.maskStride + min(key, params.keys - 1u);
  return select(${NO_KEY}, 0.0, key < params.keys && mask[at] != 0u);
#else
  return select(${NO_KEY}, 0.0, key < params.keys);
#endif
}
`;
}

/** One way of computing attention over one piece. */
export interface AttentionKernel {
  readonly label: string;
  /** Queries of one head that a workgroup takes. */
  readonly rows: number;
  /** Queries that an invocation keeps. */
  readonly rowsEach: number;
  readonly enables: string;
  /** The entry point. With `split` it carries on from `out` and `state` unless first, and leaves them unless last. */
  main(split: boolean): string;
}

/** The dispatches of `kernel` over all of `spec`. */
export function lowerPieces(spec: AttentionSpec, caps: DeviceCaps, kernel: AttentionKernel): Lowering {
  const { batch, queries, keys, heads, headDim } = spec;
  const limit = caps.limits.maxStorageBufferBindingSize;
  const alignment = offsetAlignment(caps);
  const tooLarge = () =>
    new Error(
      `attention: ${QUANTUM} tokens of ${heads} heads of ${headDim} do not fit in a binding of ${limit} bytes`,
    );

  const keyBytes = heads * headDim * Math.max(bytesOf(spec.dtypes.k), bytesOf(spec.dtypes.v));
  // A window may start and end up to `alignment` bytes too wide.
  const keyPieces = splitRange(
    keys,
    QUANTUM,
    (start, end) => (end - start) * keyBytes + 2 * alignment <= limit,
    tooLarge,
  );
  const split = keyPieces.length > 1;
  const bounds = boundTensors(spec, split, caps);
  const window = (bound: Bound, piece: Piece) =>
    windowOf(...bound.range(piece), bound.count, bound.dtype, alignment);
  const fits = (bound: Bound, piece: Piece) =>
    keyPieces.every((key) => window(bound, { ...piece, key }).byteLength <= limit);

  const work = ({ batch: b, head, query }: Piece) =>
    4 * size(b) * size(head) * size(query) * size(keyPieces[0]) * headDim;
  const cut = (piece: Piece): Piece[] => {
    const tooWide = bounds.filter((bound) => !fits(bound, piece));
    if (tooWide.length === 0 && work(piece) <= WORK[caps.adapter.kind]) return [piece];
    const halve = (axis: 'batch' | 'head' | 'query', quantum: number) => {
      const [start, end] = piece[axis];
      const middle = start + Math.ceil((end - start) / 2 / quantum) * quantum;
      return [...cut({ ...piece, [axis]: [start, middle] }), ...cut({ ...piece, [axis]: [middle, end] })];
    };
    if (size(piece.batch) > 1) return halve('batch', 1);
    if (size(piece.head) > 1 && tooWide.some(({ name }) => name === 'bias')) return halve('head', 1);
    if (size(piece.query) > QUANTUM) return halve('query', QUANTUM);
    if (tooWide.length > 0) throw tooLarge();
    return [piece];
  };
  const pieces = cut({ batch: [0, batch], head: [0, heads], query: [0, queries], key: [0, keys] });

  const code = `${kernel.enables}\n${prelude(spec, bounds, caps)}${kernel.main(split)}`;
  const tokenStride = (heads * headDim) / 4;
  const dispatches = pieces.flatMap((queryPiece) =>
    keyPieces.map((key) => {
      const piece = { ...queryPiece, key };
      const windows = bounds.map((bound) => window(bound, piece));
      const blocks = Math.ceil(size(piece.query) / kernel.rows);
      const workgroups = blocks * size(piece.head) * size(piece.batch);
      return {
        label: `attention/${kernel.label}`,
        wgsl: code,
        operands: bounds.map(({ operand }, k) => ({
          ...operand,
          byteOffset: windows[k].byteOffset,
          byteLength: windows[k].byteLength,
        })),
        uniforms: [
          ...[
            workgroups,
            blocks,
            size(piece.head),
            size(piece.query),
            size(key),
            headDim / 4,
            kernel.rowsEach,
          ],
          ...[tokenStride, queries * tokenStride, keys * tokenStride],
          f32Bits(spec.scale),
          ...biasStrides(spec),
          ...[keys, heads * queries, queries],
          ...[Number(key[0] === 0), Number(key[1] === keys)],
          ...bounds.map((bound, k) => (bound.range(piece)[0] - windows[k].firstElement) / bound.lanes),
        ],
        workgroups: lineGrid(workgroups, caps),
      };
    }),
  );
  return { dispatches, scratch: split ? [byteLength(2 * batch * heads * queries, 'f32')] : [] };
}
