/**
 * Matmul in f16 for operands of any range: both are staged as f16 rows along K with a power-of-two scale each
 * (`stage-half.ts`), multiplied with sums in f32, and the two scales undone before the epilogue:
 *
 *     out[m, n] = epilogue( scaleA[m] · scaleB[n] · sum over k of halfA[m, k] · halfB[n, k] )
 *
 * A kernel supplies `fn main` for a tile of staged rows (`a`) and columns (`b`), in a grid (columns, rows, parts of K),
 * which may be folded. Its indices count from the window's first row and column. It calls
 *
 *     shareOf(index, tiles) -> Share     the tile of `tiles`, and its steps [k, kEnd), multiples of 32
 *     finish(row, column, sum)           epilogue and store; ignores what lies outside
 *
 * Rows are whole in 16-byte words up to `params.pitch`. With parts of K, their sums are scratch, and a second pass
 * adds them up in order. Results may be scaled halves themselves (`half-rows.ts`), where all is in one window.
 *
 * `half` is the kernel without matrix units: 4 x 4 outputs an invocation, 8 x 8 invocations.
 * Host: staged rows are cut so that each window fits in a binding; the scratch holds one batch at a time.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { byteLength } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { foldGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import {
  type BoundRowsSpec,
  boundRows,
  declareRowScales,
  type FusedBound,
  fusedBound,
  HALF_TOP,
  rowScalesOperand,
  storeHalf,
} from '../half-rows.ts';
import { type Dispatch, type Lowering, type Operand, read, scratch, type Variant, write } from '../kernel.ts';
import { splitRange, windowOf } from '../pointwise/access.ts';
import { emitFusion, identity, largestWindow, offsetAlignment } from '../pointwise/fusion.ts';
import { declare, enables, store } from '../storage.ts';
import { loadedBytes, resultBytes } from '../traffic.ts';
import { addParts, maySplit, splitsOf } from './frame.ts';
import { STEP } from './matrix-tile.ts';
import { inputCount, type MatmulSpec } from './spec.ts';
import { stageHalf } from './stage-half.ts';

const QUANTUM = 4;

export interface HalfKernel {
  readonly label: string;
  readonly rows: number;
  readonly columns: number;
  /** Of `loadedBytes`. */
  readonly band: number;
  readonly enables: string;
  /** WGSL element type of `a` and `b`. */
  readonly element: string;
  readonly code: string;
}

/** Scratch buffers, in order. */
const HALF_A = 0;
const SCALE_A = 1;
const HALF_B = 2;
const SCALE_B = 3;
const PARTS = 4;

export const half: Variant<MatmulSpec> = {
  name: 'half',
  suspect: true,
  applies: (spec, caps) => spec.halfPrecision && spec.m > 8 && caps.features.f16,
  candidates: (spec, caps) => halfSplits(spec, PLAIN, caps).map((splits) => ({ splits })),
  lower: (spec, caps, tuning) =>
    lowerHalf(spec, caps, PLAIN, tuning?.splits ?? halfSplits(spec, PLAIN, caps)[0]),
};

const FOUR = [0, 1, 2, 3];
const four = (line: (i: number) => string) => FOUR.map(line).join('\n  ');

const PLAIN: HalfKernel = {
  label: 'half',
  rows: 32,
  columns: 32,
  band: 1,
  enables: '',
  element: 'vec4<f16>',
  code: wgsl`
@compute @workgroup_size(8, 8)
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_id) id: vec3<u32>) {
  let columnTiles = (params.columns + 31u) / 32u;
  let share = shareOf(${WORKGROUP_INDEX}, columnTiles * ((params.rows + 31u) / 32u));
  let row = share.tile / columnTiles * 32u + id.y * 4u;
  let column = share.tile % columnTiles * 32u + id.x * 4u;
  if (row >= params.rows || column >= params.columns) { return; }
  let quads = params.pitch / 4u;
  ${four((i) => `let a${i} = min(row + ${i}u, params.rows - 1u) * quads; let b${i} = min(column + ${i}u, params.columns - 1u) * quads;`)}
  ${four((r) => `var acc${r} = vec4<f32>();`)}
  for (var q = share.k / 4u; q < share.kEnd / 4u; q++) {
    ${four((i) => `let x${i} = vec4<f32>(a[a${i} + q]); let y${i} = vec4<f32>(b[b${i} + q]);`)}
    ${four((r) => `acc${r} += vec4<f32>(${FOUR.map((c) => `dot(x${r}, y${c})`).join(', ')});`)}
  }
  var sums = array<vec4<f32>, 4>(acc0, acc1, acc2, acc3);
  for (var i = 0u; i < 16u; i++) { finish(row + i / 4u, column + i % 4u, sums[i / 4u][i % 4u]); }
}
`,
};

const scaleOperands = (spec: MatmulSpec): Operand[] =>
  Array.from({ length: inputCount(spec) - 2 }, (_, i) => read(2 + i));

/** Of a product's own, with its output. */
const BINDINGS = 5;

/** No product of a row of A and a column of B is larger than k times the largest of one and of the other. */
const boundOf = ({ m, n, k }: MatmulSpec, bound: FusedBound, top: number): BoundRowsSpec => ({
  ...{ rows: m, top, bound, factor: k * 2 ** HALF_TOP },
  ranges: [{ operand: scratch(SCALE_B, 'read'), dtype: 'f32', from: 0, end: n }],
  rowScales: scratch(SCALE_A, 'read'),
  accumulator: 'params.factor * rowScale * largest0',
});

const pitchOf = (k: number) => Math.ceil(k / STEP) * STEP;

/** Whether the parts of K can be scratch: everything, staged rows too, in one window. */
const maySplitHalf = (spec: MatmulSpec, splits: number, caps: DeviceCaps): boolean =>
  maySplit(spec, splits, caps) &&
  byteLength(Math.max(spec.m, spec.n) * pitchOf(spec.k), 'f16') <= caps.limits.maxStorageBufferBindingSize;

/** Parts of K worth trying with a tile, the best guess first: where tiles are too few to fill a GPU. */
export function halfSplits(
  spec: MatmulSpec,
  { rows, columns }: Pick<HalfKernel, 'rows' | 'columns'>,
  caps: DeviceCaps,
): number[] {
  const wanted = splitsOf(Math.ceil(spec.m / rows) * Math.ceil(spec.n / columns), spec.k);
  if (wanted === 1 || !maySplitHalf(spec, wanted, caps)) return [1];
  return caps.adapter.kind === 'hardware' ? [wanted, 1] : [1, wanted];
}

/**
 * The product by `kernel` over operands staged as f16 rows: inputs as `lowerMatmul`'s.
 * @param splits parts of K, at the most; more than 1 only if `maySplitHalf`.
 */
export function lowerHalf(spec: MatmulSpec, caps: DeviceCaps, kernel: HalfKernel, splits = 1): Lowering {
  const { batch, m, n, k, transposeA, transposeB, sharedB, dtypeA, dtypeB, halfRows } = spec;
  const limit = caps.limits.maxStorageBufferBindingSize;
  const alignment = offsetAlignment(caps);
  const epilogue = spec.epilogue ?? identity([batch, m, n]);
  const inParts = splits > 1;
  const bound =
    halfRows?.length === n && batch === 1 && !inParts
      ? fusedBound(epilogue, inputCount(spec), caps)
      : undefined;
  const halved = bound && epilogue.operands.length + BINDINGS < caps.limits.maxStorageBuffersPerShaderStage;
  const dtypeOut = halved ? 'f16' : spec.dtypeOut;
  const [inner, dtypeInner] = inParts ? [identity([m * n]), 'f32' as const] : [epilogue, dtypeOut];
  const fused = emitFusion(inner, 5, dtypeInner, 1, caps);
  const pitch = pitchOf(k);
  const part = Math.ceil(pitch / splits / STEP) * STEP;
  const parts = Math.ceil(pitch / part);

  const code = wgsl`${enables([dtypeInner, 'f16', ...inner.operands.map((o) => o.dtype)], caps)}${kernel.enables}
struct Params {
  rowStart: u32, rows: u32, columnStart: u32, columns: u32,
  m: u32, n: u32, pitch: u32, batch: u32, atOut: u32, part: u32, parts: u32, batches: u32,
  ${fused.fields}
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<${kernel.element}>;
${declare(2, 'scaleA', 'f32', 'read', caps)}
@group(0) @binding(3) var<storage, read> b: array<${kernel.element}>;
${declare(4, 'scaleB', 'f32', 'read', caps)}
${fused.declarations}
${declare(5 + inner.operands.length, 'out', dtypeInner, 'read_write', caps)}
${halved ? declareRowScales(6 + inner.operands.length, caps) : ''}${fused.code}
struct Share { tile: u32, k: u32, kEnd: u32 }
#if ${inParts}
var<private> partOfK: u32;
fn shareOf(index: u32, tiles: u32) -> Share {
  let nth = index / tiles;
  partOfK = nth;
  // A surplus workgroup of a folded grid has no steps.
  let k = min(nth * params.part, params.pitch);
  return Share(index % tiles, k, min(k + params.part, params.pitch));
}
#else
fn shareOf(index: u32, tiles: u32) -> Share { return Share(index, 0u, params.pitch); }
#endif
fn finish(row: u32, column: u32, sum: f32) {
  if (row >= params.rows || column >= params.columns) { return; }
#if ${inParts}
  if (partOfK >= params.parts) { return; }
  out[((partOfK * params.batches + params.batch) * params.m + row) * params.n + column] = sum * scaleA[row] * scaleB[column];
#elif ${halved}
  let i = (params.rowStart + row) * params.n + params.columnStart + column;
  ${storeHalf('i', 'fused(i, sum * scaleA[row] * scaleB[column])', 'row')}
#else
  let i = (params.batch * params.m + params.rowStart + row) * params.n + params.columnStart + column;
  let o = params.atOut + i;
  ${store('out', dtypeOut, 'o', 'fused(i, sum * scaleA[row] * scaleB[column])', caps)}
#endif
}
${kernel.code}`;
  const tooLarge = () =>
    new TooLargeError(
      `matmul [${m}, ${k}] x [${k}, ${n}]: four rows do not fit in a binding of ${limit} bytes`,
    );
  const outWindow = (b: number, start: number, end: number) =>
    windowOf(b * m * n + start * n, b * m * n + end * n - 1, batch * m * n, dtypeOut, alignment);
  /** Window of an operand that holds its rows [start, end) of one batch, and where element 0 of `start` is. */
  const source = (
    input: number,
    dtype: MatmulSpec['dtypeA'],
    count: number,
    base: number,
    size: number,
    byRows: boolean,
    start: number,
    end: number,
  ) => {
    const low = byRows ? base + start * k : base;
    const high = byRows ? base + end * k - 1 : base + size * k - 1;
    const window = windowOf(low, high, count, dtype, alignment);
    const at = (byRows ? low : base + start) - window.firstElement;
    return { operand: read(input, window), at, bytes: window.byteLength };
  };
  const sourceA = (b: number, start: number, end: number) =>
    source(0, dtypeA, batch * m * k, b * m * k, m, !transposeA, start, end);
  const sourceB = (b: number, start: number, end: number) =>
    source(1, dtypeB, (sharedB ? 1 : batch) * n * k, b * n * k, n, transposeB, start, end);

  const rowWindows = splitRange(
    m,
    QUANTUM,
    (start, end) =>
      byteLength((end - start) * pitch, 'f16') <= limit &&
      sourceA(batch - 1, start, end).bytes <= limit &&
      outWindow(batch - 1, start, end).byteLength + alignment <= limit &&
      largestWindow(fused, (batch - 1) * m * n + start * n, (batch - 1) * m * n + end * n) <= limit,
    tooLarge,
  );
  const columnWindows = splitRange(
    n,
    QUANTUM,
    (start, end) =>
      byteLength((end - start) * pitch, 'f16') <= limit &&
      sourceB(sharedB ? 0 : batch - 1, start, end).bytes <= limit,
    tooLarge,
  );

  if (halved && rowWindows.length + columnWindows.length > 2)
    return lowerHalf({ ...spec, halfRows: undefined }, caps, kernel, splits);

  const dispatches: Dispatch[] = [];
  for (let b = 0; b < batch; b++) {
    for (const [columnStart, columnEnd] of columnWindows) {
      const batchB = sharedB ? 0 : b;
      const fromB = sourceB(batchB, columnStart, columnEnd);
      const stagedOnce = sharedB && b > 0 && columnWindows.length === 1;
      // Staged after A, which is then no longer needed as it was: B may take its place.
      let stageB = stagedOnce
        ? []
        : [
            stageHalf(
              {
                source: fromB.operand,
                dtype: dtypeB,
                at: fromB.at,
                rows: columnEnd - columnStart,
                k,
                pitch,
                strideRow: transposeB ? k : 1,
                strideStep: transposeB ? 1 : n,
                half: scratch(HALF_B, 'read_write'),
                scales: scratch(SCALE_B, 'read_write'),
                ...(spec.scaledB && {
                  scaling: { ...spec.scaledB, firstRow: columnStart, operands: scaleOperands(spec) },
                }),
              },
              caps,
            ),
          ];
      for (const [rowStart, rowEnd] of rowWindows) {
        const fromA = sourceA(b, rowStart, rowEnd);
        const out = outWindow(b, rowStart, rowEnd);
        const outStart = b * m * n + rowStart * n;
        const { windows, uniforms } = fused.windows(outStart, outStart + (rowEnd - rowStart) * n);
        const [rows, columns] = [rowEnd - rowStart, columnEnd - columnStart];
        const tiles = [Math.ceil(rows / kernel.rows), Math.ceil(columns / kernel.columns)] as const;
        dispatches.push(
          stageHalf(
            {
              source: fromA.operand,
              dtype: dtypeA,
              at: fromA.at,
              rows,
              k,
              pitch,
              strideRow: transposeA ? 1 : k,
              strideStep: transposeA ? m : 1,
              top: HALF_TOP,
              half: scratch(HALF_A, 'read_write'),
              scales: scratch(SCALE_A, 'read_write'),
            },
            caps,
          ),
          ...stageB,
          ...(halved ? [boundRows(boundOf(spec, bound, halfRows!.top), caps)] : []),
          {
            label: `matmul/${kernel.label}`,
            wgsl: code,
            operands: [
              scratch(HALF_A, 'read'),
              scratch(SCALE_A, 'read'),
              scratch(HALF_B, 'read'),
              scratch(SCALE_B, 'read'),
              ...windows.map((w, i) => read(inputCount(spec) + i, w)),
              inParts ? scratch(PARTS, 'read_write') : write(0, out),
              ...(halved ? [rowScalesOperand] : []),
            ],
            uniforms: [
              ...[rowStart, rows, columnStart, columns],
              ...[m, n, pitch, b, -out.firstElement >>> 0, part, parts, batch],
              ...uniforms,
            ],
            workgroups: foldGrid([tiles[1], tiles[0], parts], caps),
            work: {
              flops: 2 * rows * columns * k,
              bytes:
                loadedBytes({
                  ...{ tiles, band: kernel.band },
                  bytes: [byteLength(rows * pitch, 'f16'), byteLength(columns * pitch, 'f16')],
                }) + resultBytes(parts * rows * columns, dtypeInner, windows),
            },
          },
        );
        stageB = [];
      }
    }
  }
  const longest = (windows: [number, number][]) => Math.max(...windows.map(([start, end]) => end - start));
  const [mostRows, mostColumns] = [longest(rowWindows), longest(columnWindows)];
  if (inParts) dispatches.push(addParts(spec, parts, PARTS, caps));
  return {
    dispatches,
    halved,
    scratch: [
      byteLength(mostRows * pitch, 'f16'),
      byteLength(mostRows, 'f32'),
      byteLength(mostColumns * pitch, 'f16'),
      byteLength(mostColumns, 'f32'),
      ...(inParts ? [byteLength(parts * batch * m * n, 'f32')] : []),
    ],
  };
}
