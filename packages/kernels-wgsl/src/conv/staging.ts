/**
 * Operands of an f16 convolution without overflow. All of x (and its cache) is multiplied by one power of two
 * and every output channel of the weight by another, so that the largest magnitude lands in [2^14, 2^15);
 * f16 then keeps 11 bits down to 2^-28 of it. The powers are exact, and undone on the f32 sum.
 *
 * Dispatches: largest |x| of each of several sections -> scratch 0; their maximum and the scale of x ->
 * `scales[0]`, its inverse `scales[1]` (scratch 1); weight in f16 -> scratch 2, with the inverse scales of its
 * channels in `scales[2 + n]`. Maxima are taken of the bits of |value|, which order as the values do. Matrix units
 * want x itself in f16 too (`stageX`); others round it as they read it.
 */
import type { DeviceCaps } from '../caps.ts';
import { byteLength, bytesOf } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type Dispatch, read, scratch } from '../kernel.ts';
import { splitRange, windowOf } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import { declare, load } from '../storage.ts';
import { type ConvSpec, convOutputShape } from './geometry.ts';

const PARTIAL = 0;
export const SCALES = 1;
export const STAGED_WEIGHT = 2;

const WORKGROUP = 64;
/** Elements of x whose maximum one workgroup takes. */
const SECTION = 1 << 16;
const MAX_PIECES = 1024;

/**
 * The exponent field of the scale for a maximum of exponent field e: e + s = 127 + 127 + 14. Kept to 253 so
 * that its inverse, of field 254 - s, is normal too.
 */
const SCALE_OF = `fn scaleField(bits: u32) -> u32 { return min(268u - (bits >> 23u), 253u); }
fn power(field: u32) -> f32 { return bitcast<f32>(field << 23u); }
`;

const reduction = (lanes: number, stride: number) => `
  for (var step = ${lanes / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (row < step) { maxima[lane] = max(maxima[lane], maxima[lane + step * ${stride}u]); }
  }
  workgroupBarrier();`;

const maximumCode = (caps: DeviceCaps) => `
struct Params { start: u32, end: u32, at: u32, perGroup: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'x', 'f32', 'read', caps)}
${declare(2, 'partial', 'u32', 'read_write', caps)}
var<workgroup> maxima: array<u32, ${WORKGROUP}>;
@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let row = lane;
  let begin = params.start + ${WORKGROUP_INDEX} * params.perGroup;
  if (begin >= params.end) { return; }
  let end = min(params.end, begin + params.perGroup);
  var largest = 0u;
  for (var i = begin + lane; i < end; i += ${WORKGROUP}u) {
    largest = max(largest, bitcast<u32>(x[params.at + i]) & 0x7fffffffu);
  }
  maxima[lane] = largest;
  ${reduction(WORKGROUP, 1)}
  if (lane == 0u) { partial[params.first + ${WORKGROUP_INDEX}] = maxima[0]; }
}
`;

const scaleCode = (caps: DeviceCaps) => `
struct Params { count: u32 }
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'partial', 'u32', 'read', caps)}
${declare(2, 'scales', 'f32', 'read_write', caps)}
var<workgroup> maxima: array<u32, ${WORKGROUP}>;
${SCALE_OF}
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(local_invocation_index) lane: u32) {
  let row = lane;
  var largest = 0u;
  for (var i = lane; i < params.count; i += ${WORKGROUP}u) { largest = max(largest, partial[i]); }
  maxima[lane] = largest;
  ${reduction(WORKGROUP, 1)}
  if (lane == 0u) {
    let field = scaleField(maxima[0]);
    scales[0] = power(field);
    scales[1] = power(254u - field);
  }
}
`;

/** 16 channels a workgroup, 16 rows at a time. */
const weightCode = (spec: ConvSpec, caps: DeviceCaps) => `
enable f16;
struct Params { rows: u32, channels: u32 }
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'weight', spec.weightDtype, 'read', caps)}
${declare(2, 'scales', 'f32', 'read_write', caps)}
${declare(3, 'staged', 'f16', 'read_write', caps)}
var<workgroup> maxima: array<u32, 256>;
${SCALE_OF}
@compute @workgroup_size(16, 16)
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_id) id: vec3<u32>) {
  let row = id.y;
  let lane = row * 16u + id.x;
  let n = ${WORKGROUP_INDEX} * 16u + id.x;
  var largest = 0u;
  for (var k = row; k < params.rows && n < params.channels; k += 16u) {
    let i = k * params.channels + n;
    largest = max(largest, bitcast<u32>(${load('weight', spec.weightDtype, 'i', caps)}) & 0x7fffffffu);
  }
  maxima[lane] = largest;
  ${reduction(16, 16)}
  if (n >= params.channels) { return; }
  let field = scaleField(maxima[id.x]);
  let scale = power(field);
  if (row == 0u) { scales[2u + n] = power(254u - field); }
  for (var k = row; k < params.rows; k += 16u) {
    let i = k * params.channels + n;
    staged[i] = f16(${load('weight', spec.weightDtype, 'i', caps)} * scale);
  }
}
`;

/** Runs of [0, count) elements of f32 that fit in a binding each; cuts are multiples of `quantum`. */
function runs(count: number, quantum: number, caps: DeviceCaps) {
  const alignment = offsetAlignment(caps);
  const window = (start: number, end: number) => windowOf(start, end - 1, count, 'f32', alignment);
  const limit = caps.limits.maxStorageBufferBindingSize;
  const fits = (start: number, end: number) => window(start, end).byteLength <= limit;
  return splitRange(count, quantum, fits, () => new TooLargeError('conv: no window fits')).map(
    ([start, end]) => {
      const { firstElement, ...bound } = window(start, end);
      return { start, end, bound, firstElement };
    },
  );
}

/** Inputs that hold frames: x, and the cache if there is one. */
const frameInputs = ({ batch, frames, height, width, inChannels, kernel, cached }: ConvSpec) => {
  const frame = height * width * inChannels;
  const x = { input: 0, count: batch * frames * frame };
  return cached ? [x, { input: 2, count: batch * (kernel[0] - 1) * frame }] : [x];
};

/** The dispatches that find the scale of x, and the size of scratch 0. */
export function stageScale(spec: ConvSpec, caps: DeviceCaps): { dispatches: Dispatch[]; partial: number } {
  let partials = 0;
  const dispatches: Dispatch[] = [];
  for (const { input, count } of frameInputs(spec)) {
    for (const { start, end, bound, firstElement } of runs(count, 1, caps)) {
      const perGroup = Math.max(SECTION, Math.ceil((end - start) / MAX_PIECES));
      const groups = Math.ceil((end - start) / perGroup);
      dispatches.push({
        label: 'conv/largest',
        wgsl: maximumCode(caps),
        operands: [read(input, bound), scratch(PARTIAL, 'read_write')],
        uniforms: [start, end, -firstElement >>> 0, perGroup, partials],
        workgroups: lineGrid(groups, caps),
        work: { flops: 2 * (end - start), bytes: 4 * (end - start) },
      });
      partials += groups;
    }
  }
  dispatches.push({
    label: 'conv/scale',
    wgsl: scaleCode(caps),
    operands: [scratch(PARTIAL, 'read'), scratch(SCALES, 'read_write')],
    uniforms: [partials],
    workgroups: [1, 1, 1],
    work: { flops: partials, bytes: 4 * partials },
  });
  return { dispatches, partial: byteLength(partials, 'u32') };
}

/** The dispatches that come before an f16 convolution and the sizes of scratch 0 to 2. */
export function stageHalves(spec: ConvSpec, caps: DeviceCaps): { dispatches: Dispatch[]; scratch: number[] } {
  const { inChannels, kernel } = spec;
  const outChannels = convOutputShape(spec)[4];
  const rows = kernel[0] * kernel[1] * kernel[2] * inChannels;
  const { dispatches, partial } = stageScale(spec, caps);
  dispatches.push({
    label: 'conv/stage weight',
    wgsl: weightCode(spec, caps),
    operands: [read(1), scratch(SCALES, 'read_write'), scratch(STAGED_WEIGHT, 'read_write')],
    uniforms: [rows, outChannels],
    workgroups: lineGrid(Math.ceil(outChannels / 16), caps),
    work: {
      flops: 3 * rows * outChannels,
      bytes: rows * outChannels * (bytesOf(spec.weightDtype) + bytesOf('f16')),
    },
  });
  return {
    dispatches,
    scratch: [partial, byteLength(2 + outChannels, 'f32'), byteLength(rows * outChannels, 'f16')],
  };
}

/** 8 elements an invocation. */
const xCode = (caps: DeviceCaps) => `
struct Params { words: u32, at: u32 }
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'x', 'f32', 'read', caps, 4)}
${declare(2, 'scales', 'f32', 'read', caps)}
@group(0) @binding(3) var<storage, read_write> staged: array<vec4<u32>>;
@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let i = ${WORKGROUP_INDEX} * ${WORKGROUP}u + lane;
  if (i >= params.words) { return; }
  let low = x[params.at + 2u * i] * scales[0];
  let high = x[params.at + 2u * i + 1u] * scales[0];
  staged[i] = vec4<u32>(
    pack2x16float(low.xy), pack2x16float(low.zw), pack2x16float(high.xy), pack2x16float(high.zw));
}
`;

/**
 * Scaled halves of x -> scratch `first`, and of the cache -> the next, and the sizes of both; after `stageScale`.
 * Channels must be a multiple of 8.
 */
export function stageX(
  spec: ConvSpec,
  first: number,
  caps: DeviceCaps,
): { dispatches: Dispatch[]; scratch: number[] } {
  const inputs = frameInputs(spec);
  // Windows of halves start at multiples of the alignment too.
  const quantum = offsetAlignment(caps);
  const dispatches = inputs.flatMap(({ input, count }, k) =>
    runs(count, quantum, caps).map(
      ({ start, end, bound, firstElement }): Dispatch => ({
        label: 'conv/stage x',
        wgsl: xCode(caps),
        operands: [
          read(input, bound),
          scratch(SCALES, 'read'),
          { ...scratch(first + k, 'read_write'), byteOffset: 2 * start, byteLength: 2 * (end - start) },
        ],
        uniforms: [(end - start) / 8, (start - firstElement) / 4],
        workgroups: lineGrid(Math.ceil((end - start) / 8 / WORKGROUP), caps),
        work: { flops: end - start, bytes: 6 * (end - start) },
      }),
    ),
  );
  return { dispatches, scratch: inputs.map(({ count }) => byteLength(count, 'f16')) };
}
