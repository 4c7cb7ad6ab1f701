/**
 * The WGSL of attention on matrix units.
 *
 * The sums of a matrix cannot be multiplied row by row in place: rescaling them takes a detour through workgroup
 * memory. So m follows the maximum of t lazily, only when some row's has grown by more than 2^LAZY; weights stay below
 * that, which f16 holds.
 *
 * Tile: `subgroups` subgroups with `bands` times M queries of one head each, by `keys` keys. Per block of keys: k into
 * workgroup memory; scores = q · kᵀ, matrices of sums through a patch of workgroup memory, because only there have
 * their elements known places; a row's lanes take each its part of the keys; v in place of k, weights back as f16;
 * sums += weights · v. A matrix of k or v is loaded once for all bands of a subgroup.
 * Tiles are clamped where tokens end, as loads of matrices know no edges. Lines are one word longer than a head, which
 * makes them start in different banks. Queries stay in registers, so weights take their place.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { rowScaleInverse, storeHalf } from '../half-rows.ts';
import { fragments, type MatrixSize } from '../matmul/fragments.ts';
import { type AttentionKernel, type AttentionSpec, NO_MAXIMUM } from './sections.ts';

/** Components are padded to multiples of this: a step of every configuration. */
export const QUANTUM = 16;
/** Lanes that may share a row. */
export const MOST_PARTS = 8;

/** Growth of a maximum, in powers of two, that is let pass. */
export const LAZY = 8;
const LOG2_E = '1.4426950408889634';
const LN_2 = '0.6931471805599453';
/** Exponents of v are no smaller, as 2^-e is an f32; that of a row of zeros would be. */
const LEAST_EXPONENT = '-107.0';

/** What a workgroup takes at once. */
export interface MatrixTile {
  readonly subgroups: number;
  /** Matrices of a subgroup's queries, one below the other. */
  readonly bands: number;
  /** Keys of a block. */
  readonly keys: number;
}

/** What `lowerMatrixAttention` runs. */
export interface MatrixAttentionKernel extends AttentionKernel {
  /** Whether results are scaled halves. */
  readonly halved: boolean;
}

const paddedDim = (headDim: number) => Math.ceil(headDim / QUANTUM) * QUANTUM;

/** Lines of the workgroup's arrays. */
const strides = (headDim: number, keys: number) => ({
  token: paddedDim(headDim) / 8 + 1,
  weight: keys / 8 + 1,
  patch: keys + 4,
});

export function workgroupBytes(headDim: number, M: number, { subgroups, bands, keys }: MatrixTile): number {
  const { token, weight, patch } = strides(headDim, keys);
  const rows = subgroups * bands * M;
  return 16 * (rows * Math.max(token, weight) + keys * token + keys) + 4 * rows * (patch + MOST_PARTS) + 4;
}

const times = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n');

/** What the parts of the code share: sizes that are unrolled, and the two products. */
function partsOf(
  spec: AttentionSpec,
  { subgroups, bands, keys }: MatrixTile,
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
  // An emulated matrix stays where it was loaded from.
  const weights = emulate ? 'weights' : 'tileQ';
  return {
    ...{ spec, headDim, dim, bands, keys, lanes, size, lines, unit, weights },
    rows: subgroups * bands * size.M,
    threads: subgroups * lanes,
    /** Lanes of a row, and keys of each. */
    ...{ perRow, own: keys / perRow },
    scores: unit.product({ name: 'tileQ', stride: lines.token }, tile('tileKV', true)),
    sums: unit.product({ name: weights, stride: lines.weight }, tile('tileKV', false)),
    /** Columns of the sums that pass through the patch at once. */
    columns: Array.from({ length: Math.ceil(dim / keys) }, (_, g) => ({
      first: (g * keys) / size.N,
      count: Math.min(keys, dim - g * keys) / size.N,
    })),
  };
}

type Parts = ReturnType<typeof partsOf>;
type Columns = Parts['columns'][number];

/** For each band of a subgroup's queries. */
const eachBand = ({ bands }: Parts, line: (b: number) => string) => times(bands, line);

/** Tokens into a tile of workgroup memory; `row` is where token `line` is. */
function stage(
  { lines: { token }, threads, dim, headDim }: Parts,
  tile: string,
  name: 'q' | 'k' | 'v',
  tokens: number,
  row: string,
): string {
  const [words, own] = [dim / 8, headDim / 8];
  const word = (w: string) => `${name}[params.${name}At + (${row}) * ${own}u + ${w}]`;
  const value =
    words === own ? word('w') : `select(vec4<u32>(), ${word(`min(w, ${own - 1}u)`)}, w < ${own}u)`;
  return `
    for (var i = index; i < ${tokens * words}u; i += ${threads}u) {
      let line = i / ${words}u;
      let w = i % ${words}u;
      ${tile}[line * ${token}u + w] = ${value};
    }`;
}

const key = (place: string) => `min(firstKey + ${place}, lastKey)`;
const keyRow = (place: string) => `keysAt + ${key(place)} * rowStride`;

/** Where a band's first row of the patch is. */
const bandPatch = ({ size: { M }, lines: { patch } }: Parts, b: number) => `ownPatch + ${b * M * patch}u`;

/** Matrices of a band to or from the patch, side by side from column 0. */
const patched = (
  parts: Parts,
  how: 'store' | 'load',
  b: number,
  count: number,
  name: (j: number) => string,
) =>
  times(count, (j) =>
    parts.unit[how]('patches', `${bandPatch(parts, b)} + ${j * parts.size.N}u`, parts.lines.patch, name(j)),
  );

/** The sums pass through the patch, as many columns at a time as it has, and `elements` sees them there. */
const throughPatch = (
  parts: Parts,
  how: { save: boolean; load: boolean },
  elements: (columns: Columns, b: number) => string,
) =>
  parts.columns
    .map((columns) => {
      const all = (step: 'store' | 'load') =>
        eachBand(parts, (b) => patched(parts, step, b, columns.count, (j) => `sum${b}_${columns.first + j}`));
      return `
    ${columns.first > 0 ? 'workgroupBarrier();' : ''}
    ${how.save ? all('store') : ''}
    workgroupBarrier();
    ${eachBand(parts, (b) => elements(columns, b))}
    workgroupBarrier();
    ${how.load ? all('load') : ''}`;
    })
    .join('\n');

/** A row's vec4s that its lanes take in turns; `component` is the first, `at` its place in the patch. */
const eachVector =
  ({ size: { N }, perRow, headDim }: Parts, body: (b: number) => string) =>
  ({ first, count }: Columns, b: number) =>
    `
    for (var d = 4u * part; d < ${count * N}u; d += ${4 * perRow}u) {
      let component = ${first * N}u + d;
      let at = rowPatch${b} + d;
      if (component < ${headDim}u) { ${body(b)} }
    }`;

const memory = ({ rows, keys, perRow, lines: { token, weight, patch }, weights }: Parts) => `\
// Queries, then weights.
var<workgroup> tileQ: array<vec4<u32>, ${rows * Math.max(token, weight)}>;
var<workgroup> tileKV: array<vec4<u32>, ${keys * token}>;
${weights === 'tileQ' ? '' : `var<workgroup> weights: array<vec4<u32>, ${rows * weight}>;`}
var<workgroup> patches: array<f32, ${rows * patch}>;
// Of the block's keys: scale of k, where scores start, exponent of v, and 2^-(that).
var<workgroup> about: array<vec4<f32>, ${keys}>;
var<workgroup> partial: array<f32, ${rows * perRow}>;
var<workgroup> grown: atomic<u32>;`;

/** Which queries and head a lane is for, and where its tokens are. */
const places = (parts: Parts) => {
  const { rows, lanes, bands, perRow, headDim, size, lines } = parts;
  return `\
  let tile = ${WORKGROUP_INDEX};
  if (tile >= params.workgroups) { return; }
  let head = (tile / params.blocks) % params.heads;
  let batch = tile / params.blocks / params.heads;
  let firstQuery = (tile % params.blocks) * ${rows}u;
  // Rows are a token's heads: their components are ${headDim / 4} vec4s.
  let rowStride = params.tokenStride / ${headDim / 4}u;
  let queriesAt = queryAt(batch, head, 0u) / ${headDim / 4}u;
  let keysAt = keyAt(batch, head) / ${headDim / 4}u;
  // Tokens of the whole, which have a scale each.
  let queryTokens = batch * (params.queryBatchStride / params.tokenStride);
  let keyTokens = batch * (params.keyBatchStride / params.tokenStride);
  let lastKey = params.keys - 1u;
  let subgroup = index / ${lanes}u;
  let lane = index % ${lanes}u;
  let part = lane % ${perRow}u;
  let ownPatch = subgroup * ${bands * size.M * lines.patch}u;
  ${eachBand(
    parts,
    (b) => `let row${b} = subgroup * ${bands * size.M}u + ${b * size.M}u + lane / ${perRow}u;
  let query${b} = firstQuery + row${b};
  let safe${b} = min(query${b}, params.queries - 1u);
  let rowPatch${b} = row${b} * ${lines.patch}u;`,
  )}`;
};

/** The sums of the keys before, which another dispatch has left in `out` and `state`. */
const resume = (parts: Parts) => `\
  if (params.first == 0u) {
    ${eachBand(
      parts,
      (b) => `m${b} = state[statistics${b}].x;
    if (part == 0u) { l${b} = state[statistics${b}].y; }
    let outAt${b} = params.outAt + queryAt(batch, head, safe${b});`,
    )}
    ${throughPatch(parts, { save: false, load: true }, (columns, band) => {
      const zeros = `for (var d = part; d < ${columns.count * parts.size.N}u; d += ${parts.perRow}u) { patches[rowPatch${band} + d] = 0.0; }`;
      const before = (b: number) =>
        `let before = out[outAt${b} + component / 4u]; for (var c = 0u; c < 4u; c++) { patches[at + c] = before[c]; }`;
      return `${zeros}
    ${eachVector(parts, before)(columns, band)}`;
    })}
  }`;

/** Scores of the block's keys, into the patch. */
function scoreKeys(parts: Parts): string {
  const { keys, dim, threads, unit, scores, size, lines } = parts;
  const { N, K } = size;
  const { token } = lines;
  return `\
    ${stage(parts, 'tileKV', 'k', keys, keyRow('line'))}
    if (index == 0u) { atomicStore(&grown, 0u); }
    for (var j = index; j < ${keys}u; j += ${threads}u) {
      let token = keyTokens + ${key('j')};
      // A power of two.
      let scale = bitcast<u32>(vScale[params.vScaleAt + token]);
      let exponent = max(f32(scale >> 23u) - 127.0, ${LEAST_EXPONENT});
      about[j] = vec4<f32>(
        kScale[params.kScaleAt + token], keyScore(batch, firstKey + j), exponent, exp2(-exponent));
    }
    workgroupBarrier();
    ${eachBand(parts, (b) => times(keys / N, (j) => `var score${b}_${j} = ${unit.zero};`))}
    ${times(dim / K, (d) =>
      times(
        keys / N,
        (j) => `{
      let k = ${scores.right(`${j * N * token + (d * K) / 8}u`)};
      ${eachBand(parts, (b) => scores.multiply(`q${b}_${d}`, 'k', `score${b}_${j}`))}
    }`,
      ),
    )}
    ${eachBand(parts, (b) => patched(parts, 'store', b, keys / N, (j) => `score${b}_${j}`))}
    workgroupBarrier();`;
}

/** Weights of this lane's keys, with m moved and the sums rescaled where it has grown too far. */
function weighKeys(parts: Parts): string {
  const { spec, own, perRow, lines, weights } = parts;
  const biased = (b: number, i: number) =>
    spec.bias ? ` + ${LOG2_E} * biasOf(batch, head, safe${b}, min(firstKey + ownKey + ${i}u, lastKey))` : '';
  return `\
    let ownKey = part * ${own}u;
    ${times(own, (i) => `let about${i} = about[ownKey + ${i}u];`)}
    ${eachBand(
      parts,
      (b) => `${times(
        own,
        (i) =>
          `let t${b}_${i} = fma(patches[rowPatch${b} + ownKey + ${i}u], queryScale${b} * about${i}.x, about${i}.y)${biased(b, i)} + about${i}.z;`,
      )}
    var top${b} = t${b}_0;
    ${times(own - 1, (i) => `top${b} = max(top${b}, t${b}_${i + 1});`)}
    partial[row${b} * ${perRow}u + part] = top${b};
    if (top${b} > m${b} + ${LAZY}.0) { atomicOr(&grown, 1u); }`,
    )}
    if (workgroupUniformLoad(&grown) != 0u) {
      ${eachBand(
        parts,
        (b) => `var highest${b} = m${b};
      for (var i = 0u; i < ${perRow}u; i++) { highest${b} = max(highest${b}, partial[row${b} * ${perRow}u + i]); }
      let fade${b} = exp2(m${b} - highest${b});
      m${b} = highest${b};
      l${b} *= fade${b};`,
      )}
      ${throughPatch(
        parts,
        { save: true, load: true },
        eachVector(parts, (b) => `for (var c = 0u; c < 4u; c++) { patches[at + c] *= fade${b}; }`),
      )}
    }
    ${eachBand(
      parts,
      (
        b,
      ) => `${times(own, (i) => `let p${b}_${i} = exp2(t${b}_${i} - m${b});\nl${b} = fma(p${b}_${i}, about${i}.w, l${b});`)}
    ${times(own / 8, (g) => {
      const pair = (i: number) => `pack2x16float(vec2<f32>(p${b}_${8 * g + i}, p${b}_${8 * g + i + 1}))`;
      return `${weights}[row${b} * ${lines.weight}u + part * ${own / 8}u + ${g}u] = vec4<u32>(${[0, 2, 4, 6].map(pair).join(', ')});`;
    })}`,
    )}`;
}

/** sums += weights · v. */
const sumValues = (parts: Parts) => {
  const { keys, dim, bands, size, lines, sums } = parts;
  const { M, N, K } = size;
  const { token, weight } = lines;
  return times(
    keys / K,
    (k) => `{
      ${eachBand(parts, (b) => `let p${b} = ${sums.left(`subgroup * ${bands * M * weight}u + ${b * M * weight + (k * K) / 8}u`)};`)}
      ${times(
        dim / N,
        (j) => `{
        let v = ${sums.right(`${k * K * token + (j * N) / 8}u`)};
        ${eachBand(parts, (b) => sums.multiply(`p${b}`, 'v', `sum${b}_${j}`))}
      }`,
      )}
    }`,
  );
};

/**
 * @param split whether other dispatches have the keys before or after.
 * @param halved whether results are scaled halves.
 */
const finish = (parts: Parts, split: boolean, halved: boolean) => wgsl`\
  ${eachBand(parts, (b) => `partial[row${b} * ${parts.perRow}u + part] = l${b};`)}
  workgroupBarrier();
  ${eachBand(
    parts,
    (b) => wgsl`l${b} = 0.0;
  for (var i = 0u; i < ${parts.perRow}u; i++) { l${b} += partial[row${b} * ${parts.perRow}u + i]; }
  // Unlike in \`normaliser\`, weights of v's exponents make sums of any size.
  var norm${b} = select(0.0, 1.0 / l${b}, l${b} > 0.0);
#if ${split}
  if (part == 0u && query${b} < params.queries) { state[statistics${b}] = vec2<f32>(m${b}, l${b}); }
  if (params.last == 0u) { norm${b} = 1.0; }
#endif
  let outTo${b} = params.outAt + queryAt(batch, head, safe${b});`,
  )}
  ${throughPatch(
    parts,
    { save: true, load: false },
    eachVector(parts, (b) => {
      const value = `norm${b} * vec4<f32>(patches[at], patches[at + 1u], patches[at + 2u], patches[at + 3u])`;
      const to = `outTo${b} + component / 4u`;
      const stored = halved
        ? storeHalf(to, value, `params.outScalesAt + queryTokens + query${b}`, 4)
        : `out[${to}] = ${value};`;
      return `if (query${b} < params.queries) { ${stored} }`;
    }),
  )}
  ${eachBand(
    parts,
    (b) => `if (part == 0u && query${b} < params.queries) {
    lse[params.lseAt + statisticsAt(batch, head, query${b})] = select(${NO_MAXIMUM}, ${LN_2} * (m${b} + log2(l${b})), l${b} > 0.0);
  }`,
  )}`;

/**
 * The WGSL for one size of matrices: `subgroups` of `lanes` invocations, each with `bands` times `size.M` queries, by
 * `keys` keys.
 * @param emulate plain code in place of matrices, for adapters without matrix units; see `fragments.ts`.
 * @param halved whether results are scaled halves.
 */
export function matrixAttentionKernel(
  spec: AttentionSpec,
  tile: MatrixTile,
  size: MatrixSize,
  lanes: number,
  emulate: boolean,
  halved = false,
): MatrixAttentionKernel {
  const parts = partsOf(spec, tile, size, lanes, emulate);
  const { rows, bands, keys, dim, threads, unit, scores, sums } = parts;
  const { M, N, K } = size;
  const { token } = parts.lines;
  return {
    label: `matrix${emulate ? ' emulated' : ''} ${rows}x${keys} of ${M}x${N}x${K}`,
    rows,
    rowsEach: 1,
    enables: unit.enables,
    halved,
    main: (split) => wgsl`
${memory(parts)}
${scores.code}${sums.code}${halved ? rowScaleInverse : ''}
@compute @workgroup_size(${threads})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) index: u32) {
${places(parts)}
  ${stage(parts, 'tileQ', 'q', rows, 'queriesAt + min(firstQuery + line, params.queries - 1u) * rowStride')}
  workgroupBarrier();
  ${eachBand(
    parts,
    (
      b,
    ) => wgsl`${times(dim / K, (d) => `let q${b}_${d} = ${scores.left(`subgroup * ${bands * M * token}u + ${b * M * token + (d * K) / 8}u`)};`)}
  let queryScale${b} = ${LOG2_E} * params.scale * qScale[params.qScaleAt + queryTokens + safe${b}];
  var m${b} = f32(${NO_MAXIMUM});
  // This lane's share of the sum of weights.
  var l${b} = 0.0;
  ${times(dim / N, (j) => `var sum${b}_${j} = ${unit.zero};`)}
#if ${split}
  let statistics${b} = params.stateAt + statisticsAt(batch, head, safe${b});
#endif`,
  )}
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
${finish(parts, split, halved)}
}
`,
  };
}
