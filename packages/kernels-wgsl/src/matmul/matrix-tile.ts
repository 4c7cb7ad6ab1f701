/**
 * The inner tile of everything that is a matrix product on the matrix units of a GPU: f16 operands, f32 sums.
 *
 * A workgroup is 2 x 2 subgroups; each keeps `side` x `side` matrices of M x N sums, so the tile is 2·side·M rows
 * by 2·side·N columns. It walks K by 32 steps that pass through workgroup memory:
 *
 *     tileA[row][32 steps], tileB[column][32 steps]     8 halves a vec4<u32>, and one of padding: 8 lines that are
 *                                                       loaded together then lie in different banks
 *     sums[i][j] += left(rows i of A) · right(columns j of B, stored by columns)
 *
 * With two `buffers` the next steps are loaded into registers while these are multiplied, and then into the other
 * tile: no loads are waited for, and one barrier is enough. With one, loads and products take turns.
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
/** vec4<u32> words of a tile row, and from row to row. */
const WORDS = STEP / 8;
const PITCH = WORDS + 1;

export interface MatrixTile extends Tuning {
  /** Matrices of a subgroup, in rows and in columns. */
  readonly side: number;
  /** Tiles of each operand in workgroup memory. */
  readonly buffers: 1 | 2;
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

interface MatrixSources {
  readonly a: MatrixSource;
  readonly b: MatrixSource;
  /** Statements that define the tile's first `row` and `column` from `workgroup` and `grid`. */
  start(rows: number, columns: number): string;
  /** Expressions of the first step and of the end, multiples of 32. */
  readonly steps: readonly [from: string, end: string];
  /** Expression that is 0 or 1, which no compiler knows. */
  readonly unseen: string;
}

interface MatrixKernel {
  readonly label: string;
  readonly rows: number;
  readonly columns: number;
  readonly enables: string;
  readonly code: string;
}

/** Makes the kernel of one tile for its sources. */
export type MatrixBuild = (sources: MatrixSources) => MatrixKernel;

/** Rows and columns of a tile for matrices of one size. */
export const tileSize = (side: number, { M, N }: MatrixSize): readonly [rows: number, columns: number] => [
  2 * side * M,
  2 * side * N,
];

const fits = ({ side, config, buffers }: MatrixTile, caps: DeviceCaps): boolean => {
  const size = caps.features.subgroupMatrixConfigs[config];
  const [rows, columns] = tileSize(side, size);
  const bytes = buffers * (rows + columns) * PITCH * 16 + SUBGROUPS * size.M * size.N * 4;
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
  // On a CPU no load is under way while something else is done.
  const buffers = caps.adapter.kind === 'hardware' ? ([2, 1] as const) : ([1, 2] as const);
  return halfConfigs(subgroupMatrixConfigs, STEP)
    .flatMap((config) => buffers.flatMap((count) => sides.map((side) => ({ side, buffers: count, config }))))
    .filter((tile) => fits(tile, caps));
}

/** The kernel of one of `matrixTiles`. */
export const matrixBuild =
  ({ config, ...tile }: MatrixTile, caps: DeviceCaps): MatrixBuild =>
  (sources) => {
    const subgroups = knownSubgroups(caps)!;
    const size = caps.features.subgroupMatrixConfigs[config];
    const kernel = matrixKernel(tile, size, subgroups.lanes, false, sources);
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
  { side, buffers }: Pick<MatrixTile, 'side' | 'buffers'>,
  size: MatrixSize,
  lanes: number,
  emulate: boolean,
  sources: MatrixSources,
): MatrixKernel {
  const { M, N, K } = size;
  const [rows, columns] = tileSize(side, size);
  const threads = SUBGROUPS * lanes;
  const each = (line: (i: number, j: number) => string) => times(side, (i) => times(side, (j) => line(i, j)));
  const unit = fragments(size, lanes, emulate && sources.unseen);
  const product = unit.product(
    { name: 'tileA', stride: PITCH },
    { name: 'tileB', stride: PITCH, byColumns: true },
  );
  const stride = threads / WORDS;
  const both = [
    { tile: 'tileA', name: 'a', source: sources.a, count: rows },
    { tile: 'tileB', name: 'b', source: sources.b, count: columns },
  ];
  type Operand = (typeof both)[number];
  /** A statement for each word that an invocation has of a step. */
  const words = (statement: (of: Operand, n: number) => string) =>
    both.map((of) => times(Math.ceil(of.count / stride), (n) => statement(of, n))).join('\n');
  const line = (n: number) => `(index / ${WORDS}u + ${n * stride}u)`;
  /** Into workgroup memory; not every invocation has a last word. */
  const put = (of: Operand, n: number, value: string, buffer = '') => {
    const set = `${of.tile}[${buffer && `${buffer} * ${of.count * PITCH}u + `}place + ${n * stride * PITCH}u] = ${value};`;
    return (n + 1) * stride > of.count ? `if (${line(n)} < ${of.count}u) { ${set} }` : set;
  };
  /** The words of the steps from `k` on. */
  const load = (k: string, statement: (of: Operand, n: number, word: string) => string) =>
    `let wordK = ${k} + index % ${WORDS}u * 8u;
    ${both.map(({ source }) => source.step?.('wordK') ?? '').join('\n')}
    ${words((of, n) => statement(of, n, of.source.word(n, 'wordK')))}`;
  const [from, end] = sources.steps;
  /** Where a matrix of step `s` starts, from the first of its lines on. */
  const at = ({ count }: Operand, first: string, s: number) =>
    `${buffers === 2 ? `buffer * ${count * PITCH}u + ` : ''}(${first}) * ${PITCH}u + ${(s * K) / 8}u`;
  const [left, right] = both;
  const multiply = times(
    STEP / K,
    (s) => `{
      ${times(side, (i) => `let x${i} = ${product.left(at(left, `ownRow + ${i * M}u`, s))};`)}
      ${times(side, (j) => `let y${j} = ${product.right(at(right, `ownColumn + ${j * N}u`, s))};`)}
      ${each((i, j) => product.multiply(`x${i}`, `y${j}`, `sum${i}_${j}`))}
    }`,
  );
  return {
    label: `matrix${emulate ? ' emulated' : ''} ${rows}x${columns} of ${M}x${N}x${K}`,
    rows,
    columns,
    enables: unit.enables,
    code: wgsl`
var<workgroup> tileA: array<vec4<u32>, ${buffers * rows * PITCH}>;
var<workgroup> tileB: array<vec4<u32>, ${buffers * columns * PITCH}>;
var<workgroup> patches: array<f32, ${SUBGROUPS * M * N}>;
${product.code}
@compute @workgroup_size(${threads})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) index: u32) {
  ${sources.start(rows, columns)}
  let subgroup = index / ${lanes}u;
  let lane = index % ${lanes}u;
  let ownRow = subgroup / 2u * ${side * M}u;
  let ownColumn = subgroup % 2u * ${side * N}u;
  let place = index / ${WORDS}u * ${PITCH}u + index % ${WORDS}u;
  ${words(({ source }, n) => source.line(n, line(n)))}
  ${each((i, j) => `var sum${i}_${j} = ${unit.zero};`)}
#if ${buffers === 2}
  if (${from} < ${end}) {
    ${load(from, put)}
  }
  workgroupBarrier();
  for (var k = ${from}; k < ${end}; k += ${STEP}u) {
    let buffer = (k - ${from}) / ${STEP}u % 2u;
    let more = k + ${STEP}u < ${end};
    ${words(({ name }, n) => `var ${name}${n}: vec4<u32>;`)}
    if (more) {
      ${load(`k + ${STEP}u`, ({ name }, n, word) => `${name}${n} = ${word};`)}
    }
    ${multiply}
    if (more) {
      let other = 1u - buffer;
      ${words((of, n) => put(of, n, `${of.name}${n}`, 'other'))}
    }
    workgroupBarrier();
  }
#else
  for (var k = ${from}; k < ${end}; k += ${STEP}u) {
    ${load('k', put)}
    workgroupBarrier();
    ${multiply}
    workgroupBarrier();
  }
#endif
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
