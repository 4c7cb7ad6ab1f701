/**
 * A fused expression over an output seen as [outers, rows, columns], taken apart by what each dimension changes,
 * for kernels that walk down rows: what an outer index decides is worked out once for a block of rows, what a
 * column decides (a bias, a gate, a scale) is loaded once for all rows of the block.
 *
 *     fn fusedOuter(outer: u32) -> Outer
 *     fn fusedColumn(outer: Outer, c: u32) -> Column
 *     fn fusedRow(column: Column, r: u32, acc: T) -> T
 *
 * `c` counts elements. A fusion that no such shape fits still works, element by element: `outers` is then 1.
 */
import type { DeviceCaps } from '../caps.ts';
import type { DType } from '../dtype.ts';
import type { Lanes } from '../storage.ts';
import { type AccessDim, contiguousStrides, elementCount } from './access.ts';
import { walk } from './expression.ts';
import { collapse, emitFusion, type FusedCode, type Fusion, fusionParts, indexTerm } from './fusion.ts';

interface RowCode extends Omit<FusedCode, 'code'> {
  /** The three functions. */
  readonly code: string;
  readonly outers: number;
  /** Rows of one outer index. */
  readonly rows: number;
}

const isPlain = (dim: AccessDim) => dim.divisor === 1 && dim.shift === 0;

/** `fusion`, collapsed, with rows of `columns` elements as its last dimension, where its strides allow. */
function withColumns(fusion: Fusion, columns: number): Fusion | undefined {
  const collapsed = collapse(fusion);
  const { shape, operands, expression } = collapsed;
  const rank = shape.length;
  if (rank >= 2 && shape[rank - 1] === columns) return collapsed;
  let pinned = false;
  walk(expression, (node) => {
    if (node.kind === 'coordinate') pinned = true;
  });
  const ends = operands.map(({ access }) => access.dims[rank - 1]);
  if (rank === 0 || pinned || shape[rank - 1] % columns !== 0 || !ends.every(isPlain)) return undefined;
  return {
    expression,
    shape: [...shape.slice(0, -1), shape[rank - 1] / columns, columns],
    operands: operands.map((operand, k) => ({
      ...operand,
      access: {
        ...operand.access,
        dims: [
          ...operand.access.dims.slice(0, -1),
          { ...ends[k], stride: ends[k].stride * columns },
          ends[k],
        ],
      },
    })),
  };
}

/**
 * @param columns elements of a row; a divisor of the output's.
 * @param lanes 4 only if `takesFourLanes(fusion)` and 4 divides `columns`.
 */
export function emitRowFusion(
  original: Fusion,
  columns: number,
  firstBinding: number,
  dtype: DType,
  lanes: Lanes,
  caps: DeviceCaps,
): RowCode {
  const fusion = withColumns(original, columns);
  if (!fusion) {
    const flat = emitFusion(original, firstBinding, dtype, lanes, caps);
    const type = fusionParts(collapse(original), firstBinding, dtype, lanes, caps).type;
    return {
      ...flat,
      code: `${flat.code}struct Outer { o: u32 }
struct Column { c: u32 }
fn fusedOuter(outer: u32) -> Outer { return Outer(outer); }
fn fusedColumn(outer: Outer, c: u32) -> Column { return Column(c); }
fn fusedRow(column: Column, r: u32, acc: ${type}) -> ${type} { return fused(r * ${columns}u + column.c, acc); }
`,
      outers: 1,
      rows: elementCount(original.shape) / columns,
    };
  }

  const { shape, operands } = fusion;
  const parts = fusionParts(fusion, firstBinding, dtype, lanes, caps);
  const [rowDim, columnDim] = [shape.length - 2, shape.length - 1];
  const outerShape = shape.slice(0, rowDim);
  const strides = contiguousStrides(outerShape);
  const outerCoordinate = (d: number) => {
    const row = strides[d] === 1 ? 'outer' : `(outer / ${strides[d]}u)`;
    return d === 0 ? row : `(${row} % ${shape[d]}u)`;
  };

  // What the outer index decides: a base for every operand, and the coordinates that the expression reads.
  const outer: [field: string, value: string][] = [['o', 'outer']];
  // What the column adds: values that no row changes, for the others where their row 0 is.
  const column: [field: string, type: string, value: string][] = [];
  const rows: string[] = [];
  for (const [k, { access }] of operands.entries()) {
    const moving = access.dims.slice(0, rowDim).flatMap((dim, d) => (dim.stride === 0 ? [] : [{ dim, d }]));
    const terms = moving.map(({ dim, d }) => indexTerm(dim, outerCoordinate(d)));
    outer.push([`b${k}`, [`params.at${k}`, ...terms].join(' + ')]);
    const inner = access.dims[columnDim];
    const indices = Array.from({ length: parts.indices(k) }, (_, lane) =>
      inner.stride === 0
        ? `outer.b${k}`
        : `(outer.b${k} + ${indexTerm(inner, lane > 0 ? `(c + ${lane}u)` : 'c')})`,
    );
    const along = access.dims[rowDim];
    if (along.stride === 0) {
      column.push([`x${k}`, parts.type, parts.value(k, indices)]);
      rows.push(`  let x${k} = column.x${k};\n`);
    } else {
      for (const [lane, index] of indices.entries()) column.push([`e${k}_${lane}`, 'u32', index]);
      const names = indices.map((_, lane) => `e${k}_${lane}`);
      rows.push(
        ...names.map((name) => `  let ${name} = column.${name} + ${indexTerm(along, 'r')};\n`),
        `  let x${k} = ${parts.value(k, names)};\n`,
      );
    }
  }
  const coordinates = new Set<number>();
  const body = parts.body((d) => {
    if (d === rowDim) return 'r';
    coordinates.add(d);
    return d === columnDim ? 'column.c' : `column.c${d}`;
  });
  column.push(['c', 'u32', 'c']);
  for (const d of coordinates) {
    if (d === columnDim) continue;
    outer.push([`c${d}`, outerCoordinate(d)]);
    column.push([`c${d}`, 'u32', `outer.c${d}`]);
  }

  return {
    declarations: parts.declarations,
    fields: parts.fields,
    windows: parts.windows,
    code: `struct Outer { ${outer.map(([name]) => `${name}: u32,`).join(' ')} }
struct Column { ${column.map(([name, type]) => `${name}: ${type},`).join(' ')} }
fn fusedOuter(outer: u32) -> Outer {
  return Outer(${outer.map(([, value]) => value).join(', ')});
}
fn fusedColumn(outer: Outer, c: u32) -> Column {
  return Column(${column.map(([, , value]) => value).join(', ')});
}
fn fusedRow(column: Column, r: u32, acc: ${parts.type}) -> ${parts.type} {
${rows.join('')}  return ${body};
}
`,
    outers: elementCount(outerShape),
    rows: shape[rowDim],
  };
}
