/**
 * What every attention kernel shares: the spec, the uniforms, the functions that find a token, and the
 * dispatches over the sections that `cut.ts` makes.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { byteLength, bytesOf, type DType } from '../dtype.ts';
import { lineGrid } from '../grid.ts';
import { type Dispatch, f32Bits, type HalfRows, type Lowering, read, scratch, write } from '../kernel.ts';
import { enables, load } from '../storage.ts';
import { TOGETHER } from '../traffic.ts';
import {
  type Bound,
  biasBound,
  biasStrides,
  boundWindow,
  cutOthers,
  cutOwn,
  maskBound,
  type Section,
  size,
  statisticsBound,
  tokensBound,
} from './cut.ts';

/** Attention of q [batch, queries, heads, headDim] to k and v [batch, keys, heads, headDim]. */
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
  /** May multiply in f16, rows scaled by powers of two against overflow; sums and softmax stay in f32. */
  readonly halfPrecision?: boolean;
  /** How `out` is wished as scaled halves. */
  readonly halfRows?: HalfRows | undefined;
}

/** Score of a key that is not there: absorbs whatever is added to it. */
const NO_KEY = '-3.4e38';
/**
 * Where the running maximum starts. exp(NO_KEY - NO_MAXIMUM) vanishes, so a query without keys needs no branch
 * until the end, where its sum of weights is below 1/2 while any other's is 1 or more.
 */
export const NO_MAXIMUM = '-1e30';

/** Bindings of the forward kernels; the state of a softmax that carries on is in `stateScratch`. */
export function forwardBounds(
  spec: AttentionSpec,
  split: boolean,
  caps: DeviceCaps,
  stateScratch = 0,
): Bound[] {
  const bounds = [
    tokensBound(spec, caps, 'q', read(0), spec.dtypes.q),
    tokensBound(spec, caps, 'k', read(1), spec.dtypes.k),
    tokensBound(spec, caps, 'v', read(2), spec.dtypes.v),
  ];
  if (spec.bias) bounds.push(biasBound(spec, caps, 'bias', read(3), spec.bias.dtype));
  if (spec.mask) bounds.push(maskBound(spec, caps, read(spec.bias ? 4 : 3)));
  bounds.push(
    tokensBound(spec, caps, 'out', write(0), 'f32'),
    statisticsBound(spec, caps, 'lse', write(1), 1),
  );
  if (split) bounds.push(statisticsBound(spec, caps, 'state', scratch(stateScratch, 'read_write'), 2));
  return bounds;
}

/**
 * `Params`, the bindings, and the functions that read them. Coordinates count from the start of the dispatch's
 * section and must lie inside it.
 */
function prelude(spec: AttentionSpec, bounds: readonly Bound[], caps: DeviceCaps): string {
  const { dtypes, bias } = spec;
  return wgsl`${enables([dtypes.q, dtypes.k, dtypes.v, ...(bias ? [bias.dtype] : [])], caps)}
struct Params {
  // Of the section.
  workgroups: u32, blocks: u32, batches: u32, heads: u32, queries: u32, keys: u32,
  // The head's vec4s, and rows of one invocation: constants that a compiler cannot see.
  vectors: u32, blockRows: u32,
  // In vec4s: from token to token, and from batch to batch.
  tokenStride: u32, queryBatchStride: u32, keyBatchStride: u32,
  scale: f32,
  biasBatch: u32, biasHead: u32, biasQuery: u32, biasKey: u32,
  maskStride: u32, batchStatistics: u32, headStatistics: u32,
  // Whether this is the first and the last dispatch over what these rows go through.
  first: u32, last: u32,
  ${bounds.map(({ name }) => `${name}At: u32,`).join(' ')}
}
@group(0) @binding(0) var<uniform> params: Params;
${bounds.map(({ declaration }, k) => declaration(k + 1)).join('\n')}

${bounds
  .filter(({ lanes }) => lanes === 4)
  .map(
    ({ name, dtype }) =>
      `fn load_${name}(i: u32) -> vec4<f32> { let e = params.${name}At + i; return ${load(name, dtype, 'e', caps, 4)}; }`,
  )
  .join('\n')}
fn queryAt(batch: u32, head: u32, query: u32) -> u32 {
  return batch * params.queryBatchStride + query * params.tokenStride + head * ${spec.headDim / 4}u;
}
fn keyAt(batch: u32, head: u32) -> u32 {
  return batch * params.keyBatchStride + head * ${spec.headDim / 4}u;
}
fn statisticsAt(batch: u32, head: u32, query: u32) -> u32 {
  return batch * params.batchStatistics + head * params.headStatistics + query;
}
#if ${bounds.some(({ name }) => name === 'bias')}
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
#if ${bounds.some(({ name }) => name === 'mask')}
  let at = params.maskAt + batch * params.maskStride + min(key, params.keys - 1u);
  return select(${NO_KEY}, 0.0, key < params.keys && mask[at] != 0u);
#else
  return select(${NO_KEY}, 0.0, key < params.keys);
#endif
}
`;
}

/** One way of computing attention over one section. */
export interface AttentionKernel {
  readonly label: string;
  /** Rows (queries, say) of one head that a workgroup takes. */
  readonly rows: number;
  /** Rows that an invocation keeps. */
  readonly rowsEach: number;
  readonly enables: string;
  /** The entry point. With `split` it carries on from what is stored unless first, and leaves that unless last. */
  main(split: boolean): string;
}

/** What else a lowering over sections needs to know: whose rows they are and what is bound. */
export interface TokenWork {
  /** Tokens that invocations own; they go through the others. */
  readonly own: 'query' | 'key';
  /** Bytes of one of the other tokens in the widest tensor that must be bound for it. */
  readonly otherBytes: number;
  /** Multiply-adds of one component of one score. */
  readonly products: number;
  bounds(split: boolean): Bound[];
  /** Workgroups of a section, where they are not the blocks of its rows. */
  workgroups?(section: Section): number;
  /** Whether nothing was stored before for what this section sums up. */
  first?(section: Section): boolean;
}

/** What blocks of rows go through, by whose rows they are. */
const WALKED = { query: ['k', 'v', 'kScale', 'vScale'], key: ['q', 'g', 'statistics'] };

/** The dispatches of `kernel` over all of `spec`. */
export function lowerSections(
  spec: AttentionSpec,
  caps: DeviceCaps,
  kernel: AttentionKernel,
  work: TokenWork,
): { dispatches: Dispatch[]; split: boolean } {
  const { queries, keys, heads, headDim } = spec;
  const other = work.own === 'query' ? 'key' : 'query';
  const others = cutOthers(spec, other, work.otherBytes, caps);
  const split = others.length > 1;
  const bounds = work.bounds(split);
  const sections = cutOwn(spec, work.own, others, bounds, 2 * work.products * headDim, caps);

  const code = `${kernel.enables}\n${prelude(spec, bounds, caps)}${kernel.main(split)}`;
  const tokenStride = (heads * headDim) / 4;
  const dispatches = sections.flatMap((owned) =>
    others.map((range): Dispatch => {
      const section = { ...owned, [other]: range };
      const windows = bounds.map((bound) => boundWindow(bound, section, caps));
      const blocks = Math.ceil(size(section[work.own]) / kernel.rows);
      const workgroups = work.workgroups?.(section) ?? blocks * size(section.head) * size(section.batch);
      const first = work.first?.(section) ?? range[0] === 0;
      const scores = [section.batch, section.head, section.query, section.key]
        .map(size)
        .reduce((a, b) => a * b);
      const walks = Math.ceil(blocks / TOGETHER);
      const bytes = bounds.map(
        ({ name, dtype, touched }, k) =>
          (touched ? touched(section) * bytesOf(dtype) : windows[k].byteLength) *
          (WALKED[work.own].includes(name) ? walks : 1),
      );
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
            size(section.batch),
            size(section.head),
            size(section.query),
            size(section.key),
          ],
          ...[headDim / 4, kernel.rowsEach],
          ...[tokenStride, queries * tokenStride, keys * tokenStride],
          f32Bits(spec.scale),
          ...biasStrides(spec),
          ...[keys, heads * queries, queries],
          ...[Number(first), Number(range === others[others.length - 1])],
          ...bounds.map((bound, k) => (bound.range(section)[0] - windows[k].firstElement) / bound.lanes),
        ],
        workgroups: lineGrid(workgroups, caps),
        ...(work.products > 0 && {
          work: {
            flops: 2 * work.products * headDim * scores,
            bytes: bytes.reduce((a, b) => a + b),
          },
        }),
      };
    }),
  );
  return { dispatches, split };
}

/** The dispatches of a forward `kernel`. */
export function lowerForward(spec: AttentionSpec, caps: DeviceCaps, kernel: AttentionKernel): Lowering {
  const { batch, queries, heads, headDim, dtypes } = spec;
  const { dispatches, split } = lowerSections(spec, caps, kernel, {
    own: 'query',
    otherBytes: heads * headDim * Math.max(bytesOf(dtypes.k), bytesOf(dtypes.v)),
    products: 2,
    bounds: (cut) => forwardBounds(spec, cut, caps),
  });
  return { dispatches, scratch: split ? [byteLength(2 * batch * heads * queries, 'f32')] : [] };
}
