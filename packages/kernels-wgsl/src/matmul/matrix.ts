/**
 * Matmul in f16 on the matrix units of a GPU: the staged rows of `half.ts`, multiplied by the tile of
 * `matrix-tile.ts`. Rows beyond the end are clamped; rows are zero beyond K.
 */
import { WORKGROUP_INDEX } from '../grid.ts';
import type { Variant } from '../kernel.ts';
import { type HalfKernel, lowerHalf } from './half.ts';
import {
  type MatrixBuild,
  type MatrixSource,
  type MatrixTile,
  matrixBuild,
  matrixTiles,
} from './matrix-tile.ts';
import type { MatmulSpec } from './spec.ts';

export const matrix: Variant<MatmulSpec> = {
  name: 'matrix',
  suspect: true,
  applies: (spec, caps) => spec.halfPrecision && spec.m > 8 && matrixTiles(spec.m, spec.n, caps).length > 0,
  candidates: (spec, caps) => matrixTiles(spec.m, spec.n, caps),
  lower(spec, caps, tuning) {
    const tile = (tuning as MatrixTile) ?? matrixTiles(spec.m, spec.n, caps)[0];
    return lowerHalf(spec, caps, matrixMatmul(matrixBuild(tile, caps)));
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
    start: (rows, columns) => `let tile = ${WORKGROUP_INDEX};
  let columnTiles = (params.columns + ${columns - 1}u) / ${columns}u;
  let row = tile / columnTiles * ${rows}u; let column = tile % columnTiles * ${columns}u;`,
    steps: 'params.pitch',
    unseen: 'min(params.batch, 1u)',
  });
  return { ...kernel, element: 'vec4<u32>' };
}
