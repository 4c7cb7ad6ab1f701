/**
 * The inner tile of everything that is a matrix product on the matrix units of a GPU: f16 operands, f32 sums.
 *
 * A workgroup is 2 x 2 subgroups; each keeps `side` x `side` matrices of M x N sums, so the tile is 2·side·M rows
 * by 2·side·N columns. It walks K by 32 steps that pass through workgroup memory:
 *
 *     tileA[row][32 steps], tileB[column][32 steps]     8 halves a vec4<u32>
 *     sums[i][j] += left(rows i of A) · right(columns j of B, stored by columns)
 *
 * Then each subgroup writes a matrix of sums at a time to its patch of workgroup memory, from where its lanes
 * store it: loads and stores of matrices know no edges, ordinary ones do. Where the words of A and B come from is
 * the kernel's (`MatrixSources`), which must not index beyond their ends, and so is `fn finish(row, column, sum)`,
 * which ignores what lies outside.
 *
 * Host: subgroups of a known size; a configuration f16 x f16 -> f32 whose K divides 32. `emulate`: see `fragments.ts`.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { type DeviceCaps, knownSubgroups, withSubgroups } from '../caps.ts';
import { WORKGROUP_BUILTINS } from '../grid.ts';
import type { Tuning } from '../kernel.ts';
import { fragments, halfConfigs, type MatrixSize } from './fragments.ts';

/** Steps of K that are staged at once: K is padded to multiples. */
export const STEP = 32;
const SUBGROUPS = 4;
/** vec4<u32> words of a tile row. */
const WORDS = STEP / 8;

export interface MatrixTile extends Tuning {
  /** Matrices of a subgroup, in rows and in columns. */
  readonly side: number;
  /** Index in caps.features.subgroupMatrixConfigs. */
  readonly config: number;
}

/** Where the words of A (lines are rows) or B (lines are columns) come from. An invocation loads some lines. */
export interface MatrixSource {
  /** Statements before all steps: what loads of this invocation's n-th line need. `line` counts over the tile. */
  line(n: number, line: string): string;
  /** Statements of every step; `k` is the first of the 8 steps that this invocation loads. */
  step?(k: string): string;
  /** The word from step `k` on of the n-th line. */
  word(n: number, k: string): string;
}

export interface MatrixSources {
  readonly a: MatrixSource;
  readonly b: MatrixSource;
  /** Statements that define the tile's first `row` and `column` from `workgroup` and `grid`. */
  start(rows: number, columns: number): string;
  /** Expression of the length of K, a multiple of 32. */
  readonly steps: string;
  /** Expression that is 0 or 1, which no compiler knows. */
  readonly unseen: string;
}

export interface MatrixKernel {
  readonly label: string;
  readonly rows: number;
  readonly columns: number;
  readonly enables: string;
  readonly code: string;
}

/** Makes the kernel of one tile for its sources. */
export type MatrixBuild = (sources: MatrixSources) => MatrixKernel;

const fits = ({ side, config }: MatrixTile, caps: DeviceCaps): boolean => {
  const { M, N } = caps.features.subgroupMatrixConfigs[config];
  const bytes = 2 * side * (M + N) * WORDS * 16 + SUBGROUPS * M * N * 4;
  return bytes <= caps.limits.maxComputeWorkgroupStorageSize;
};

/** Tiles for a product of `rows` by `columns` on this device, best guess first; none without matrix units. */
export function matrixTiles(rows: number, columns: number, caps: DeviceCaps): MatrixTile[] {
  const { f16, subgroupMatrixConfigs } = caps.features;
  const known = knownSubgroups(caps);
  if (!f16 || !known) return [];
  if (SUBGROUPS * known.lanes > caps.limits.maxComputeInvocationsPerWorkgroup) return [];
  const small = Math.min(rows, columns);
  const sides = small >= 512 ? [4, 2, 1] : small > 64 ? [2, 4, 1] : [1, 2];
  return halfConfigs(subgroupMatrixConfigs, STEP)
    .flatMap((config) => sides.map((side) => ({ side, config })))
    .filter((tile) => fits(tile, caps));
}

/** The kernel of one of `matrixTiles`. */
export const matrixBuild =
  ({ side, config }: MatrixTile, caps: DeviceCaps): MatrixBuild =>
  (sources) => {
    const subgroups = knownSubgroups(caps)!;
    const size = caps.features.subgroupMatrixConfigs[config];
    const kernel = matrixKernel(side, size, subgroups.lanes, false, sources);
    return {
      ...kernel,
      enables: subgroups.enables + kernel.enables,
      code: withSubgroups(kernel.code, subgroups),
    };
  };

const times = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n');

/**
 * The WGSL of a tile for one size of matrices, as the file's head says.
 * @param lanes invocations of a subgroup.
 * @param emulate plain code in place of matrices, for adapters without matrix units.
 */
export function matrixKernel(
  side: number,
  size: MatrixSize,
  lanes: number,
  emulate: boolean,
  sources: MatrixSources,
): MatrixKernel {
  const { M, N, K } = size;
  const rows = 2 * side * M;
  const columns = 2 * side * N;
  const threads = SUBGROUPS * lanes;
  const each = (line: (i: number, j: number) => string) => times(side, (i) => times(side, (j) => line(i, j)));
  const unit = fragments(size, lanes, emulate && sources.unseen);
  const product = unit.product(
    { name: 'tileA', stride: WORDS },
    { name: 'tileB', stride: WORDS, byColumns: true },
  );
  const stride = threads / WORDS;
  const lines = (source: MatrixSource, count: number) =>
    times(Math.ceil(count / stride), (n) => source.line(n, `(index / ${WORDS}u + ${n * stride}u)`));
  const stage = (tile: string, source: MatrixSource, count: number) =>
    times(Math.ceil(count / stride), (n) => {
      const put = `${tile}[index + ${n * threads}u] = ${source.word(n, 'wordK')};`;
      return (n + 1) * stride > count ? `if (index + ${n * threads}u < ${count * WORDS}u) { ${put} }` : put;
    });
  return {
    label: `matrix${emulate ? ' emulated' : ''} ${rows}x${columns} of ${M}x${N}x${K}`,
    rows,
    columns,
    enables: unit.enables,
    code: wgsl`
var<workgroup> tileA: array<vec4<u32>, ${rows * WORDS}>;
var<workgroup> tileB: array<vec4<u32>, ${columns * WORDS}>;
var<workgroup> patches: array<f32, ${SUBGROUPS * M * N}>;
${product.code}
@compute @workgroup_size(${threads})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) index: u32) {
  ${sources.start(rows, columns)}
  let subgroup = index / ${lanes}u;
  let lane = index % ${lanes}u;
  let ownRow = subgroup / 2u * ${side * M}u;
  let ownColumn = subgroup % 2u * ${side * N}u;
  ${lines(sources.a, rows)}
  ${lines(sources.b, columns)}
  ${each((i, j) => `var sum${i}_${j} = ${unit.zero};`)}
  for (var k = 0u; k < ${sources.steps}; k += ${STEP}u) {
    let wordK = k + index % ${WORDS}u * 8u;
    ${sources.a.step?.('wordK') ?? ''}
    ${sources.b.step?.('wordK') ?? ''}
    ${stage('tileA', sources.a, rows)}
    ${stage('tileB', sources.b, columns)}
    workgroupBarrier();
    ${times(
      STEP / K,
      (s) => `{
      ${times(side, (i) => `let x${i} = ${product.left(`(ownRow + ${i * M}u) * ${WORDS}u + ${(s * K) / 8}u`)};`)}
      ${times(side, (j) => `let y${j} = ${product.right(`(ownColumn + ${j * N}u) * ${WORDS}u + ${(s * K) / 8}u`)};`)}
      ${each((i, j) => product.multiply(`x${i}`, `y${j}`, `sum${i}_${j}`))}
    }`,
    )}
    workgroupBarrier();
  }
  ${each(
    (i, j) => `${unit.store('patches', `subgroup * ${M * N}u`, N, `sum${i}_${j}`)}
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
