/**
 * Convolution of each channel by itself, of channels-last images:
 *
 *     out[b, y, x, c] = fused(sum over dy, dx of
 *       x[b, y*stride + dy - top, x*stride + dx - left, c] * weight[dy, dx, c])
 *
 * Operands: x [batch, height, width, channels] f32; weight [kh, kw, channels] f32; then the epilogue's; out
 * [batch, height', width', channels]. Outside the image x is zero. Sums run over dy, then dx.
 * Tile: an invocation makes four neighbours of a row, of four channels where channels is a multiple of 4 and the
 * epilogue takes four at a time, else of one. The columns of x that they share are loaded once.
 * Host: images longer in total than a binding are cut into runs of whole images; one image must fit.
 */
import type { DeviceCaps } from '../caps.ts';
import type { DType } from '../dtype.ts';
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
import { declare, enables, type Lanes, store } from '../storage.ts';
import { type DepthwiseShape, depthwiseOutputShape } from './shapes.ts';

/** A convolution of each channel by itself, with what is fused into it. */
export interface DepthwiseSpec extends DepthwiseShape {
  readonly epilogue?: { readonly fusion: Fusion; readonly dtype: DType };
}

/** Outputs of a row that one invocation makes. */
const PIXELS = 4;

/** Output as `depthwiseOutputShape`: inputs x and weight [kh, kw, channels], then the epilogue's. */
export function lowerDepthwise(spec: DepthwiseSpec, caps: DeviceCaps): Lowering {
  const { batch, height, width, channels, kernel, stride, padding } = spec;
  const shape = depthwiseOutputShape(spec);
  const [, rows, columns] = shape;
  const { fusion, dtype } = spec.epilogue ?? { fusion: identity(shape), dtype: 'f32' };
  const lanes: Lanes = channels % 4 === 0 && takesFourLanes(fusion) ? 4 : 1;
  const type = lanes === 4 ? 'vec4<f32>' : 'f32';
  const fused = emitFusion(fusion, 3, dtype, lanes, caps);
  const tile = lineTile(caps);
  const [kh, kw] = kernel;
  const taps = (PIXELS - 1) * stride + kw;
  const each = (count: number, line: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join('\n');
  const code = `${enables([dtype, ...fusion.operands.map((operand) => operand.dtype)], caps)}
struct Params {
  start: u32, end: u32, steps: u32, strips: u32, rows: u32, columns: u32,
  height: u32, width: u32, top: u32, left: u32, atX: u32, atOut: u32, ${fused.fields}
}
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'x', 'f32', 'read', caps, lanes)}
${declare(2, 'weight', 'f32', 'read', caps, lanes)}
${fused.declarations}
${declare(3 + fusion.operands.length, 'out', dtype, 'read_write', caps, lanes)}
${fused.code}
fn loadX(row: u32, column: u32, c: u32) -> ${type} {
  // Columns left of the image wrap around to large numbers.
  if (column >= params.width) { return ${type}(0); }
  return x[params.atX + (row * params.width + column) * params.steps + c];
}

@compute @workgroup_size(${tile.workgroup})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  ${eachInLine(
    tile,
    `  let c = i % params.steps;
  let strip = i / params.steps;
  let column = strip % params.strips * ${PIXELS}u;
  let line = strip / params.strips;
  let row = line % params.rows;
  let image = line / params.rows * params.height;
  let left = column * ${stride}u - params.left;
${each(PIXELS, (p) => `  var sum${p} = ${type}(0);`)}
  for (var dy = 0u; dy < ${kh}u; dy++) {
    let y = row * ${stride}u + dy - params.top;
    if (y >= params.height) { continue; }
${each(taps, (t) => `    let x${t} = loadX(image + y, left + ${t}u, c);`)}
${each(kw, (dx) => {
  const sums = each(PIXELS, (p) => `    sum${p} += w${dx} * x${p * stride + dx};`);
  return `    let w${dx} = weight[(dy * ${kw}u + ${dx}u) * params.steps + c];\n${sums}`;
})}
  }
${each(
  PIXELS,
  (p) => `  if (column + ${p}u < params.columns) {
    let o = (line * params.columns + column + ${p}u) * params.steps + c;
    let at = params.atOut + o;
    ${store('out', dtype, 'at', `fused(o * ${lanes}u, sum${p})`, caps, lanes)}
  }`,
)}`,
  )}
}
`;

  const limit = caps.limits.maxStorageBufferBindingSize;
  const alignment = offsetAlignment(caps);
  const inImage = height * width * channels;
  const outImage = rows * columns * channels;
  const xWindow = (start: number, end: number) =>
    windowOf(start * inImage, end * inImage - 1, batch * inImage, 'f32', alignment);
  const outWindow = (start: number, end: number) =>
    windowOf(start * outImage, end * outImage - 1, batch * outImage, dtype, alignment);
  const sections = splitRange(
    batch,
    1,
    (start, end) =>
      xWindow(start, end).byteLength <= limit &&
      outWindow(start, end).byteLength <= limit &&
      largestWindow(fused, start * outImage, end * outImage) <= limit,
    () =>
      new TooLargeError(
        `depthwise: an image of ${height}x${width} does not fit in a binding of ${limit} bytes`,
      ),
  );
  const strips = Math.ceil(columns / PIXELS);
  const steps = channels / lanes;
  const ofImage = rows * strips * steps;
  return {
    scratch: [],
    dispatches: sections.map(([start, end]) => {
      const x = xWindow(start, end);
      const out = outWindow(start, end);
      const { windows, uniforms } = fused.windows(start * outImage, end * outImage);
      return {
        label: `depthwise/${kh}x${kw}/${stride} x${lanes}`,
        wgsl: code,
        operands: [
          read(0, { byteOffset: x.byteOffset, byteLength: x.byteLength }),
          read(1),
          ...windows.map(({ byteOffset, byteLength }, k) => read(2 + k, { byteOffset, byteLength })),
          write(0, { byteOffset: out.byteOffset, byteLength: out.byteLength }),
        ],
        uniforms: [
          ...[start * ofImage, end * ofImage, steps, strips, rows, columns],
          ...[height, width, padding.top, padding.left],
          (-x.firstElement / lanes) >>> 0,
          (-out.firstElement / lanes) >>> 0,
          ...uniforms,
        ],
        workgroups: lineGrid(Math.ceil(((end - start) * ofImage) / tile.block), caps),
      };
    }),
  };
}
