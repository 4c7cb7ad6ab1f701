/**
 * What the f32 matmul kernels share, whatever their tile: the bindings, the uniforms, windows for tensors
 * larger than a binding, the split of K over workgroups, and the second pass that adds the parts up.
 *
 * A kernel supplies `fn main` for one tile of `rows` x `columns` outputs per workgroup, in a grid
 * (columns, rows, batch x splits), which may be folded. It calls
 *
 *     start(index) -> Tile              the tile's first row and column, its batch, and its steps [k, kEnd)
 *     indexA(tile, row, k) -> u32       the element of `a`, and likewise indexB(tile, column, k) of `b`
 *     finish(tile, row, column, sum)    epilogue and store; ignores what lies outside the output
 *
 * Rows and columns must be clamped to params.rowEnd - 1 and params.columnEnd - 1 before they are indexed.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { byteLength, bytesOf } from '../dtype.ts';
import { foldGrid, lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type Dispatch, type Lowering, lazily, read, scratch, write } from '../kernel.ts';
import { emitFusion, identity } from '../pointwise/fusion.ts';
import { declare, enables, type Lanes, store } from '../storage.ts';
import { loadedBytes, resultBytes } from '../traffic.ts';
import { matmulSections } from './sections.ts';
import { inputCount, type MatmulSpec, scalingCode } from './spec.ts';

export interface TileKernel {
  readonly label: string;
  readonly rows: number;
  readonly columns: number;
  /** Parts of K, added up by a second pass; 1 for none. See `maySplit`. */
  readonly splits: number;
  /** Steps of K that are worked on together: parts of K are multiples. */
  readonly step: number;
  readonly enables: string;
  readonly lanesA: Lanes;
  readonly lanesB: Lanes;
  /** How B is bound: without `shader-f16` its halves come as packed words. */
  readonly capsB: DeviceCaps;
  readonly code: () => string;
}

/** Workgroups that fill a large GPU. */
export const ENOUGH_TILES = 256;

/** Parts of K that make so few tiles fill a GPU, none shorter than 512 steps. */
export const splitsOf = (tiles: number, k: number): number =>
  Math.max(1, Math.min(8, Math.floor(ENOUGH_TILES / tiles), Math.floor(k / 512)));

/** Whether the parts of K can be scratch: everything in one section. */
export function maySplit(spec: MatmulSpec, splits: number, caps: DeviceCaps): boolean {
  const limit = caps.limits.maxStorageBufferBindingSize;
  const count = spec.batch * spec.m * spec.n;
  const fused = emitFusion(spec.epilogue ?? identity([count]), 3, spec.dtypeOut, 1, caps);
  return byteLength(splits * count, 'f32') <= limit && matmulSections(spec, fused, caps).length === 1;
}

export function lowerTiles(spec: MatmulSpec, caps: DeviceCaps, kernel: TileKernel): Lowering {
  const { batch, m, n, k, transposeA, transposeB, sharedB, dtypeA, dtypeB, scaledB } = spec;
  const { splits } = kernel;
  const epilogue = spec.epilogue ?? identity([batch, m, n]);
  const inputs = inputCount(spec);
  const dtypeOut = splits > 1 ? 'f32' : spec.dtypeOut;
  const inner = splits > 1 ? identity([splits * batch, m, n]) : epilogue;
  const fused = emitFusion(inner, inputs + 1, dtypeOut, 1, caps);

  const halves = enables(
    [dtypeA, dtypeOut, ...(scaledB ? [scaledB.dtype] : []), ...inner.operands.map((o) => o.dtype)],
    caps,
  );
  const code = lazily(
    () => wgsl`${halves || enables([dtypeB], kernel.capsB)}${kernel.enables}
struct Params {
  rowStart: u32, rowEnd: u32, columnStart: u32, columnEnd: u32,
  m: u32, n: u32, k: u32, batchStart: u32,
  atA: u32, atB: u32, atOut: u32, strideB: u32,
  kPart: u32, batches: u32, never: u32, unused: u32,
  ${fused.fields}
}
struct Tile { row: u32, column: u32, batch: u32, part: u32, k: u32, kEnd: u32, a: u32, b: u32 }
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'a', dtypeA, 'read', caps, kernel.lanesA)}
${declare(2, 'b', dtypeB, 'read', kernel.capsB, kernel.lanesB)}
${scalingCode(scaledB, 3, caps)}
${fused.declarations}
${declare(inputs + 1 + inner.operands.length, 'out', dtypeOut, 'read_write', caps)}
${fused.code}
fn start(index: u32) -> Tile {
  let columnTiles = (params.columnEnd - params.columnStart + ${kernel.columns - 1}u) / ${kernel.columns}u;
  let rowTiles = (params.rowEnd - params.rowStart + ${kernel.rows - 1}u) / ${kernel.rows}u;
  let z = index / columnTiles / rowTiles;
  let part = z / params.batches;
  let batch = params.batchStart + z % params.batches;
  // A surplus workgroup of a folded grid has no rows and no steps.
  let surplus = part >= ${splits}u;
  let k = select(part * params.kPart, params.k, surplus);
  return Tile(
    select(params.rowStart + index / columnTiles % rowTiles * ${kernel.rows}u, params.rowEnd, surplus),
    params.columnStart + index % columnTiles * ${kernel.columns}u,
    batch, part, k, min(k + params.kPart, params.k),
    params.atA + batch * params.m * params.k, params.atB + batch * params.strideB);
}
fn indexA(tile: Tile, row: u32, k: u32) -> u32 {
  return tile.a + ${transposeA ? 'k * params.m + row' : 'row * params.k + k'};
}
fn indexB(tile: Tile, column: u32, k: u32) -> u32 {
  return tile.b + ${transposeB ? 'column * params.k + k' : 'k * params.n + column'};
}
fn finish(tile: Tile, row: u32, column: u32, sum: f32) {
  if (row >= params.rowEnd || column >= params.columnEnd) { return; }
  let i = (tile.batch * params.m + row) * params.n + column;
#if ${splits > 1}
  out[tile.part * params.batches * params.m * params.n + i] = sum;
#else
  let o = params.atOut + i;
  ${store('out', dtypeOut, 'o', 'fused(i, sum)', caps)}
#endif
}
${kernel.code()}`,
  );

  const part = Math.ceil(k / splits / kernel.step) * kernel.step;
  const dispatches = matmulSections(spec, fused, caps).map((section): Dispatch => {
    const { batchStart, batchCount, rows, columns, a, b, out } = section;
    const outStart = batchStart * m * n + rows[0] * n;
    const outEnd = (batchStart + batchCount - 1) * m * n + rows[1] * n;
    const { windows, uniforms } = fused.windows(outStart, outEnd);
    const [height, width] = [rows[1] - rows[0], columns[1] - columns[0]];
    const [down, across] = [Math.ceil(height / kernel.rows), Math.ceil(width / kernel.columns)];
    const loaded = loadedBytes({
      ...{ tiles: [down, across], band: 1 },
      bytes: [height * k * bytesOf(dtypeA), width * k * bytesOf(dtypeB)],
    });
    return {
      label: `matmul/${kernel.label} ${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}${splits > 1 ? ` split ${splits}` : ''}`,
      get wgsl() {
        return code();
      },
      operands: [
        read(0, a),
        read(1, b),
        ...Array.from({ length: inputs - 2 }, (_, i) => read(2 + i)),
        ...windows.map((w, i) => read(inputs + i, w)),
        splits > 1 ? scratch(0, 'read_write') : write(0, out),
      ],
      uniforms: [
        ...[rows[0], rows[1], columns[0], columns[1], m, n, k, batchStart],
        ...[-a.firstElement >>> 0, -b.firstElement >>> 0, -out.firstElement >>> 0, sharedB ? 0 : n * k],
        ...[part, batchCount, 0, 0],
        ...uniforms,
      ],
      workgroups: foldGrid([across, down, batchCount * splits], caps),
      work: {
        flops: 2 * batchCount * height * width * k,
        bytes: batchCount * loaded + resultBytes(splits * batchCount * height * width, dtypeOut, windows),
      },
    };
  });
  if (splits === 1) return { dispatches, scratch: [] };
  return {
    dispatches: [...dispatches, addParts(spec, splits, 0, caps)],
    scratch: [byteLength(splits * batch * m * n, 'f32')],
  };
}

const ADD_WORKGROUP = 64;

/**
 * out[i] = epilogue(sum over parts of scratch[part, i]), parts in ascending order.
 * @param index of that scratch.
 */
export function addParts(spec: MatmulSpec, splits: number, index: number, caps: DeviceCaps): Dispatch {
  const { batch, m, n, dtypeOut } = spec;
  const count = batch * m * n;
  const epilogue = spec.epilogue ?? identity([count]);
  const fused = emitFusion(epilogue, 2, dtypeOut, 1, caps);
  const { windows, uniforms } = fused.windows(0, count);
  const groups = Math.ceil(count / ADD_WORKGROUP);
  return {
    label: `matmul/add ${splits} parts`,
    wgsl: wgsl`${enables([dtypeOut, ...epilogue.operands.map((o) => o.dtype)], caps)}
struct Params { count: u32, parts: u32, ${fused.fields} }
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'sums', 'f32', 'read', caps)}
${fused.declarations}
${declare(2 + epilogue.operands.length, 'out', dtypeOut, 'read_write', caps)}
${fused.code}
@compute @workgroup_size(${ADD_WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let i = ${WORKGROUP_INDEX} * ${ADD_WORKGROUP}u + lane;
  if (i >= params.count) { return; }
  var sum = 0.0;
  for (var part = 0u; part < params.parts; part++) { sum += sums[part * params.count + i]; }
  ${store('out', dtypeOut, 'i', 'fused(i, sum)', caps)}
}
`,
    operands: [scratch(index, 'read'), ...windows.map((w, i) => read(inputCount(spec) + i, w)), write(0)],
    uniforms: [count, splits, ...uniforms],
    workgroups: lineGrid(groups, caps),
    work: {
      flops: splits * count,
      bytes: byteLength(splits * count, 'f32') + resultBytes(count, dtypeOut, windows),
    },
  };
}
