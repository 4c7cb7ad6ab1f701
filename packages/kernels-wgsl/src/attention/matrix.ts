/**
 * Attention in f16 on the matrix units of a GPU, sums and softmax in f32.
 *
 * q, k and v are first staged as f16 rows with a power-of-two scale each (`matmul/stage-half.ts`), so that no range
 * overflows: [batch, tokens, heads, pitch], a row's exponent in its last 8 halves. The scales of q and k multiply the
 * scores. That of v[j], 2^e[j], becomes part of the weight, in the exponent:
 *
 *     t[j] = log2(e) (scale · q · k[j] + bias[j]) + e[j],    weight[j] = 2^(t[j] - m),    l = sum of weight[j] · 2^-e[j]
 *
 * The sums of a matrix cannot be multiplied row by row in place: rescaling them takes a detour through workgroup
 * memory. So m follows the maximum of t lazily, only when some row's has grown by more than 8; weights stay below
 * 2^8, which f16 holds.
 *
 * Tile: `subgroups` subgroups with M queries of one head each, by `keys` keys. Per block of keys: k into workgroup
 * memory; scores = q · kᵀ, matrices of sums through a patch of workgroup memory, because only there have their
 * elements known places; a row's lanes take each its part of the keys; v in place of k, weights back as f16;
 * sums += weights · v.
 * Tiles are clamped where tokens end, as loads of matrices know no edges. Lines are one word longer than a head,
 * which holds the exponent and makes lines start in different banks.
 *
 * Host: subgroups of a known size, a multiple of M; a configuration f16 x f16 -> f32. `emulate`: see `fragments.ts`.
 */

import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { type DeviceCaps, knownSubgroups, withSubgroups } from '../caps.ts';
import { byteLength, bytesOf } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type Dispatch, type Lowering, read, scratch, type Tuning, type Variant } from '../kernel.ts';
import { fragments, halfConfigs, type MatrixSize } from '../matmul/fragments.ts';
import { stageHalf } from '../matmul/stage-half.ts';
import { splitRange, windowOf } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import type { Bound } from './cut.ts';
import {
  type AttentionKernel,
  type AttentionSpec,
  forwardBounds,
  lowerPieces,
  NO_MAXIMUM,
} from './pieces.ts';

/** Components are padded to multiples of this: a step of every configuration. */
const QUANTUM = 16;
/** Growth of a maximum, in powers of two, that is let pass. */
const LAZY = 8;
const LOG2_E = '1.4426950408889634';
const LN_2 = '0.6931471805599453';
/** Exponents of v are no smaller, as 2^-e is an f32; that of a row of zeros would be. */
const LEAST_EXPONENT = '-100.0';

/** Lanes that may share a row. */
const MOST_PARTS = 8;

export interface MatrixAttentionTile extends Tuning {
  /** Index in caps.features.subgroupMatrixConfigs. */
  readonly config: number;
  readonly subgroups: number;
  /** Keys of a block. */
  readonly keys: number;
}

const paddedDim = (headDim: number) => Math.ceil(headDim / QUANTUM) * QUANTUM;
/** Halves of a staged row. */
const pitchOf = (headDim: number) => paddedDim(headDim) + 8;

/** Lines of the workgroup's arrays. */
const strides = (headDim: number, keys: number) => ({
  token: pitchOf(headDim) / 8,
  weight: keys / 8 + 1,
  patch: keys + 4,
});

function workgroupBytes(
  headDim: number,
  M: number,
  { subgroups, keys }: Omit<MatrixAttentionTile, 'config'>,
) {
  const { token, weight, patch } = strides(headDim, keys);
  const rows = subgroups * M;
  return 16 * (rows * token + keys * token + rows * weight + keys) + 4 * rows * (patch + MOST_PARTS);
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
  const { dispatches, split } = lowerPieces(
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
    range: (piece) => {
      const [first, last] = bound.range(piece);
      return [(first / headDim) * pitch, ((last + 1) / headDim) * pitch - 1];
    },
  };
}

const times = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n');

/**
 * The WGSL for one size of matrices: `subgroups` of `lanes` invocations, each with `size.M` queries, by `keys`
 * keys.
 * @param emulate plain code in place of matrices, for adapters without matrix units.
 */
export function matrixAttentionKernel(
  spec: AttentionSpec,
  { subgroups, keys }: Omit<MatrixAttentionTile, 'config'>,
  size: MatrixSize,
  lanes: number,
  emulate: boolean,
): AttentionKernel {
  const { M, N, K } = size;
  const { headDim } = spec;
  const dim = paddedDim(headDim);
  const { token, weight, patch } = strides(headDim, keys);
  const rows = subgroups * M;
  const threads = subgroups * lanes;
  /** Lanes of a row, and keys of each. */
  const perRow = lanes / M;
  const own = keys / perRow;
  const unit = fragments(size, lanes, emulate && 'params.first');
  const tileQ = { name: 'tileQ', stride: token };
  const scores = unit.product(tileQ, { name: 'tileKV', stride: token, byColumns: true });
  const sums = unit.product(
    { name: 'weights', stride: weight },
    { name: 'tileKV', stride: token, byColumns: false },
  );

  const stage = (tile: string, name: 'q' | 'k' | 'v', tokens: number, row: string) => `
    for (var i = index; i < ${tokens * token}u; i += ${threads}u) {
      let line = i / ${token}u;
      ${tile}[i] = ${name}[params.${name}At + (${row}) * ${token}u + i % ${token}u];
    }`;
  const keyRow = (place: string) => `keysAt + min(firstKey + ${place}, lastKey) * rowStride`;
  /** The sums pass through the patch, as many columns at a time as it has, between `before` and `after`. */
  const columns = Array.from({ length: Math.ceil(dim / keys) }, (_, g) => ({
    first: (g * keys) / N,
    count: Math.min(keys, dim - g * keys) / N,
  }));
  const through = (
    group: (typeof columns)[number],
    how: { save: boolean; load: boolean },
    elements: string,
  ) => `
    ${group.first > 0 ? 'workgroupBarrier();' : ''}
    ${how.save ? times(group.count, (j) => unit.store('patches', `ownPatch + ${j * N}u`, patch, `sum${group.first + j}`)) : ''}
    workgroupBarrier();
    ${elements}
    workgroupBarrier();
    ${how.load ? times(group.count, (j) => unit.load('patches', `ownPatch + ${j * N}u`, patch, `sum${group.first + j}`)) : ''}`;
  /** A row's vec4s that its lanes take in turns; \`d\` is the component, \`at\` its place in the patch. */
  const eachVector = (group: (typeof columns)[number], body: string) => `
    for (var d = 4u * part; d < ${group.count * N}u; d += ${4 * perRow}u) {
      let component = ${group.first * N}u + d;
      let at = rowPatch + d;
      if (component < ${headDim}u) { ${body} }
    }`;

  return {
    label: `matrix${emulate ? ' emulated' : ''} ${rows}x${keys} of ${M}x${N}x${K}`,
    rows,
    rowsEach: 1,
    enables: unit.enables,
    main: (split) => wgsl`
var<workgroup> tileQ: array<vec4<u32>, ${rows * token}>;
var<workgroup> tileKV: array<vec4<u32>, ${keys * token}>;
var<workgroup> weights: array<vec4<u32>, ${rows * weight}>;
var<workgroup> patches: array<f32, ${rows * patch}>;
// Of the block's keys: 2^(exponent of k), where scores start, exponent of v, and 2^-(that).
var<workgroup> about: array<vec4<f32>, ${keys}>;
var<workgroup> partial: array<f32, ${rows * perRow}>;
var<workgroup> grown: atomic<u32>;
${scores.code}${sums.code}
fn exponentOf(word: vec4<u32>) -> f32 { return unpack2x16float(word.x).x; }

@compute @workgroup_size(${threads})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) index: u32) {
  let tile = ${WORKGROUP_INDEX};
  if (tile >= params.workgroups) { return; }
  let head = (tile / params.blocks) % params.heads;
  let batch = tile / params.blocks / params.heads;
  let firstQuery = (tile % params.blocks) * ${rows}u;
  // Rows of staged tokens: a head's components are ${headDim / 4} vec4s.
  let rowStride = params.tokenStride / ${headDim / 4}u;
  let queriesAt = queryAt(batch, head, 0u) / ${headDim / 4}u;
  let keysAt = keyAt(batch, head) / ${headDim / 4}u;
  let lastKey = params.keys - 1u;
  let subgroup = index / ${lanes}u;
  let lane = index % ${lanes}u;
  let row = subgroup * ${M}u + lane / ${perRow}u;
  let part = lane % ${perRow}u;
  let query = firstQuery + row;
  let safe = min(query, params.queries - 1u);
  let ownPatch = subgroup * ${M * patch}u;
  let rowPatch = row * ${patch}u;
  ${stage('tileQ', 'q', rows, 'queriesAt + min(firstQuery + line, params.queries - 1u) * rowStride')}
  workgroupBarrier();
  ${times(dim / K, (d) => `let q${d} = ${scores.left(`subgroup * ${M * token}u + ${(d * K) / 8}u`)};`)}
  let queryScale = ${LOG2_E} * params.scale * exp2(exponentOf(tileQ[row * ${token}u + ${token - 1}u]));
  var m = f32(${NO_MAXIMUM});
  // This lane's share of the sum of weights.
  var l = 0.0;
  ${times(dim / N, (j) => `var sum${j} = ${unit.zero};`)}
#if ${split}
  let statistics = params.stateAt + statisticsAt(batch, head, safe);
  if (params.first == 0u) {
    m = state[statistics].x;
    if (part == 0u) { l = state[statistics].y; }
    let outAt = params.outAt + queryAt(batch, head, safe);
    ${columns
      .map((group) =>
        through(
          group,
          { save: false, load: true },
          `for (var d = part; d < ${group.count * N}u; d += ${perRow}u) { patches[rowPatch + d] = 0.0; }
    ${eachVector(group, 'let before = out[outAt + component / 4u]; for (var c = 0u; c < 4u; c++) { patches[at + c] = before[c]; }')}`,
        ),
      )
      .join('\n')}
  }
#endif
  for (var firstKey = 0u; firstKey < params.keys; firstKey += ${keys}u) {
    workgroupBarrier();
    ${stage('tileKV', 'k', keys, keyRow('line'))}
    if (index == 0u) { atomicStore(&grown, 0u); }
    workgroupBarrier();
    for (var j = index; j < ${keys}u; j += ${threads}u) {
      let exponent = max(exponentOf(v[params.vAt + (${keyRow('j')}) * ${token}u + ${token - 1}u]), ${LEAST_EXPONENT});
      about[j] = vec4<f32>(
        exp2(exponentOf(tileKV[j * ${token}u + ${token - 1}u])), keyScore(batch, firstKey + j), exponent, exp2(-exponent));
    }
    ${times(keys / N, (j) => `var score${j} = ${unit.zero};`)}
    ${times(dim / K, (d) =>
      times(
        keys / N,
        (j) => `{
      let k = ${scores.right(`${j * N * token + (d * K) / 8}u`)};
      ${scores.multiply(`q${d}`, 'k', `score${j}`)}
    }`,
      ),
    )}
    ${times(keys / N, (j) => unit.store('patches', `ownPatch + ${j * N}u`, patch, `score${j}`))}
    workgroupBarrier();
    ${stage('tileKV', 'v', keys, keyRow('line'))}
    let ownKey = part * ${own}u;
    ${times(own, (i) => {
      const bias = spec.bias
        ? ` + ${LOG2_E} * biasOf(batch, head, safe, min(firstKey + ownKey + ${i}u, lastKey))`
        : '';
      return `let about${i} = about[ownKey + ${i}u];
    let t${i} = fma(patches[rowPatch + ownKey + ${i}u], queryScale * about${i}.x, about${i}.y)${bias} + about${i}.z;`;
    })}
    var top = t0;
    ${times(own - 1, (i) => `top = max(top, t${i + 1});`)}
    partial[row * ${perRow}u + part] = top;
    if (top > m + ${LAZY}.0) { atomicOr(&grown, 1u); }
    if (workgroupUniformLoad(&grown) != 0u) {
      var highest = m;
      for (var i = 0u; i < ${perRow}u; i++) { highest = max(highest, partial[row * ${perRow}u + i]); }
      let fade = exp2(m - highest);
      m = highest;
      l *= fade;
      ${columns
        .map((group) =>
          through(
            group,
            { save: true, load: true },
            eachVector(group, 'for (var c = 0u; c < 4u; c++) { patches[at + c] *= fade; }'),
          ),
        )
        .join('\n')}
    }
    ${times(own, (i) => `let p${i} = exp2(t${i} - m);\nl = fma(p${i}, about${i}.w, l);`)}
    ${times(own / 8, (g) => {
      const pair = (i: number) => `pack2x16float(vec2<f32>(p${8 * g + i}, p${8 * g + i + 1}))`;
      return `weights[row * ${weight}u + part * ${own / 8}u + ${g}u] = vec4<u32>(${[0, 2, 4, 6].map(pair).join(', ')});`;
    })}
    workgroupBarrier();
    ${times(
      keys / K,
      (k) => `{
      let p = ${sums.left(`subgroup * ${M * weight}u + ${(k * K) / 8}u`)};
      ${times(
        dim / N,
        (j) => `{
        let v = ${sums.right(`${k * K * token + (j * N) / 8}u`)};
        ${sums.multiply('p', 'v', `sum${j}`)}
      }`,
      )}
    }`,
    )}
  }
  workgroupBarrier();
  partial[row * ${perRow}u + part] = l;
  workgroupBarrier();
  l = 0.0;
  for (var i = 0u; i < ${perRow}u; i++) { l += partial[row * ${perRow}u + i]; }
  // Unlike in \`normaliser\`, weights of v's exponents make sums of any size.
  var norm = select(0.0, 1.0 / l, l > 0.0);
#if ${split}
  if (part == 0u && query < params.queries) { state[statistics] = vec2<f32>(m, l); }
  if (params.last == 0u) { norm = 1.0; }
#endif
  let outTo = params.outAt + queryAt(batch, head, safe);
  ${columns
    .map((group) =>
      through(
        group,
        { save: true, load: false },
        eachVector(
          group,
          'if (query < params.queries) { out[outTo + component / 4u] = norm * vec4<f32>(patches[at], patches[at + 1u], patches[at + 2u], patches[at + 3u]); }',
        ),
      ),
    )
    .join('\n')}
  if (part == 0u && query < params.queries) {
    lse[params.lseAt + statisticsAt(batch, head, query)] = select(${NO_MAXIMUM}, ${LN_2} * (m + log2(l)), l > 0.0);
  }
}
`,
  };
}
