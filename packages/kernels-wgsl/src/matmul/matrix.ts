/**
 * Matmul in f16 on the matrix units of a GPU: the staged rows of `half.ts`, multiplied by subgroup matrices with
 * f32 sums.
 *
 * A workgroup is 2 x 2 subgroups; each keeps `side` x `side` matrices of M x N sums, so the tile is 2·side·M rows
 * by 2·side·N columns. It walks K by 32 steps that pass through workgroup memory:
 *
 *     tileA[row][32 steps], tileB[column][32 steps]     8 halves a vec4<u32>
 *     sums[i][j] += left(rows i of A) · right(columns j of B, stored by columns)
 *
 * Then each subgroup writes a matrix of sums at a time to its patch of workgroup memory, from where its lanes
 * store it: loads and stores of matrices know no edges, ordinary ones do. Rows beyond the end are clamped.
 *
 * `emulate` makes a build with the same indices for devices without matrix units: a matrix is where it lies in
 * workgroup memory, and lane l of a subgroup has sums l, l + lanes, ..
 * Host: subgroups of one size; a configuration f16 x f16 -> f32 whose K divides 32.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps, SubgroupMatrixConfig } from '../caps.ts';
import type { Tuning, Variant } from '../kernel.ts';
import { type HalfKernel, lowerHalf, PITCH_QUANTUM } from './half.ts';
import type { MatmulSpec } from './spec.ts';

interface MatrixTile extends Tuning {
  /** Matrices of a subgroup, in rows and in columns. */
  readonly side: number;
  /** Index in caps.features.subgroupMatrixConfigs. */
  readonly config: number;
}

const SUBGROUPS = 4;
/** vec4<u32> words of a tile row. */
const WORDS = PITCH_QUANTUM / 8;

const fits = (tile: MatrixTile, caps: DeviceCaps): boolean => {
  const config = caps.features.subgroupMatrixConfigs[tile.config];
  const lines = 2 * tile.side * (config.M + config.N);
  const bytes = lines * WORDS * 16 + SUBGROUPS * config.M * config.N * 4;
  return bytes <= caps.limits.maxComputeWorkgroupStorageSize;
};

function candidates(spec: MatmulSpec, caps: DeviceCaps): MatrixTile[] {
  const sides = spec.m >= 512 && spec.n >= 512 ? [4, 2, 1] : spec.m > 64 && spec.n > 64 ? [2, 4, 1] : [1, 2];
  return caps.features.subgroupMatrixConfigs
    .map((config, index) => ({ config, index }))
    .filter(
      ({ config: { componentType, resultComponentType, K } }) =>
        componentType === 'f16' && resultComponentType === 'f32' && PITCH_QUANTUM % K === 0,
    )
    .sort((x, y) => y.config.M * y.config.N * y.config.K - x.config.M * x.config.N * x.config.K)
    .flatMap(({ index }) => sides.map((side) => ({ side, config: index })))
    .filter((tile) => fits(tile, caps));
}

export const matrix: Variant<MatmulSpec> = {
  name: 'matrix',
  applies: (spec, caps) =>
    spec.halfPrecision &&
    !spec.quantized &&
    spec.m > 8 &&
    caps.features.f16 &&
    caps.features.subgroupMinSize === caps.features.subgroupMaxSize &&
    SUBGROUPS * caps.features.subgroupMaxSize <= caps.limits.maxComputeInvocationsPerWorkgroup &&
    candidates(spec, caps).length > 0,
  candidates,
  lower(spec, caps, tuning) {
    const tile = (tuning as MatrixTile) ?? candidates(spec, caps)[0];
    const config = caps.features.subgroupMatrixConfigs[tile.config];
    return lowerHalf(spec, caps, matrixKernel(tile.side, config, caps.features.subgroupMaxSize, false));
  },
};

/** Each subgroup works on its own matrices: their places are uniform in a subgroup, which no analysis sees. */
const UNIFORM = `enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
`;

const times = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n');

export function matrixKernel(
  side: number,
  { M, N, K }: Pick<SubgroupMatrixConfig, 'M' | 'N' | 'K'>,
  lanes: number,
  emulate: boolean,
): HalfKernel {
  const rows = 2 * side * M;
  const columns = 2 * side * N;
  const threads = SUBGROUPS * lanes;
  const each = (line: (i: number, j: number) => string) => times(side, (i) => times(side, (j) => line(i, j)));
  const stage = (name: 'A' | 'B', lines: number, first: string, end: string) => `
    for (var i = index; i < ${lines * WORDS}u; i += ${threads}u) {
      let line = min(${first} + i / ${WORDS}u, ${end} - 1u);
      tile${name}[i] = ${name.toLowerCase()}[line * (params.pitch / 8u) + k / 8u + i % ${WORDS}u];
    }`;
  // What the two builds say differently: loading, multiplying and storing a matrix.
  const zero = emulate ? `array<f32, ${(M * N) / lanes}>()` : `subgroup_matrix_result<f32, ${N}, ${M}>()`;
  const left = (at: string) =>
    emulate
      ? at
      : `subgroupMatrixLoad<subgroup_matrix_left<f16, ${K}, ${M}>, row_major>(&tileA, ${at}, ${WORDS}u)`;
  const right = (at: string) =>
    emulate
      ? at
      : `subgroupMatrixLoad<subgroup_matrix_right<f16, ${N}, ${K}>, col_major>(&tileB, ${at}, ${WORDS}u)`;
  const multiply = (x: string, y: string, sum: string) =>
    emulate
      ? `multiply(${x}, ${y}, lane, &${sum});`
      : `${sum} = subgroupMatrixMultiplyAccumulate(${x}, ${y}, ${sum});`;
  const storePatch = (at: string, sum: string) =>
    emulate
      ? `for (var e = 0u; e < ${(M * N) / lanes}u; e++) { patches[${at} + e * ${lanes}u + lane] = ${sum}[e]; }`
      : `subgroupMatrixStore<row_major>(&patches, ${at}, ${sum}, ${N}u);`;
  return {
    label: `matrix${emulate ? ' emulated' : ''} ${rows}x${columns} of ${M}x${N}x${K}`,
    rows,
    columns,
    enables: emulate ? '' : UNIFORM,
    element: 'vec4<u32>',
    code: wgsl`
var<workgroup> tileA: array<vec4<u32>, ${rows * WORDS}>;
var<workgroup> tileB: array<vec4<u32>, ${columns * WORDS}>;
var<workgroup> patches: array<f32, ${SUBGROUPS * M * N}>;
#if ${emulate}
fn multiply(x: u32, y: u32, lane: u32, sum: ptr<function, array<f32, ${(M * N) / lanes}>>) {
  for (var e = 0u; e < ${(M * N) / lanes}u; e++) {
    let at = e * ${lanes}u + lane;
    for (var k = 0u; k < ${K}u; k += 2u) {
      let u = unpack2x16float(tileA[x + at / ${N}u * ${WORDS}u + k / 8u][(k % 8u) / 2u]);
      let v = unpack2x16float(tileB[y + at % ${N}u * ${WORDS}u + k / 8u][(k % 8u) / 2u]);
      (*sum)[e] = fma(u.y, v.y, fma(u.x, v.x, (*sum)[e]));
    }
  }
}
#endif
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let row = workgroup.y * ${rows}u;
  let column = workgroup.x * ${columns}u;
  let subgroup = index / ${lanes}u;
  let lane = index % ${lanes}u;
  let ownRow = subgroup / 2u * ${side * M}u;
  let ownColumn = subgroup % 2u * ${side * N}u;
  ${each((i, j) => `var sum${i}_${j} = ${zero};`)}
  for (var k = 0u; k < params.pitch; k += ${PITCH_QUANTUM}u) {
    ${stage('A', rows, 'row', 'params.rows')}
    ${stage('B', columns, 'column', 'params.columns')}
    workgroupBarrier();
    ${times(
      PITCH_QUANTUM / K,
      (s) => `{
      ${times(side, (i) => `let x${i} = ${left(`(ownRow + ${i * M}u) * ${WORDS}u + ${(s * K) / 8}u`)};`)}
      ${times(side, (j) => `let y${j} = ${right(`(ownColumn + ${j * N}u) * ${WORDS}u + ${(s * K) / 8}u`)};`)}
      ${each((i, j) => multiply(`x${i}`, `y${j}`, `sum${i}_${j}`))}
    }`,
    )}
    workgroupBarrier();
  }
  ${each(
    (i, j) => `${storePatch(`subgroup * ${M * N}u`, `sum${i}_${j}`)}
  workgroupBarrier();
  for (var e = lane; e < ${M * N}u; e += ${lanes}u) {
    finish(row + ownRow + ${i * M}u + e / ${N}u, column + ownColumn + ${j * N}u + e % ${N}u, patches[subgroup * ${M * N}u + e]);
  }
  workgroupBarrier();`,
  )}
}
`,
  };
}
