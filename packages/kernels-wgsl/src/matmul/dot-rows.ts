/**
 * Matmul of at most 8 rows with a weight stored [N, K], which is how time embeddings and modulations are
 * computed: nothing but one pass over the weight. A workgroup has 4 columns, and 16 invocations of each walk K
 * side by side, so that loads are contiguous; their sums are added in a fixed tree.
 *
 *     out[m, n] = sum over lane of (sum over k = lane, lane + 16, .. quads of A[m, k] · B[n, k])
 *
 * Tile: `rows` (all of M) x 4 columns. Operands are read four elements at once where K is whole quads.
 * Host: nothing beyond the spec's.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import type { Variant } from '../kernel.ts';
import { type Lanes, load } from '../storage.ts';
import { lowerTiles, type TileKernel } from './frame.ts';
import type { MatmulSpec } from './spec.ts';

const MAX_ROWS = 8;
const COLUMNS = 4;
const SHARE = 16;

export const dotRows: Variant<MatmulSpec> = {
  name: 'dot-rows',
  applies: (spec, { adapter }) =>
    adapter.kind === 'hardware' && spec.m <= MAX_ROWS && spec.transposeB && !spec.transposeA,
  lower: (spec, caps) => lowerTiles(spec, caps, dotRowsKernel(spec, caps)),
};

const times = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n');

function dotRowsKernel(spec: MatmulSpec, caps: DeviceCaps): TileKernel {
  const { dtypeA, dtypeB, scaledB, m: R } = spec;
  const lanes: Lanes = spec.k % 4 === 0 ? 4 : 1;
  const type = lanes === 4 ? 'vec4<f32>' : 'f32';
  const stored = load('b', dtypeB, 'eb', caps, lanes);
  const valueB = scaledB ? `scaled${lanes}(${stored}, column, k)` : stored;
  return {
    label: `dot-rows ${R}x${COLUMNS}`,
    rows: R,
    columns: COLUMNS,
    splits: 1,
    step: 4,
    enables: '',
    lanesA: lanes,
    lanesB: lanes,
    capsB: caps,
    code: () => wgsl`
var<workgroup> sums: array<f32, ${R * COLUMNS * SHARE}>;
@compute @workgroup_size(${COLUMNS * SHARE})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) index: u32) {
  let tile = start(${WORKGROUP_INDEX});
  let lane = index % ${SHARE}u;
  let mine = index / ${SHARE}u;
  let column = min(tile.column + mine, params.columnEnd - 1u);
  ${times(R, (r) => `var sum${r} = ${type}();`)}
  for (var k = tile.k + lane * ${lanes}u; k < tile.kEnd; k += ${SHARE * lanes}u) {
    let eb = indexB(tile, column, k) / ${lanes}u;
    let y = ${valueB};
    ${times(
      R,
      (r) => `let e${r} = indexA(tile, min(tile.row + ${r}u, params.rowEnd - 1u), k) / ${lanes}u;
    sum${r} = fma(${load('a', dtypeA, `e${r}`, caps, lanes)}, y, sum${r});`,
    )}
  }
  ${times(R, (r) => `sums[${r * COLUMNS * SHARE}u + index] = ${lanes === 4 ? `dot(sum${r}, vec4<f32>(1))` : `sum${r}`};`)}
  for (var width = ${SHARE / 2}u; width > 0u; width /= 2u) {
    workgroupBarrier();
    if (lane < width) {
      for (var r = 0u; r < ${R}u; r++) { sums[r * ${COLUMNS * SHARE}u + index] += sums[r * ${COLUMNS * SHARE}u + index + width]; }
    }
  }
  workgroupBarrier();
  for (var i = index; i < ${R * COLUMNS}u; i += ${COLUMNS * SHARE}u) {
    finish(tile, tile.row + i / ${COLUMNS}u, tile.column + i % ${COLUMNS}u, sums[i * ${SHARE}u]);
  }
}
`,
  };
}
