/**
 * Matmul in f16 on the matrix units of a GPU: the staged rows of `half.ts`, multiplied by the tile of
 * `matrix-tile.ts`. Rows beyond the end are clamped; rows are zero beyond K. Where tiles are too few to fill a GPU,
 * K is cut into parts.
 *
 * Tiles go down a band of rows before they go on to the next column: those that run together make a square, whose rows
 * and columns are the fewest.
 */
import type { DeviceCaps } from '../caps.ts';
import { WORKGROUP_INDEX } from '../grid.ts';
import type { Variant } from '../kernel.ts';
import { type HalfKernel, halfSplits, lowerHalf } from './half.ts';
import {
  type MatrixBuild,
  type MatrixSource,
  type MatrixTile,
  matrixBuild,
  matrixTiles,
  tileSize,
} from './matrix-tile.ts';
import type { MatmulSpec } from './spec.ts';

/** Tiles of a band: a square of 8 x 8 run together (`traffic.ts`). */
const BAND = 8;

interface MatrixMatmulTile extends MatrixTile {
  /** Parts of K; 1 for none. */
  readonly splits: number;
}

function candidates(spec: MatmulSpec, caps: DeviceCaps): MatrixMatmulTile[] {
  return matrixTiles(spec.m, spec.n, caps).flatMap((tile) => {
    const [rows, columns] = tileSize(tile.side, caps.features.subgroupMatrixConfigs[tile.config]);
    return halfSplits(spec, { rows, columns }, caps).map((splits) => ({ ...tile, splits }));
  });
}

export const matrix: Variant<MatmulSpec> = {
  name: 'matrix',
  suspect: true,
  applies: (spec, caps) => spec.halfPrecision && spec.m > 8 && matrixTiles(spec.m, spec.n, caps).length > 0,
  candidates,
  lower(spec, caps, tuning) {
    const { splits, ...tile } = (tuning as MatrixMatmulTile) ?? candidates(spec, caps)[0];
    return lowerHalf(spec, caps, matrixMatmul(matrixBuild(tile, caps)), splits);
  },
};

/** The kernel that multiplies staged rows by the tile of `build`. */
export function matrixMatmul(build: MatrixBuild): HalfKernel {
  const source = (name: 'a' | 'b', first: string, end: string): MatrixSource => ({
    line: (n, line) => `let ${name}At${n} = min(${first} + ${line}, ${end} - 1u) * (params.pitch / 8u);`,
    word: (n, k) => `${name}[${name}At${n} + ${k} / 8u]`,
  });
  const kernel = build({
    a: source('a', 'row', 'params.rows'),
    b: source('b', 'column', 'params.columns'),
    start: (rows, columns) => `let columnTiles = (params.columns + ${columns - 1}u) / ${columns}u;
  let rowTiles = (params.rows + ${rows - 1}u) / ${rows}u;
  let share = shareOf(${WORKGROUP_INDEX}, rowTiles * columnTiles);
  let firstRow = share.tile / (${BAND}u * columnTiles) * ${BAND}u;
  let within = share.tile % (${BAND}u * columnTiles);
  // The last band may be lower; a surplus workgroup of a folded grid is below all rows.
  let band = clamp(rowTiles - min(firstRow, rowTiles), 1u, ${BAND}u);
  let row = (firstRow + within % band) * ${rows}u;
  let column = within / band * ${columns}u;`,
    steps: ['share.k', 'share.kEnd'],
    unseen: 'min(params.batch, 1u)',
  });
  return { ...kernel, element: 'vec4<u32>', band: BAND };
}
