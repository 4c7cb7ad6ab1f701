/**
 * How attention's work is cut so that each dispatch binds no more than the device allows and runs no longer
 * than a slice should.
 *
 * Rows that invocations own (queries in the forward pass, either kind in the backward one) are independent, so
 * they are cut freely: by batch, then by heads (by rows first where a token is in the way). The other
 * tokens are cut only when those of one batch exceed a binding; a sum then carries on from dispatch to
 * dispatch, in a fixed order, so results are repeatable.
 */
import type { DeviceCaps } from '../caps.ts';
import type { DType } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import type { Operand } from '../kernel.ts';
import { broadcastAccess, elementCount, splitRange, type Window, windowOf } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import { declare } from '../storage.ts';

type Range = readonly [start: number, end: number];

/** One dispatch's share of the work. */
export interface Section {
  readonly batch: Range;
  readonly head: Range;
  readonly query: Range;
  readonly key: Range;
}

export const size = ([start, end]: Range): number => end - start;

interface Sizes {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly headDim: number;
  readonly bias?: { readonly shape: readonly number[] };
}

/** A tensor as it is bound. */
export interface Bound {
  readonly name: string;
  readonly declaration: (binding: number) => string;
  readonly operand: Operand;
  readonly dtype: DType;
  /** Elements of one WGSL array element. */
  readonly lanes: number;
  /** Elements of the tensor. */
  readonly count: number;
  /** First and last element that a section touches. */
  range(section: Section): readonly [number, number];
  /** How many it touches, where not all between. */
  touched?(section: Section): number;
}

/** A tensor of tokens, [batch, queries or keys, heads, headDim]: of keys if its name has k or v, else of queries. */
export function tokensBound(
  { batch, queries, keys, heads, headDim }: Sizes,
  caps: DeviceCaps,
  name: 'q' | 'k' | 'v' | 'out' | 'g' | 'dq' | 'dk' | 'dv',
  operand: Operand,
  dtype: DType,
): Bound {
  const along = /[kv]$/.test(name) ? 'key' : 'query';
  const perBatch = along === 'key' ? keys : queries;
  return {
    name,
    operand,
    dtype,
    lanes: 4,
    declaration: (binding) => declare(binding, name, dtype, operand.access, caps, 4),
    count: batch * perBatch * heads * headDim,
    touched: (section) => size(section.batch) * size(section.head) * size(section[along]) * headDim,
    range: ({ batch: b, head, ...section }) => [
      ((b[0] * perBatch + section[along][0]) * heads + head[0]) * headDim,
      (((b[1] - 1) * perBatch + section[along][1] - 1) * heads + head[1]) * headDim - 1,
    ],
  };
}

/** One or two values of each query's softmax, [batch, heads, queries]. */
export function statisticsBound(
  { batch, queries, heads }: Sizes,
  caps: DeviceCaps,
  name: string,
  operand: Operand,
  values: 1 | 2,
): Bound {
  return {
    name,
    operand,
    dtype: 'f32',
    lanes: values,
    declaration: (binding) =>
      values === 1
        ? declare(binding, name, 'f32', operand.access, caps)
        : `@group(0) @binding(${binding}) var<storage, ${operand.access}> ${name}: array<vec2<f32>>;`,
    count: batch * heads * queries * values,
    range: ({ batch: b, head, query }) => [
      ((b[0] * heads + head[0]) * queries + query[0]) * values,
      (((b[1] - 1) * heads + head[1] - 1) * queries + query[1]) * values - 1,
    ],
  };
}

/** The bias, or its gradient. */
export function biasBound(
  spec: Sizes,
  caps: DeviceCaps,
  name: string,
  operand: Operand,
  dtype: DType,
): Bound {
  const strides = biasStrides(spec);
  const at = (...coordinates: number[]) => coordinates.reduce((sum, c, d) => sum + c * strides[d], 0);
  return {
    name,
    operand,
    dtype,
    lanes: 1,
    declaration: (binding) => declare(binding, name, dtype, operand.access, caps),
    count: elementCount(spec.bias!.shape),
    range: ({ batch: b, head, query, key }) => [
      at(b[0], head[0], query[0], key[0]),
      at(b[1] - 1, head[1] - 1, query[1] - 1, key[1] - 1),
    ],
  };
}

/** The mask of keys. */
export const maskBound = ({ batch, keys }: Sizes, caps: DeviceCaps, operand: Operand): Bound => ({
  name: 'mask',
  operand,
  dtype: 'u32',
  lanes: 1,
  declaration: (binding) => declare(binding, 'mask', 'u32', 'read', caps),
  count: batch * keys,
  range: ({ batch: b, key }) => [b[0] * keys + key[0], (b[1] - 1) * keys + key[1] - 1],
});

/** Elements from batch to batch, head to head, query to query and key to key; 0 where the bias is broadcast. */
export const biasStrides = ({ bias, batch, heads, queries, keys }: Sizes): number[] =>
  bias
    ? broadcastAccess(bias.shape, [batch, heads, queries, keys]).dims.map(({ stride }) => stride)
    : [0, 0, 0, 0];

export const boundWindow = (bound: Bound, section: Section, caps: DeviceCaps): Window =>
  windowOf(...bound.range(section), bound.count, bound.dtype, offsetAlignment(caps));

/** Floating-point operations of one dispatch, so that progress and aborts are prompt and no watchdog trips. */
const WORK = { software: 2e9, hardware: 5e11 };

/** Tokens are cut at multiples of this. */
const QUANTUM = 64;

const tooLarge =
  ({ heads, headDim }: Sizes, caps: DeviceCaps) =>
  () =>
    new TooLargeError(
      `attention: ${QUANTUM} tokens of ${heads} heads of ${headDim} do not fit in a binding of ${caps.limits.maxStorageBufferBindingSize} bytes`,
    );

/** Runs of the tokens that rows go through, `bytes` each. */
export function cutOthers(
  sizes: Sizes,
  along: 'query' | 'key',
  bytes: number,
  caps: DeviceCaps,
): [number, number][] {
  const limit = caps.limits.maxStorageBufferBindingSize;
  return splitRange(
    along === 'key' ? sizes.keys : sizes.queries,
    QUANTUM,
    // A window may start and end up to the alignment too wide.
    (start, end) => (end - start) * bytes + 2 * offsetAlignment(caps) <= limit,
    tooLarge(sizes, caps),
  );
}

/** Sections of the rows along `own` so that all bounds fit with each of `others`; `flops` are those of one score. */
export function cutOwn(
  sizes: Sizes,
  own: 'query' | 'key',
  others: readonly Range[],
  bounds: readonly Bound[],
  flops: number,
  caps: DeviceCaps,
): Section[] {
  const { batch, heads, queries, keys } = sizes;
  const other = own === 'query' ? 'key' : 'query';
  const limit = caps.limits.maxStorageBufferBindingSize;
  const fits = (bound: Bound, section: Section) =>
    others.every((range) => boundWindow(bound, { ...section, [other]: range }, caps).byteLength <= limit);
  const work = (section: Section) =>
    flops * size(section.batch) * size(section.head) * size(section[own]) * size(others[0]);
  const cut = (section: Section): Section[] => {
    const tooWide = bounds.filter((bound) => !fits(bound, section));
    if (tooWide.length === 0 && work(section) <= WORK[caps.adapter.kind]) return [section];
    const halve = (axis: 'batch' | 'head' | 'query' | 'key', quantum: number) => {
      const [start, end] = section[axis];
      const middle = start + Math.ceil((end - start) / 2 / quantum) * quantum;
      return [...cut({ ...section, [axis]: [start, middle] }), ...cut({ ...section, [axis]: [middle, end] })];
    };
    if (size(section.batch) > 1) return halve('batch', 1);
    // A head's others are read again and again while it is gone through, those of all heads come once a section.
    if (size(section.head) > 1 && (tooWide.length === 0 || tooWide.some(({ name }) => /bias/i.test(name))))
      return halve('head', 1);
    if (size(section[own]) > QUANTUM) return halve(own, QUANTUM);
    if (tooWide.length > 0) throw tooLarge(sizes, caps)();
    return [section];
  };
  return cut({ batch: [0, batch], head: [0, heads], query: [0, queries], key: [0, keys] });
}
