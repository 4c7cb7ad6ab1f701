/**
 * Resizing of video [batch, T, H, W, C] by separable sampling, trilinear or nearest:
 *
 *     out[b, t, h, w, c] = sum over the neighbours (t', h', w') of weight_t * weight_h * weight_w * x[b, t', h', w', c]
 *
 * Operands: x; the samples of all axes (`table.ts`), vec4<u32> [T' + H' + W']; out [batch, T', H', W', C] f32.
 * Tile: lines of steps (`grid.ts`): four channels where C is a multiple of 4, else one. An axis that keeps its
 * size, or is sampled at the nearest element, reads one neighbour.
 * Host: frames longer in total than a binding are cut into runs of output frames.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import type { DType } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { eachInLine, lineGrid, lineTile, WORKGROUP_BUILTINS } from '../grid.ts';
import { type Lowering, read, write } from '../kernel.ts';
import { elementCount, splitRange, windowOf } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import { declare, enables, type Lanes, load } from '../storage.ts';
import type { ResizeShape } from './shapes.ts';
import { axisSamples, type ResizeMode } from './table.ts';

/** A resizing of clips. */
export interface ResizeSpec extends ResizeShape {
  readonly mode: ResizeMode;
  /** Dtype of x. */
  readonly dtype: DType;
}

/** Output [batch, ...to, channels], f32: inputs are x and the samples of all axes. */
export function lowerResize(
  { batch, from, to, channels, mode, dtype }: ResizeSpec,
  caps: DeviceCaps,
): Lowering {
  const lanes: Lanes = channels % 4 === 0 ? 4 : 1;
  const single = from.map((size, axis) => mode === 'nearest' || size === to[axis]);
  const axes = ['t', 'h', 'w'];
  const strides = [
    'params.fromH * params.fromW * params.steps',
    'params.fromW * params.steps',
    'params.steps',
  ];
  const sampled = (axis: number, at: string): string => {
    if (axis === axes.length) return `loadX(${at})`;
    const neighbour = (part: string) => sampled(axis + 1, `${at} + ${axes[axis]}.${part} * ${strides[axis]}`);
    if (single[axis]) return neighbour('x');
    return `(bitcast<f32>(${axes[axis]}.z) * ${neighbour('x')} + bitcast<f32>(${axes[axis]}.w) * ${neighbour('y')})`;
  };

  const tile = lineTile(caps);
  const code = wgsl`${enables([dtype], caps)}
struct Params {
  start: u32, end: u32, steps: u32,
  fromT: u32, fromH: u32, fromW: u32, toT: u32, toH: u32, toW: u32,
  atX: u32, atOut: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'x', dtype, 'read', caps, lanes)}
@group(0) @binding(2) var<storage, read> samples: array<vec4<u32>>;
${declare(3, 'out', 'f32', 'read_write', caps, lanes)}
fn loadX(at: u32) -> ${lanes === 4 ? 'vec4<f32>' : 'f32'} { return ${load('x', dtype, 'at', caps, lanes)}; }

@compute @workgroup_size(${tile.workgroup})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  ${eachInLine(
    tile,
    `  let column = i / params.steps;
  let row = column / params.toW;
  let frame = row / params.toH;
  let t = samples[frame % params.toT];
  let h = samples[params.toT + row % params.toH];
  let w = samples[params.toT + params.toH + column % params.toW];
  let base = params.atX + frame / params.toT * params.fromT * params.fromH * params.fromW * params.steps
    + i % params.steps;
  out[params.atOut + i] = ${sampled(0, 'base')};`,
  )}
}
`;

  const alignment = offsetAlignment(caps);
  const limit = caps.limits.maxStorageBufferBindingSize;
  const fromFrame = from[1] * from[2] * channels;
  const toFrame = to[1] * to[2] * channels;
  const frames = axisSamples(from[0], to[0], mode);
  const inputFrame = (frame: number, part: 'low' | 'high') =>
    Math.floor(frame / to[0]) * from[0] + frames[frame % to[0]][part];
  const inWindow = (start: number, end: number) =>
    windowOf(
      inputFrame(start, 'low') * fromFrame,
      (inputFrame(end - 1, 'high') + 1) * fromFrame - 1,
      batch * elementCount(from) * channels,
      dtype,
      alignment,
    );
  const outWindow = (start: number, end: number) =>
    windowOf(start * toFrame, end * toFrame - 1, batch * to[0] * toFrame, 'f32', alignment);
  const runs = splitRange(
    batch * to[0],
    1,
    (start, end) => inWindow(start, end).byteLength <= limit && outWindow(start, end).byteLength <= limit,
    () =>
      new TooLargeError(`resize: the frames for one output frame do not fit in a binding of ${limit} bytes`),
  );
  return {
    scratch: [],
    dispatches: runs.map(([start, end]) => {
      const x = inWindow(start, end);
      const out = outWindow(start, end);
      return {
        label: `resize/${mode} x${lanes}`,
        wgsl: code,
        operands: [
          read(0, { byteOffset: x.byteOffset, byteLength: x.byteLength }),
          read(1),
          write(0, { byteOffset: out.byteOffset, byteLength: out.byteLength }),
        ],
        uniforms: [
          (start * toFrame) / lanes,
          (end * toFrame) / lanes,
          channels / lanes,
          ...from,
          ...to,
          (-x.firstElement / lanes) >>> 0,
          (-out.firstElement / lanes) >>> 0,
        ],
        workgroups: lineGrid(Math.ceil(((end - start) * toFrame) / lanes / tile.block), caps),
      };
    }),
  };
}
