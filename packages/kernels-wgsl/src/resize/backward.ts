/**
 * The adjoint of resizing, which takes gradients back: every input element gathers from the output elements
 * that sample it,
 *
 *     dx[b, t, h, w, c] = sum over t', h', w' of weight_t * weight_h * weight_w * g[b, t', h', w', c]
 *
 * Operands: g [batch, T', H', W', C] f32; the adjoint samples of all axes (`table.ts`), vec2<u32>; dx
 * [batch, T, H, W, C] f32.
 * Tile: 64 invocations of one step: four channels where C is a multiple of 4, else one. Sums run over t', then
 * h', then w', in order.
 * Host: frames longer in total than a binding are cut into runs of input frames.
 */
import type { DeviceCaps } from '../caps.ts';
import { TooLargeError } from '../errors.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type Lowering, read, write } from '../kernel.ts';
import { elementCount, splitRange, type Window, windowOf } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import { declare, type Lanes } from '../storage.ts';
import type { ResizeShape } from './shapes.ts';
import { adjointSamples, type ResizeMode } from './table.ts';

/** The adjoint of a resizing. */
export interface ResizeBackwardSpec extends ResizeShape {
  readonly mode: ResizeMode;
}

const WORKGROUP = 64;

const bound = ({ byteOffset, byteLength }: Window) => ({ byteOffset, byteLength });

/** The gradient [batch, ...from, channels], f32: inputs are the gradient of the result and the adjoint samples. */
export function lowerResizeBackward(
  { batch, from, to, channels, mode }: ResizeBackwardSpec,
  caps: DeviceCaps,
): Lowering {
  const lanes: Lanes = channels % 4 === 0 ? 4 : 1;
  const type = lanes === 4 ? 'vec4<f32>' : 'f32';
  const code = `struct Params {
  start: u32, end: u32, steps: u32,
  fromT: u32, fromH: u32, fromW: u32, toT: u32, toH: u32, toW: u32,
  atG: u32, atDx: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'g', 'f32', 'read', caps, lanes)}
@group(0) @binding(2) var<storage, read> samples: array<vec2<u32>>;
${declare(3, 'dx', 'f32', 'read_write', caps, lanes)}

@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let i = params.start + ${WORKGROUP_INDEX} * ${WORKGROUP}u + lane;
  if (i >= params.end) { return; }
  let column = i / params.steps;
  let row = column / params.fromW;
  let frame = row / params.fromH;
  let t = samples[frame % params.fromT];
  let h = samples[params.fromT + row % params.fromH];
  let w = samples[params.fromT + params.fromH + column % params.fromW];
  let clip = frame / params.fromT * params.toT;
  var total = ${type}(0);
  for (var a = t.x; a < t.y; a++) {
    let frameAt = (clip + samples[a].x) * params.toH;
    var inFrame = ${type}(0);
    for (var b = h.x; b < h.y; b++) {
      let rowAt = (frameAt + samples[b].x) * params.toW;
      var inRow = ${type}(0);
      for (var c = w.x; c < w.y; c++) {
        let at = params.atG + (rowAt + samples[c].x) * params.steps + i % params.steps;
        inRow += bitcast<f32>(samples[c].y) * g[at];
      }
      inFrame += bitcast<f32>(samples[b].y) * inRow;
    }
    total += bitcast<f32>(samples[a].y) * inFrame;
  }
  dx[params.atDx + i] = total;
}
`;
  const alignment = offsetAlignment(caps);
  const limit = caps.limits.maxStorageBufferBindingSize;
  const fromFrame = from[1] * from[2] * channels;
  const toFrame = to[1] * to[2] * channels;
  const { first, entries } = adjointSamples(from[0], to[0], mode);
  /** First and last output frame that input frames [start, end) are sampled by; more where there are none. */
  const readers = (start: number, end: number): [number, number] => {
    const [clip, last] = [Math.floor(start / from[0]), Math.floor((end - 1) / from[0])];
    const firstAt = first[start % from[0]];
    const endAt = first[((end - 1) % from[0]) + 1];
    const [low, high] =
      clip === last
        ? [entries[firstAt], entries[endAt - 1]].map((entry) => (firstAt < endAt ? entry.at : 0))
        : [entries[firstAt]?.at ?? 0, endAt > 0 ? entries[endAt - 1].at : 0];
    return [clip * to[0] + low, last * to[0] + high];
  };
  const gWindow = (start: number, end: number) => {
    const [low, high] = readers(start, end);
    return windowOf(
      low * toFrame,
      (high + 1) * toFrame - 1,
      batch * elementCount(to) * channels,
      'f32',
      alignment,
    );
  };
  const dxWindow = (start: number, end: number) =>
    windowOf(start * fromFrame, end * fromFrame - 1, batch * from[0] * fromFrame, 'f32', alignment);
  const runs = splitRange(
    batch * from[0],
    1,
    (start, end) => Math.max(gWindow(start, end).byteLength, dxWindow(start, end).byteLength) <= limit,
    () =>
      new TooLargeError(`resize: the frames that sample one frame do not fit in a binding of ${limit} bytes`),
  );
  return {
    scratch: [],
    dispatches: runs.map(([start, end]) => {
      const g = gWindow(start, end);
      const dx = dxWindow(start, end);
      return {
        label: `resize/backward ${mode} x${lanes}`,
        wgsl: code,
        operands: [read(0, bound(g)), read(1), write(0, bound(dx))],
        uniforms: [
          (start * fromFrame) / lanes,
          (end * fromFrame) / lanes,
          channels / lanes,
          ...from,
          ...to,
          (-g.firstElement / lanes) >>> 0,
          (-dx.firstElement / lanes) >>> 0,
        ],
        workgroups: lineGrid(Math.ceil(((end - start) * fromFrame) / lanes / WORKGROUP), caps),
      };
    }),
  };
}
