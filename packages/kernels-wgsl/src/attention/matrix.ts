/**
 * Attention in f16 on the matrix units of a GPU, sums and softmax in f32.
 *
 * q, k and v are first staged as f16 rows with a power-of-two scale each (`matmul/stage-half.ts`), so that no range
 * overflows: [batch, tokens, heads, pitch], a row's exponent in its last 8 halves. The scales of q and k multiply the
 * scores. That of v[j], 2^e[j], becomes part of the weight, in the exponent:
 *
 *     t[j] = log2(e) (scale · q · k[j] + bias[j]) + e[j],    weight[j] = 2^(t[j] - m),    l = sum of weight[j] · 2^-e[j]
 *
 * Host: subgroups of a known size, a multiple of M; a configuration f16 x f16 -> f32. WGSL: `matrix-kernel.ts`.
 */
import { type DeviceCaps, knownSubgroups, withSubgroups } from '../caps.ts';
import { byteLength, bytesOf } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { type Dispatch, type Lowering, read, scratch, type Tuning, type Variant } from '../kernel.ts';
import { halfConfigs } from '../matmul/fragments.ts';
import { stageHalf } from '../matmul/stage-half.ts';
import { splitRange, windowOf } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import type { Bound } from './cut.ts';
import {
  type MatrixTile,
  MOST_PARTS,
  matrixAttentionKernel,
  pitchOf,
  QUANTUM,
  workgroupBytes,
} from './matrix-kernel.ts';
import { type AttentionKernel, type AttentionSpec, forwardBounds, lowerSections } from './sections.ts';

interface MatrixAttentionTile extends MatrixTile, Tuning {
  /** Index in caps.features.subgroupMatrixConfigs. */
  readonly config: number;
  readonly subgroups: number;
  readonly keys: number;
}

function candidates(spec: AttentionSpec, caps: DeviceCaps): MatrixAttentionTile[] {
  const { subgroupMatrixConfigs: configs } = caps.features;
  const lanes = knownSubgroups(caps)?.lanes ?? 0;
  const { maxComputeWorkgroupStorageSize: storage, maxComputeInvocationsPerWorkgroup: most } = caps.limits;
  return halfConfigs(configs, QUANTUM).flatMap((config) => {
    const { M, N } = configs[config];
    return [
      { config, subgroups: 4, keys: 64 },
      { config, subgroups: 4, keys: 32 },
      { config, subgroups: 8, keys: 32 },
      { config, subgroups: 2, keys: 64 },
      { config, subgroups: 2, keys: 32 },
      { config, subgroups: 4, keys: 16 },
      { config, subgroups: 1, keys: 64 },
      { config, subgroups: 1, keys: 32 },
    ].filter(
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
    spec.halfPrecision === true && caps.features.f16 && candidates(spec, caps).length > 0,
  candidates,
  lower(spec, caps, tuning) {
    const { config, ...tile } = (tuning as MatrixAttentionTile) ?? candidates(spec, caps)[0];
    const subgroups = knownSubgroups(caps)!;
    const size = caps.features.subgroupMatrixConfigs[config];
    const kernel = matrixAttentionKernel(spec, tile, size, subgroups.lanes, false);
    return lowerMatrixAttention(spec, caps, {
      ...kernel,
      enables: subgroups.enables + kernel.enables,
      main: (split) => withSubgroups(kernel.main(split), subgroups),
    });
  },
};

const STAGED = ['q', 'k', 'v'] as const;
const STATE = STAGED.length;

/** Stages q, k and v and runs `kernel`. */
export function lowerMatrixAttention(
  spec: AttentionSpec,
  caps: DeviceCaps,
  kernel: AttentionKernel,
): Lowering {
  const { batch, queries, keys, heads, headDim, dtypes } = spec;
  const pitch = pitchOf(headDim);
  const rows = { q: batch * queries * heads, k: batch * keys * heads, v: batch * keys * heads };
  const staging = STAGED.flatMap((name, index) => {
    const alignment = offsetAlignment(caps);
    const window = (start: number, end: number) =>
      windowOf(start * headDim, end * headDim - 1, rows[name] * headDim, dtypes[name], alignment);
    const limit = caps.limits.maxStorageBufferBindingSize;
    const half = (start: number, end: number) => ({
      byteOffset: start * pitch * 2,
      byteLength: (end - start) * pitch * 2,
    });
    const fits = (start: number, end: number) =>
      Math.max(window(start, end).byteLength, half(start, end).byteLength) <= limit;
    // Windows of the staged rows start at multiples of the alignment.
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
          at: start * headDim - firstElement,
          rows: end - start,
          ...{ k: headDim, pitch, strideRow: headDim, strideStep: 1 },
          half: { ...scratch(index, 'read_write'), ...half(start, end) },
        },
        caps,
      );
    });
  });
  const { dispatches, split } = lowerSections(
    { ...spec, dtypes: { q: 'f16', k: 'f16', v: 'f16' } },
    caps,
    kernel,
    {
      own: 'query',
      otherBytes: heads * pitch * bytesOf('f16'),
      products: 2,
      bounds: (cut) =>
        forwardBounds(spec, cut, caps, STATE).map((bound) =>
          bound.name === 'q' || bound.name === 'k' || bound.name === 'v'
            ? stagedBound(bound, STAGED.indexOf(bound.name), headDim)
            : bound,
        ),
    },
  );
  return {
    dispatches: [...staging, ...dispatches],
    scratch: [
      ...STAGED.map((name) => byteLength(rows[name] * pitch, 'f16')),
      ...(split ? [byteLength(2 * batch * heads * queries, 'f32')] : []),
    ],
  };
}

/** The staged rows of `bound`. */
function stagedBound(bound: Bound, index: number, headDim: number): Bound {
  const pitch = pitchOf(headDim);
  return {
    name: bound.name,
    operand: scratch(index, 'read'),
    dtype: 'f16',
    lanes: 8,
    declaration: (binding) =>
      `@group(0) @binding(${binding}) var<storage, read> ${bound.name}: array<vec4<u32>>;`,
    count: (bound.count / headDim) * pitch,
    range: (section) => {
      const [first, last] = bound.range(section);
      return [(first / headDim) * pitch, ((last + 1) / headDim) * pitch - 1];
    },
  };
}
