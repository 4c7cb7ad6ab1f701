/**
 * Staging for f16 products: rows of a matrix become f16 rows with a power-of-two scale each,
 *
 *     half[r, k] = x[r, k] · 2^-e[r],   scale[r] = 2^e[r],   max over k of |half[r, k]| in [0.5, 1) · 2^top
 *
 * so that nothing overflows whatever the range of x, and the scale is undone exactly after accumulation.
 * Element (r, k) of x is at r·strideRow + k·strideStep, which covers every transpose.
 *
 * Rows are `pitch` long, zeros after K, so that products need not guard their last steps.
 *
 * Tile: one workgroup of 64 a row; a fixed-order tree finds the row's largest magnitude. NaN and infinity in
 * x stay what they are.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { bytesOf, type DType } from '../dtype.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import type { Dispatch, Operand } from '../kernel.ts';
import { declare, enables, load } from '../storage.ts';
import { type Scaling, scalingCode } from './spec.ts';

interface StageSpec {
  readonly source: Operand;
  readonly dtype: DType;
  /** Element 0 of the matrix in the bound window (wraps like u32). */
  readonly at: number;
  readonly rows: number;
  readonly k: number;
  /** Length of a staged row. */
  readonly pitch: number;
  readonly strideRow: number;
  readonly strideStep: number;
  readonly half: Operand;
  /** Of a quantized source, whose rows are B's from `firstRow` on. */
  readonly scaling?: Scaling & { readonly firstRow: number; readonly operands: readonly Operand[] };
  /** 0 where left out. */
  readonly top?: number;
  /** Where f32 scales go. Without it the last 8 of a row's `pitch` are for its exponent e, as an f16 number. */
  readonly scales?: Operand;
}

export function stageHalf(spec: StageSpec, caps: DeviceCaps): Dispatch {
  const { scaling, top = 0 } = spec;
  const apart = spec.scales !== undefined;
  const stored = load('x', spec.dtype, 'e', caps);
  const bytes = spec.rows * (spec.k * bytesOf(spec.dtype) + spec.pitch * bytesOf('f16'));
  const code = wgsl`${enables([spec.dtype, 'f16'], caps)}
struct Params { at: u32, rows: u32, k: u32, pitch: u32, strideRow: u32, strideStep: u32, firstRow: u32, top: u32 }
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'x', spec.dtype, 'read', caps)}
${declare(2, 'half', 'f16', 'read_write', caps)}
#if ${apart}
${declare(3, 'rowScales', 'f32', 'read_write', caps)}
#endif
${scalingCode(scaling, apart ? 4 : 3, caps)}
var<workgroup> largest: array<f32, 64>;

fn element(row: u32, k: u32) -> f32 {
  let e = params.at + row * params.strideRow + k * params.strideStep;
  return ${scaling ? `scaled1(${stored}, params.firstRow + row, k)` : stored};
}

@compute @workgroup_size(64)
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let row = ${WORKGROUP_INDEX};
  let inside = row < params.rows;
  var most = 0.0;
  if (inside) {
    for (var k = lane; k < params.k; k += 64u) { most = max(most, abs(element(row, k))); }
  }
  largest[lane] = most;
  for (var width = 32u; width > 0u; width /= 2u) {
    workgroupBarrier();
    if (lane < width) { largest[lane] = max(largest[lane], largest[lane + width]); }
  }
  workgroupBarrier();
  if (!inside) { return; }
  // The exponent field of the maximum: 2^(field - 126) is the power of two just above it.
  let field = clamp(bitcast<u32>(largest[0]) >> 23u, params.top + 1u, 252u);
  let down = bitcast<f32>((253u + params.top - field) << 23u);
  for (var k = lane; k < params.k; k += 64u) { half[row * params.pitch + k] = f16(element(row, k) * down); }
#if ${apart}
  for (var k = params.k + lane; k < params.pitch; k += 64u) { half[row * params.pitch + k] = 0.0h; }
  if (lane == 0u) { rowScales[row] = bitcast<f32>((field + 1u - params.top) << 23u); }
#else
  for (var k = params.k + lane; k < params.pitch; k += 64u) {
    half[row * params.pitch + k] = f16(select(0.0, f32(field) - 126.0, k == params.pitch - 8u));
  }
#endif
}
`;
  const { k, pitch, strideRow, strideStep } = spec;
  // Below 1, a bound in place of the largest value would leave too few bits.
  const dense = apart && top > 0 && spec.at === 0 && strideStep === 1 && strideRow === k && pitch === k;
  return {
    label: 'matmul/stage-half',
    wgsl: code,
    operands: [spec.source, spec.half, ...(spec.scales ? [spec.scales] : []), ...(scaling?.operands ?? [])],
    uniforms: [
      spec.at,
      spec.rows,
      spec.k,
      spec.pitch,
      spec.strideRow,
      spec.strideStep,
      scaling?.firstRow ?? 0,
      top,
    ],
    workgroups: lineGrid(spec.rows, caps),
    // Its magnitude, whether it is the largest, and its product with the scale.
    work: { flops: 3 * spec.rows * spec.k, bytes },
    ...(dense && { halves: { rows: spec.rows, length: k, top } }),
  };
}
