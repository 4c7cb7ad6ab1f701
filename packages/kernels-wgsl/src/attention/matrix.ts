/**
 * Attention in f16 on the matrix units of a GPU, sums and softmax in f32.
 *
 * q, k and v are rows of scaled halves (`half-rows.ts`), a token of all heads each: their producers make them, or they
 * are staged here. The scales of q and k multiply the scores. That of v[j], 2^e[j], becomes part of the weight, in the
 * exponent:
 *
 *     t[j] = log2(e) (scale · q · k[j] + bias[j]) + e[j],    weight[j] = 2^(t[j] - m),    l = sum of weight[j] · 2^-e[j]
 *
 * The result may be scaled halves too: it is a mean of v's rows, so no larger than the largest of them.
 *
 * Host: subgroups of a known size, a multiple of M; a configuration f16 x f16 -> f32; heads of whole 16-byte words.
 * WGSL: `matrix-kernel.ts`.
 */
import { type DeviceCaps, knownSubgroups, withSubgroups } from '../caps.ts';
import { byteLength, bytesOf } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { type BoundRowsSpec, boundRows } from '../half-rows.ts';
import {
  type Dispatch,
  type Lowering,
  type Operand,
  read,
  scratch,
  type Tuning,
  type Variant,
  write,
} from '../kernel.ts';
import { halfConfigs } from '../matmul/fragments.ts';
import { stageHalf } from '../matmul/stage-half.ts';
import { splitRange, windowOf } from '../pointwise/access.ts';
import { accumulator } from '../pointwise/expression.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import { declare } from '../storage.ts';
import { type Bound, tokensBound } from './cut.ts';
import {
  LAZY,
  type MatrixAttentionKernel,
  type MatrixTile,
  MOST_PARTS,
  matrixAttentionKernel,
  QUANTUM,
  workgroupBytes,
} from './matrix-kernel.ts';
import { type AttentionSpec, forwardBounds, lowerSections } from './sections.ts';

interface MatrixAttentionTile extends MatrixTile, Tuning {
  /** Index in caps.features.subgroupMatrixConfigs. */
  readonly config: number;
}

/** By matrices of 16, 64 queries by 64 keys, and smaller ones. */
const ONE_BAND: readonly MatrixTile[] = [
  { subgroups: 4, bands: 1, keys: 64 },
  { subgroups: 4, bands: 1, keys: 32 },
  { subgroups: 2, bands: 1, keys: 64 },
  { subgroups: 2, bands: 1, keys: 32 },
  { subgroups: 4, bands: 1, keys: 16 },
  { subgroups: 1, bands: 1, keys: 64 },
  { subgroups: 1, bands: 1, keys: 32 },
];
/** 128 queries: half as much of k and v passes to a workgroup, and with two bands from its memory to the units. */
const BANDS: readonly MatrixTile[] = [
  { subgroups: 4, bands: 2, keys: 32 },
  { subgroups: 8, bands: 1, keys: 32 },
  { subgroups: 4, bands: 2, keys: 16 },
];
/** Queries from which tiles of 128 fill a GPU. */
const MANY = 1024;

function tilesFor({ queries }: AttentionSpec, { adapter }: DeviceCaps): readonly MatrixTile[] {
  if (adapter.kind === 'hardware') return queries < MANY ? [...ONE_BAND, ...BANDS] : [...BANDS, ...ONE_BAND];
  // A row of a CPU is one lane's: compiling its keys, which are unrolled, costs more than steps over few of them.
  return [...ONE_BAND, ...BANDS].sort((a, b) => a.keys - b.keys);
}

function candidates(spec: AttentionSpec, caps: DeviceCaps): MatrixAttentionTile[] {
  const { subgroupMatrixConfigs: configs } = caps.features;
  const lanes = knownSubgroups(caps)?.lanes ?? 0;
  const { maxComputeWorkgroupStorageSize: storage, maxComputeInvocationsPerWorkgroup: most } = caps.limits;
  const tiles = tilesFor(spec, caps);
  return halfConfigs(configs, QUANTUM).flatMap((config) => {
    const { M, N } = configs[config];
    return tiles
      .map((tile) => ({ config, ...tile }))
      .filter(
        (tile) =>
          lanes > 0 &&
          lanes % M === 0 &&
          lanes / M <= MOST_PARTS &&
          QUANTUM % N === 0 &&
          tile.keys % (8 * (lanes / M)) === 0 &&
          tile.subgroups * lanes <= most &&
          workgroupBytes(spec.headDim, M, tile) <= storage,
      );
  });
}

export const matrixAttention: Variant<AttentionSpec> = {
  name: 'matrix',
  suspect: true,
  applies: (spec, caps) =>
    spec.halfPrecision === true &&
    spec.headDim % 8 === 0 &&
    caps.features.f16 &&
    bindingsOf(spec, caps) <= caps.limits.maxStorageBuffersPerShaderStage &&
    candidates(spec, caps).length > 0,
  candidates,
  lower(spec, caps, tuning) {
    const { config, ...tile } = (tuning as MatrixAttentionTile) ?? candidates(spec, caps)[0];
    const subgroups = knownSubgroups(caps)!;
    const size = caps.features.subgroupMatrixConfigs[config];
    const halved = mayHalve(spec, caps);
    const kernel = matrixAttentionKernel(spec, tile, size, subgroups.lanes, false, halved);
    return lowerMatrixAttention(spec, caps, {
      ...kernel,
      enables: subgroups.enables + kernel.enables,
      main: (split) => withSubgroups(kernel.main(split), subgroups),
    });
  },
};

const STAGED = ['q', 'k', 'v'] as const;
/** Products of any two that are multiplied are halves themselves: weights are below 2^LAZY. */
const TOPS = { q: 8, k: 7, v: 15 - LAZY };
/** Scratch: halves and scales of each, then what a softmax that carries on has of its state. */
const HALVES = { q: 0, k: 1, v: 2 };
const SCALES = { q: 3, k: 4, v: 5 };
const STATE = 6;
/** q, k, v and their scales, out and lse. */
const BINDINGS = 8;
/** Scales of v, the largest of which is looked for by each workgroup. */
const MOST_SCALES = 1 << 16;

/** Whether the softmax of a query is carried from dispatch to dispatch. */
const inParts = ({ keys, heads, headDim }: AttentionSpec, caps: DeviceCaps): boolean =>
  byteLength(keys * heads * headDim, 'f16') + 2 * offsetAlignment(caps) >
  caps.limits.maxStorageBufferBindingSize;

const bindingsOf = (spec: AttentionSpec, caps: DeviceCaps): number =>
  BINDINGS + [spec.bias, spec.mask, inParts(spec, caps)].filter(Boolean).length;

/** Whether results are halves: where they are wished so, and no dispatch leaves sums to another. */
const mayHalve = (spec: AttentionSpec, caps: DeviceCaps): boolean =>
  spec.halfRows?.length === spec.heads * spec.headDim &&
  !inParts(spec, caps) &&
  spec.batch * spec.keys <= MOST_SCALES &&
  bindingsOf(spec, caps) < caps.limits.maxStorageBuffersPerShaderStage;

/** Stages q, k and v and runs `kernel`. */
export function lowerMatrixAttention(
  spec: AttentionSpec,
  caps: DeviceCaps,
  kernel: MatrixAttentionKernel,
): Lowering {
  const { batch, queries, keys, heads, headDim, dtypes } = spec;
  const length = heads * headDim;
  const rows = { q: batch * queries, k: batch * keys, v: batch * keys };
  const alignment = offsetAlignment(caps);
  const limit = caps.limits.maxStorageBufferBindingSize;
  const staging = STAGED.flatMap((name, index) => {
    const window = (start: number, end: number) =>
      windowOf(start * length, end * length - 1, rows[name] * length, dtypes[name], alignment);
    const of = (bytes: number, start: number, end: number) => ({
      byteOffset: start * bytes,
      byteLength: (end - start) * bytes,
    });
    const half = (start: number, end: number) => of(byteLength(length, 'f16'), start, end);
    const fits = (start: number, end: number) =>
      Math.max(window(start, end).byteLength, half(start, end).byteLength) <= limit;
    // Windows of the staged rows and of their scales start at multiples of the alignment.
    return splitRange(
      rows[name],
      alignment,
      fits,
      () => new TooLargeError(`attention: no window of ${name} fits`),
    ).map(([start, end]): Dispatch => {
      const { firstElement, ...bound } = window(start, end);
      return stageHalf(
        {
          source: read(index, bound),
          dtype: dtypes[name],
          at: start * length - firstElement,
          rows: end - start,
          ...{ k: length, pitch: length, strideRow: length, strideStep: 1, top: TOPS[name] },
          half: { ...scratch(HALVES[name], 'read_write'), ...half(start, end) },
          scales: { ...scratch(SCALES[name], 'read_write'), ...of(bytesOf('f32'), start, end) },
        },
        caps,
      );
    });
  });
  const { halved } = kernel;
  const halves: AttentionSpec = { ...spec, dtypes: { q: 'f16', k: 'f16', v: 'f16' } };
  const { dispatches, split } = lowerSections(halves, caps, kernel, {
    own: 'query',
    otherBytes: byteLength(length, 'f16'),
    products: 2,
    bounds: (cut) => [
      ...forwardBounds(halves, cut, caps, STATE).map((bound) =>
        isStaged(bound.name)
          ? inWords(bound, HALVES[bound.name])
          : halved && bound.name === 'out'
            ? tokensBound(spec, caps, 'out', write(0), 'f16')
            : bound,
      ),
      ...STAGED.map((name) =>
        scalesBound(
          spec,
          `${name}Scale`,
          scratch(SCALES[name], 'read'),
          name === 'q' ? 'query' : 'key',
          caps,
        ),
      ),
      ...(halved ? [scalesBound(spec, 'outScales', { ...write(2), access: 'read' }, 'query', caps)] : []),
    ],
  });
  return {
    dispatches: [
      ...staging,
      ...(halved ? [boundRows(boundOf(spec, spec.halfRows!.top), caps, 2)] : []),
      ...dispatches,
    ],
    halved,
    scratch: [
      ...STAGED.map((name) => byteLength(rows[name] * length, 'f16')),
      ...STAGED.map((name) => byteLength(rows[name], 'f32')),
      ...(split ? [byteLength(2 * batch * heads * queries, 'f32')] : []),
    ],
  };
}

/** Every row is a mean of v's. */
const boundOf = ({ batch, queries, keys }: AttentionSpec, top: number): BoundRowsSpec => ({
  ...{ rows: batch * queries, top, bound: { expression: accumulator, ranges: [] }, factor: 2 ** TOPS.v },
  ranges: [{ operand: scratch(SCALES.v, 'read'), dtype: 'f32', from: 0, end: batch * keys }],
  accumulator: 'params.factor * largest0',
});

const isStaged = (name: string): name is keyof typeof HALVES => name in HALVES;

/** Dense halves in words of 16 bytes. */
const inWords = (bound: Bound, index: number): Bound => ({
  ...bound,
  operand: scratch(index, 'read'),
  lanes: 8,
  declaration: (binding) =>
    `@group(0) @binding(${binding}) var<storage, read> ${bound.name}: array<vec4<u32>>;`,
});

/** One scale a token. */
const scalesBound = (
  { batch, queries, keys }: AttentionSpec,
  name: string,
  operand: Operand,
  along: 'query' | 'key',
  caps: DeviceCaps,
): Bound => {
  const tokens = along === 'query' ? queries : keys;
  return {
    ...{ name, operand, dtype: 'f32', lanes: 1, count: batch * tokens },
    declaration: (binding) => declare(binding, name, 'f32', 'read', caps),
    range: ({ batch: b, [along]: [start, end] }) => [b[0] * tokens + start, (b[1] - 1) * tokens + end - 1],
  };
};
