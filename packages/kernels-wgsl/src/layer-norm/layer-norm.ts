/**
 * Layer normalization over the last dimension C, and its root-mean-square form (`center` false, T5):
 *
 *     mean = sum(x) / C,  rstd = 1 / sqrt(sum((x - mean)^2) / C + eps),  y = (x - mean) * rstd * gamma + beta
 *     rms:                rstd = 1 / sqrt(sum(x^2) / C + eps),           y = x * rstd * gamma
 *
 * Operands: x [rows, C]; gamma [C] and beta [C] where given, in this order; then the epilogue's; out [rows, C].
 * Tile: teams of 1 to 64 invocations a row (`reduce/rows.ts`), four channels a step where C is a multiple of 4.
 * Deviations are taken from the row's first element before they are summed, so that a large common offset
 * costs no precision; the variance is a second pass over deviations from the mean.
 * Host: rows longer in total than a binding are cut into runs of whole rows.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import type { DType } from '../dtype.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { f32Bits, type Lowering, read, write } from '../kernel.ts';
import { splitRange, windowOf } from '../pointwise/access.ts';
import {
  emitFusion,
  type Fusion,
  identity,
  largestWindow,
  offsetAlignment,
  takesFourLanes,
} from '../pointwise/fusion.ts';
import { ROW_WORKGROUP, reduceTeam, rowTile } from '../reduce/rows.ts';
import { declare, enables, type Lanes, load, store } from '../storage.ts';

export interface LayerNormSpec {
  readonly rows: number;
  readonly channels: number;
  readonly eps: number;
  /** Whether the mean is subtracted. */
  readonly center: boolean;
  /** Dtype of x. */
  readonly dtype: DType;
  readonly gamma?: DType;
  readonly beta?: DType;
  readonly epilogue?: { readonly fusion: Fusion; readonly dtype: DType };
}

export function lowerLayerNorm(spec: LayerNormSpec, caps: DeviceCaps): Lowering {
  const { rows, channels, dtype, gamma, beta, center } = spec;
  const { fusion, dtype: outDtype } = spec.epilogue ?? { fusion: identity([rows * channels]), dtype: 'f32' };
  const lanes: Lanes = channels % 4 === 0 && takesFourLanes(fusion) ? 4 : 1;
  const steps = channels / lanes;
  const tile = rowTile(steps, caps);
  const type = lanes === 4 ? 'vec4<f32>' : 'f32';
  const sum = (value: string) => (lanes === 4 ? `dot(${value}, vec4<f32>(1.0))` : value);

  const affine = [gamma, beta].filter((x) => x !== undefined);
  const gammaBinding = 2;
  const betaBinding = gamma ? 3 : 2;
  const fused = emitFusion(fusion, 2 + affine.length, outDtype, lanes, caps);
  const outBinding = 2 + affine.length + fusion.operands.length;
  const dtypes = [dtype, outDtype, ...affine, ...fusion.operands.map((operand) => operand.dtype)];

  const code = wgsl`${enables(dtypes, caps)}
struct Params { start: u32, end: u32, steps: u32, channels: f32, eps: f32, atX: u32, atOut: u32, ${fused.fields} }
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'x', dtype, 'read', caps, lanes)}
#if ${gamma}
${gamma && declare(gammaBinding, 'gamma', gamma, 'read', caps, lanes)}
#endif
#if ${beta}
${beta && declare(betaBinding, 'beta', beta, 'read', caps, lanes)}
#endif
${fused.declarations}
${declare(outBinding, 'out', outDtype, 'read_write', caps, lanes)}
${fused.code}
${reduceTeam(tile, (a, b) => `${a} + ${b}`)}
fn loadX(at: u32) -> ${type} { return ${load('x', dtype, 'at', caps, lanes)}; }

@compute @workgroup_size(${ROW_WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let row = params.start + ${WORKGROUP_INDEX} * ${tile.rows}u + lane / ${tile.team}u;
  let live = row < params.end;
  let first = select(params.start, row, live) * params.steps;
  let end = select(0u, params.steps, live);
  let place = lane % ${tile.team}u;
  let at = params.atX + first;

#if ${center}
  let origin = ${lanes === 4 ? 'vec4<f32>(loadX(at).x)' : 'loadX(at)'};
  var total = ${type}(0);
  for (var s = place; s < end; s += ${tile.team}u) { total += loadX(at + s) - origin; }
  let shift = ${type}(reduceTeam(lane, ${sum('total')}) / params.channels);
  var squares = ${type}(0);
  for (var s = place; s < end; s += ${tile.team}u) {
    let deviation = (loadX(at + s) - origin) - shift;
    squares += deviation * deviation;
  }
#else
  var squares = ${type}(0);
  for (var s = place; s < end; s += ${tile.team}u) {
    let value = loadX(at + s);
    squares += value * value;
  }
#endif
  let rstd = 1.0 / sqrt(reduceTeam(lane, ${sum('squares')}) / params.channels + params.eps);

  for (var s = place; s < end; s += ${tile.team}u) {
    var y = ${center ? '((loadX(at + s) - origin) - shift)' : 'loadX(at + s)'} * rstd;
#if ${gamma}
    y *= ${gamma && load('gamma', gamma, 's', caps, lanes)};
#endif
#if ${beta}
    y += ${beta && load('beta', beta, 's', caps, lanes)};
#endif
    let o = params.atOut + first + s;
    ${store('out', outDtype, 'o', `fused((first + s) * ${lanes}u, y)`, caps, lanes)}
  }
}
`;

  const count = rows * channels;
  const alignment = offsetAlignment(caps);
  const limit = caps.limits.maxStorageBufferBindingSize;
  const window = (start: number, end: number, type: DType) =>
    windowOf(start * channels, end * channels - 1, count, type, alignment);
  const pieces = splitRange(
    rows,
    1,
    (start, end) =>
      window(start, end, dtype).byteLength <= limit &&
      window(start, end, outDtype).byteLength <= limit &&
      largestWindow(fused, start * channels, end * channels) <= limit,
    () => new Error(`layerNorm: a row of ${channels} does not fit in a binding of ${limit} bytes`),
  );
  return {
    scratch: [],
    dispatches: pieces.map(([start, end]) => {
      const x = window(start, end, dtype);
      const out = window(start, end, outDtype);
      const { windows, uniforms } = fused.windows(start * channels, end * channels);
      return {
        label: `${center ? 'layerNorm' : 'rmsNorm'}/team ${tile.team} x${lanes}`,
        wgsl: code,
        operands: [
          read(0, { byteOffset: x.byteOffset, byteLength: x.byteLength }),
          ...affine.map((_, k) => read(1 + k)),
          ...windows.map(({ byteOffset, byteLength }, k) =>
            read(1 + affine.length + k, { byteOffset, byteLength }),
          ),
          write(0, { byteOffset: out.byteOffset, byteLength: out.byteLength }),
        ],
        uniforms: [
          start,
          end,
          steps,
          f32Bits(channels),
          f32Bits(spec.eps),
          (-x.firstElement / lanes) >>> 0,
          (-out.firstElement / lanes) >>> 0,
          ...uniforms,
        ],
        workgroups: lineGrid(Math.ceil((end - start) / tile.rows), caps),
      };
    }),
  };
}
