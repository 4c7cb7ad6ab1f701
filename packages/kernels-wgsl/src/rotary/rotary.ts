/**
 * Rotary position embedding of interleaved pairs, tables with one value an element:
 *
 *     out[2i]     = x[2i]     * cos[2i]     - x[2i + 1] * sin[2i]
 *     out[2i + 1] = x[2i + 1] * cos[2i + 1] + x[2i]     * sin[2i + 1]
 *
 * Operands: x [batch, rows, heads, D], D even; cos and sin [rows - firstRow, D]; then the epilogue's; out like x.
 * Rows below `firstRow` (text tokens) are copied; row firstRow + j takes row j of the tables.
 * With `transposed` it is the adjoint map, which takes gradients back:
 *
 *     out[2i]     = x[2i]     * cos[2i]     + x[2i + 1] * sin[2i + 1]
 *     out[2i + 1] = x[2i + 1] * cos[2i + 1] - x[2i]     * sin[2i]
 *
 * Tile: lines of steps (`grid.ts`), a step of four elements where D is a multiple of 4, else of one.
 * Host: x longer than a binding is cut into runs of whole heads.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { bytesOf, type DType } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { eachInLine, lineGrid, lineTile, WORKGROUP_BUILTINS } from '../grid.ts';
import { type Lowering, read, write } from '../kernel.ts';
import { splitRange, windowOf } from '../pointwise/access.ts';
import {
  emitFusion,
  type Fusion,
  identity,
  largestWindow,
  offsetAlignment,
  takesFourLanes,
} from '../pointwise/fusion.ts';
import { declare, enables, type Lanes, load, store } from '../storage.ts';
import type { RotaryShape } from './shapes.ts';

/** A rotation by position of tokens of heads. */
export interface Rotation extends Omit<RotaryShape, 'batch'> {
  /** Dtype of both tables. */
  readonly tableDtype: DType;
}

/** Bytes of both tables. */
export const rotaryTableBytes = ({ rows, firstRow, headDim, tableDtype }: Rotation): number =>
  2 * (rows - firstRow) * headDim * bytesOf(tableDtype);

/** A rotation by position of x [batch, rows, heads, headDim]. */
export interface RotarySpec extends RotaryShape, Rotation {
  /** Dtype of x. */
  readonly dtype: DType;
  /** The adjoint map. */
  readonly transposed: boolean;
  readonly epilogue?: { readonly fusion: Fusion; readonly dtype: DType };
}

/** Output like x: inputs x, the tables of cosines and sines [rows - firstRow, headDim], then the epilogue's. */
export function lowerRotary(spec: RotarySpec, caps: DeviceCaps): Lowering {
  const { batch, rows, heads, headDim, firstRow, dtype, tableDtype, transposed } = spec;
  const count = batch * rows * heads * headDim;
  const { fusion, dtype: outDtype } = spec.epilogue ?? { fusion: identity([count]), dtype: 'f32' };
  const lanes: Lanes = headDim % 4 === 0 && takesFourLanes(fusion) ? 4 : 1;
  const type = lanes === 4 ? 'vec4<f32>' : 'f32';
  const fused = emitFusion(fusion, 4, outDtype, lanes, caps);
  const dtypes = [dtype, tableDtype, outDtype, ...fusion.operands.map((operand) => operand.dtype)];
  const at = (name: string, table: DType, i: string) => load(name, table, i, caps, lanes);

  const tile = lineTile(caps);
  const code = wgsl`${enables(dtypes, caps)}
struct Params {
  start: u32, end: u32, headSteps: u32, rowSteps: u32, rows: u32, firstRow: u32, atX: u32, atOut: u32, ${fused.fields}
}
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'x', dtype, 'read', caps, lanes)}
${declare(2, 'cosines', tableDtype, 'read', caps, lanes)}
${declare(3, 'sines', tableDtype, 'read', caps, lanes)}
${fused.declarations}
${declare(4 + fusion.operands.length, 'out', outDtype, 'read_write', caps, lanes)}
${fused.code}
fn loadX(at: u32) -> ${type} { return ${at('x', dtype, 'at')}; }

@compute @workgroup_size(${tile.workgroup})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  ${eachInLine(
    tile,
    wgsl`  let at = params.atX + i;
  var y = loadX(at);
  let row = (i / params.rowSteps) % params.rows;
  if (row >= params.firstRow) {
    let t = (row - params.firstRow) * params.headSteps + i % params.headSteps;
#if ${lanes === 4}
#if ${transposed}
    let sines4 = y * ${at('sines', tableDtype, 't')};
    y = y * ${at('cosines', tableDtype, 't')} + vec4<f32>(sines4.y, -sines4.x, sines4.w, -sines4.z);
#else
    y = y * ${at('cosines', tableDtype, 't')} + vec4<f32>(-y.y, y.x, -y.w, y.z) * ${at('sines', tableDtype, 't')};
#endif
#else
    let pair = 1u - 2u * (i & 1u);
    let turned = select(-1.0, 1.0, (i & 1u) == ${transposed ? 0 : 1}u) * loadX(at + pair);
    let sine = ${transposed ? 't + pair' : 't'};
    y = y * ${at('cosines', tableDtype, 't')} + turned * ${at('sines', tableDtype, 'sine')};
#endif
  }
  let o = params.atOut + i;
  ${store('out', outDtype, 'o', `fused(i * ${lanes}u, y)`, caps, lanes)}`,
  )}
}
`;

  const limit = caps.limits.maxStorageBufferBindingSize;
  const window = (start: number, end: number, type: DType) =>
    windowOf(start, end - 1, count, type, offsetAlignment(caps));
  const sections = splitRange(
    count,
    headDim,
    (start, end) =>
      window(start, end, dtype).byteLength <= limit &&
      window(start, end, outDtype).byteLength <= limit &&
      largestWindow(fused, start, end) <= limit,
    () => new TooLargeError(`rotary: heads of ${headDim} do not fit in a binding of ${limit} bytes`),
  );
  return {
    scratch: [],
    dispatches: sections.map(([start, end]) => {
      const x = window(start, end, dtype);
      const out = window(start, end, outDtype);
      const { windows, uniforms } = fused.windows(start, end);
      return {
        label: `rotary/${transposed ? 'transposed ' : ''}x${lanes}`,
        wgsl: code,
        operands: [
          read(0, { byteOffset: x.byteOffset, byteLength: x.byteLength }),
          read(1),
          read(2),
          ...windows.map(({ byteOffset, byteLength }, k) => read(3 + k, { byteOffset, byteLength })),
          write(0, { byteOffset: out.byteOffset, byteLength: out.byteLength }),
        ],
        uniforms: [
          start / lanes,
          end / lanes,
          headDim / lanes,
          (heads * headDim) / lanes,
          rows,
          firstRow,
          (-x.firstElement / lanes) >>> 0,
          (-out.firstElement / lanes) >>> 0,
          ...uniforms,
        ],
        workgroups: lineGrid(Math.ceil((end - start) / lanes / tile.block), caps),
      };
    }),
  };
}
