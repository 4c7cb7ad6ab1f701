/**
 * The WGSL of attention on matrix units.
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
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { fragments, type MatrixSize } from '../matmul/fragments.ts';
import { type AttentionKernel, type AttentionSpec, NO_MAXIMUM } from './sections.ts';

/** Components are padded to multiples of this: a step of every configuration. */
export const QUANTUM = 16;
/** Lanes that may share a row. */
export const MOST_PARTS = 8;

/** Growth of a maximum, in powers of two, that is let pass. */
const LAZY = 8;
const LOG2_E = '1.4426950408889634';
const LN_2 = '0.6931471805599453';
/** Exponents of v are no smaller, as 2^-e is an f32; that of a row of zeros would be. */
const LEAST_EXPONENT = '-100.0';

/** What a workgroup takes at once. */
export interface MatrixTile {
  readonly subgroups: number;
  /** Keys of a block. */
  readonly keys: number;
}

const paddedDim = (headDim: number) => Math.ceil(headDim / QUANTUM) * QUANTUM;

/** Halves of a staged row. */
export const pitchOf = (headDim: number): number => paddedDim(headDim) + 8;

/** Lines of the workgroup's arrays. */
const strides = (headDim: number, keys: number) => ({
  token: pitchOf(headDim) / 8,
  weight: keys / 8 + 1,
  patch: keys + 4,
});

export function workgroupBytes(headDim: number, M: number, { subgroups, keys }: MatrixTile): number {
  const { token, weight, patch } = strides(headDim, keys);
  const rows = subgroups * M;
  return 16 * (rows * token + keys * token + rows * weight + keys) + 4 * rows * (patch + MOST_PARTS);
}

const times = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n');

/** What the parts of the code share: sizes that are unrolled, and the two products. */
function partsOf(
  spec: AttentionSpec,
  { subgroups, keys }: MatrixTile,
  size: MatrixSize,
  lanes: number,
  emulate: boolean,
) {
  const { headDim } = spec;
  const dim = paddedDim(headDim);
  const lines = strides(headDim, keys);
  const perRow = lanes / size.M;
  const unit = fragments(size, lanes, emulate && 'params.first');
  const tile = (name: string, byColumns: boolean) => ({ name, stride: lines.token, byColumns });
  return {
    ...{ spec, headDim, dim, keys, lanes, size, lines, unit },
    rows: subgroups * size.M,
    threads: subgroups * lanes,
    /** Lanes of a row, and keys of each. */
    ...{ perRow, own: keys / perRow },
    scores: unit.product({ name: 'tileQ', stride: lines.token }, tile('tileKV', true)),
    sums: unit.product({ name: 'weights', stride: lines.weight }, tile('tileKV', false)),
    /** Columns of the sums that pass through the patch at once. */
    columns: Array.from({ length: Math.ceil(dim / keys) }, (_, g) => ({
      first: (g * keys) / size.N,
      count: Math.min(keys, dim - g * keys) / size.N,
    })),
  };
}

type Parts = ReturnType<typeof partsOf>;
type Columns = Parts['columns'][number];

/** Tokens into a tile of workgroup memory; `row` is where token `line` is. */
const stage = (
  { lines: { token }, threads }: Parts,
  tile: string,
  name: 'q' | 'k' | 'v',
  tokens: number,
  row: string,
) => `
    for (var i = index; i < ${tokens * token}u; i += ${threads}u) {
      let line = i / ${token}u;
      ${tile}[i] = ${name}[params.${name}At + (${row}) * ${token}u + i % ${token}u];
    }`;

const keyRow = (place: string) => `keysAt + min(firstKey + ${place}, lastKey) * rowStride`;

/** Matrices to or from the patch, side by side from column 0. */
const patched = (
  { unit, size: { N }, lines: { patch } }: Parts,
  how: 'store' | 'load',
  count: number,
  name: (j: number) => string,
) => times(count, (j) => unit[how]('patches', `ownPatch + ${j * N}u`, patch, name(j)));

/** The sums pass through the patch, as many columns at a time as it has, and `elements` sees them there. */
const throughPatch = (
  parts: Parts,
  how: { save: boolean; load: boolean },
  elements: (columns: Columns) => string,
) =>
  parts.columns
    .map((columns) => {
      const sum = (j: number) => `sum${columns.first + j}`;
      return `
    ${columns.first > 0 ? 'workgroupBarrier();' : ''}
    ${how.save ? patched(parts, 'store', columns.count, sum) : ''}
    workgroupBarrier();
    ${elements(columns)}
    workgroupBarrier();
    ${how.load ? patched(parts, 'load', columns.count, sum) : ''}`;
    })
    .join('\n');

/** A row's vec4s that its lanes take in turns; `component` is the first, `at` its place in the patch. */
const eachVector =
  ({ size: { N }, perRow, headDim }: Parts, body: string) =>
  ({ first, count }: Columns) =>
    `
    for (var d = 4u * part; d < ${count * N}u; d += ${4 * perRow}u) {
      let component = ${first * N}u + d;
      let at = rowPatch + d;
      if (component < ${headDim}u) { ${body} }
    }`;

const memory = ({ rows, keys, perRow, lines: { token, weight, patch } }: Parts) => `\
var<workgroup> tileQ: array<vec4<u32>, ${rows * token}>;
var<workgroup> tileKV: array<vec4<u32>, ${keys * token}>;
var<workgroup> weights: array<vec4<u32>, ${rows * weight}>;
var<workgroup> patches: array<f32, ${rows * patch}>;
// Of the block's keys: 2^(exponent of k), where scores start, exponent of v, and 2^-(that).
var<workgroup> about: array<vec4<f32>, ${keys}>;
var<workgroup> partial: array<f32, ${rows * perRow}>;
var<workgroup> grown: atomic<u32>;`;

/** Which query and head a lane is for, and where its tokens are. */
const places = ({ rows, lanes, perRow, headDim, size: { M }, lines: { patch } }: Parts) => `\
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
  let rowPatch = row * ${patch}u;`;

/** The sums of the keys before, which another dispatch has left in `out` and `state`. */
const resume = (parts: Parts) => `\
  let statistics = params.stateAt + statisticsAt(batch, head, safe);
  if (params.first == 0u) {
    m = state[statistics].x;
    if (part == 0u) { l = state[statistics].y; }
    let outAt = params.outAt + queryAt(batch, head, safe);
    ${throughPatch(parts, { save: false, load: true }, (columns) => {
      const zeros = `for (var d = part; d < ${columns.count * parts.size.N}u; d += ${parts.perRow}u) { patches[rowPatch + d] = 0.0; }`;
      const before =
        'let before = out[outAt + component / 4u]; for (var c = 0u; c < 4u; c++) { patches[at + c] = before[c]; }';
      return `${zeros}
    ${eachVector(parts, before)(columns)}`;
    })}
  }`;

/** Scores of the block's keys, into the patch. */
function scoreKeys(parts: Parts): string {
  const { keys, dim, threads, unit, scores } = parts;
  const { size, lines } = parts;
  const { N, K } = size;
  const { token } = lines;
  return `\
    ${stage(parts, 'tileKV', 'k', keys, keyRow('line'))}
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
    ${patched(parts, 'store', keys / N, (j) => `score${j}`)}
    workgroupBarrier();`;
}

/** Weights of this lane's keys, with m moved and the sums rescaled where it has grown too far. */
function weighKeys(parts: Parts): string {
  const { spec, own, perRow, lines } = parts;
  return `\
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
      ${throughPatch(parts, { save: true, load: true }, eachVector(parts, 'for (var c = 0u; c < 4u; c++) { patches[at + c] *= fade; }'))}
    }
    ${times(own, (i) => `let p${i} = exp2(t${i} - m);\nl = fma(p${i}, about${i}.w, l);`)}
    ${times(own / 8, (g) => {
      const pair = (i: number) => `pack2x16float(vec2<f32>(p${8 * g + i}, p${8 * g + i + 1}))`;
      return `weights[row * ${lines.weight}u + part * ${own / 8}u + ${g}u] = vec4<u32>(${[0, 2, 4, 6].map(pair).join(', ')});`;
    })}`;
}

/** sums += weights · v. */
const sumValues = ({ keys, dim, size: { M, N, K }, lines: { token, weight }, sums }: Parts) =>
  times(
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
  );

/** @param split whether other dispatches have the keys before or after. */
const finish = (parts: Parts, split: boolean) => wgsl`\
  partial[row * ${parts.perRow}u + part] = l;
  workgroupBarrier();
  l = 0.0;
  for (var i = 0u; i < ${parts.perRow}u; i++) { l += partial[row * ${parts.perRow}u + i]; }
  // Unlike in \`normaliser\`, weights of v's exponents make sums of any size.
  var norm = select(0.0, 1.0 / l, l > 0.0);
#if ${split}
  if (part == 0u && query < params.queries) { state[statistics] = vec2<f32>(m, l); }
  if (params.last == 0u) { norm = 1.0; }
#endif
  let outTo = params.outAt + queryAt(batch, head, safe);
  ${throughPatch(
    parts,
    { save: true, load: false },
    eachVector(
      parts,
      'if (query < params.queries) { out[outTo + component / 4u] = norm * vec4<f32>(patches[at], patches[at + 1u], patches[at + 2u], patches[at + 3u]); }',
    ),
  )}
  if (part == 0u && query < params.queries) {
    lse[params.lseAt + statisticsAt(batch, head, query)] = select(${NO_MAXIMUM}, ${LN_2} * (m + log2(l)), l > 0.0);
  }`;

/**
 * The WGSL for one size of matrices: `subgroups` of `lanes` invocations, each with `size.M` queries, by `keys`
 * keys.
 * @param emulate plain code in place of matrices, for adapters without matrix units; see `fragments.ts`.
 */
export function matrixAttentionKernel(
  spec: AttentionSpec,
  tile: MatrixTile,
  size: MatrixSize,
  lanes: number,
  emulate: boolean,
): AttentionKernel {
  const parts = partsOf(spec, tile, size, lanes, emulate);
  const { rows, keys, dim, threads, unit, scores, sums } = parts;
  const { M, N, K } = size;
  const { token } = parts.lines;
  return {
    label: `matrix${emulate ? ' emulated' : ''} ${rows}x${keys} of ${M}x${N}x${K}`,
    rows,
    rowsEach: 1,
    enables: unit.enables,
    main: (split) => wgsl`
${memory(parts)}
${scores.code}${sums.code}
fn exponentOf(word: vec4<u32>) -> f32 { return unpack2x16float(word.x).x; }

@compute @workgroup_size(${threads})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) index: u32) {
${places(parts)}
  ${stage(parts, 'tileQ', 'q', rows, 'queriesAt + min(firstQuery + line, params.queries - 1u) * rowStride')}
  workgroupBarrier();
  ${times(dim / K, (d) => `let q${d} = ${scores.left(`subgroup * ${M * token}u + ${(d * K) / 8}u`)};`)}
  let queryScale = ${LOG2_E} * params.scale * exp2(exponentOf(tileQ[row * ${token}u + ${token - 1}u]));
  var m = f32(${NO_MAXIMUM});
  // This lane's share of the sum of weights.
  var l = 0.0;
  ${times(dim / N, (j) => `var sum${j} = ${unit.zero};`)}
#if ${split}
${resume(parts)}
#endif
  for (var firstKey = 0u; firstKey < params.keys; firstKey += ${keys}u) {
    workgroupBarrier();
${scoreKeys(parts)}
    ${stage(parts, 'tileKV', 'v', keys, keyRow('line'))}
${weighKeys(parts)}
    workgroupBarrier();
    ${sumValues(parts)}
  }
  workgroupBarrier();
${finish(parts, split)}
}
`,
  };
}
