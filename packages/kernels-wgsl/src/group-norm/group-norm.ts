/**
 * Statistics of group normalization over channels-last data, and the affine map that applies them. With n the
 * elements of one group of channels at all positions of one batch item:
 *
 *     mean = sum(x) / n,  rstd = 1 / sqrt(sum((x - mean)^2) / n + eps)
 *     y = (x - mean) * scale + shift,  scale = rstd * gamma,  shift = beta - rest * scale
 *
 * where `mean` is rounded to f32 and `rest` is what rounding took away. The map is elementwise, so it is left
 * to the reader, where activations and modulations fuse with it; one scale and shift a channel is also the
 * fewest loads it can have.
 *
 * Operands: x [batch, positions, channels]; gamma, beta [channels] where given; out mean, scale, shift, all
 * [batch, channels], and (rest, rstd) [batch, groups, 2], from which gradients are computed.
 * Kernels: `partials` runs Welford's recurrence over about 1,024 elements an invocation, one group of
 * channels at some consecutive positions, on deviations from the first of them: (origin, mean, M2, count).
 * `merge` joins them by Chan's formula, one workgroup a group: every invocation one in so many partials, then a
 * tree. Workgroups are a CPU's vector where a subgroup is one, else 64.
 * Host: x longer than a binding is cut between chunks of positions.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { cpuLanes, type DeviceCaps } from '../caps.ts';
import type { DType } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type Dispatch, f32Bits, type Lowering, read, scratch, write } from '../kernel.ts';
import { splitRange, windowOf } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import { declare, enables, load } from '../storage.ts';

/** Statistics of x [batch, positions, channels], by groups of channels. */
export interface GroupStatisticsSpec {
  readonly batch: number;
  /** Product of the dimensions between batch and channels. */
  readonly positions: number;
  readonly channels: number;
  readonly groups: number;
  readonly eps: number;
  /** Dtype of x. */
  readonly dtype: DType;
  readonly gamma?: DType;
  readonly beta?: DType;
}

const WORKGROUP = 64;
/** Elements that one invocation reduces: enough to amortize its partial, few enough to fill a device. */
const CHUNK = 1024;
/** Bytes of one partial. */
const PARTIAL = 16;

/**
 * Outputs mean, scale, shift [batch, channels] and (rest, rstd) [batch, groups, 2]: inputs x, then gamma and
 * beta where given.
 */
export function lowerGroupStatistics(spec: GroupStatisticsSpec, caps: DeviceCaps): Lowering {
  const chunkRows = Math.max(1, Math.floor((CHUNK * spec.groups) / spec.channels));
  const chunks = Math.ceil(spec.positions / chunkRows);
  return {
    dispatches: [...partials(spec, chunkRows, chunks, caps), merge(spec, chunks, caps)],
    scratch: [spec.batch * chunks * spec.groups * PARTIAL],
  };
}

function partials(
  { batch, positions, channels, groups, dtype }: GroupStatisticsSpec,
  chunkRows: number,
  chunks: number,
  caps: DeviceCaps,
): Dispatch[] {
  const width = channels / groups;
  const workgroup = cpuLanes(caps) || WORKGROUP;
  const lanes = width % 4 === 0 ? 4 : 1;
  const type = lanes === 4 ? 'vec4<f32>' : 'f32';
  const code = wgsl`${enables([dtype], caps)}
struct Params {
  start: u32, end: u32, chunks: u32, chunkRows: u32, positions: u32, groups: u32, steps: u32, rowSteps: u32, atX: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'x', dtype, 'read', caps, lanes)}
@group(0) @binding(2) var<storage, read_write> partials: array<vec4<f32>>;
fn loadX(at: u32) -> ${type} { return ${load('x', dtype, 'at', caps, lanes)}; }

@compute @workgroup_size(${workgroup})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let unit = params.start * params.groups + ${WORKGROUP_INDEX} * ${workgroup}u + lane;
  let chunk = unit / params.groups;
  if (chunk >= params.end) { return; }
  let row = (chunk % params.chunks) * params.chunkRows;
  let rows = min(params.chunkRows, params.positions - row);
  var at = params.atX + (chunk / params.chunks * params.positions + row) * params.rowSteps
    + (unit % params.groups) * params.steps;

  let origin = ${lanes === 4 ? 'loadX(at).x' : 'loadX(at)'};
  var mean = ${type}(0);
  var m2 = ${type}(0);
  var n = 0.0;
  for (var r = 0u; r < rows; r++) {
#if ${width === lanes}
    {
      let s = 0u;
#else
    for (var s = 0u; s < params.steps; s++) {
#endif
      n += 1.0;
      let value = loadX(at + s) - origin;
      let before = value - mean;
      mean += before * (1.0 / n);
      m2 += before * (value - mean);
    }
    at += params.rowSteps;
  }
#if ${lanes === 4}
  let all = dot(mean, vec4<f32>(0.25));
  let apart = mean - all;
  partials[unit] = vec4<f32>(origin, all, dot(m2, vec4<f32>(1.0)) + n * dot(apart, apart), 4.0 * n);
#else
  partials[unit] = vec4<f32>(origin, mean, m2, n);
#endif
}
`;
  const limit = caps.limits.maxStorageBufferBindingSize;
  const firstElement = (chunk: number) =>
    (Math.floor(chunk / chunks) * positions + Math.min(positions, (chunk % chunks) * chunkRows)) * channels;
  const window = (start: number, end: number) =>
    windowOf(
      firstElement(start),
      firstElement(end) - 1,
      batch * positions * channels,
      dtype,
      offsetAlignment(caps),
    );
  const sections = splitRange(
    batch * chunks,
    1,
    (start, end) => window(start, end).byteLength <= limit,
    () =>
      new TooLargeError(
        `groupNorm: ${chunkRows} positions of ${channels} channels do not fit in a binding of ${limit} bytes`,
      ),
  );
  return sections.map(([start, end]) => {
    const { byteOffset, byteLength, firstElement: first } = window(start, end);
    return {
      label: `groupNorm/partials x${lanes}`,
      wgsl: code,
      operands: [read(0, { byteOffset, byteLength }), scratch(0, 'read_write')],
      uniforms: [
        start,
        end,
        chunks,
        chunkRows,
        positions,
        groups,
        width / lanes,
        channels / lanes,
        (-first / lanes) >>> 0,
      ],
      workgroups: lineGrid(Math.ceil(((end - start) * groups) / workgroup), caps),
    };
  });
}

function merge(spec: GroupStatisticsSpec, chunks: number, caps: DeviceCaps): Dispatch {
  const { batch, channels, groups, gamma, beta, eps } = spec;
  const affine = [gamma, beta].filter((x) => x !== undefined);
  const betaBinding = gamma ? 3 : 2;
  const workgroup = cpuLanes(caps) || WORKGROUP;
  const code = wgsl`${enables(affine, caps)}
struct Params { units: u32, chunks: u32, groups: u32, width: u32, eps: f32, }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<vec4<f32>>;
#if ${gamma}
${gamma && declare(2, 'gamma', gamma, 'read', caps)}
#endif
#if ${beta}
${beta && declare(betaBinding, 'beta', beta, 'read', caps)}
#endif
${['mean', 'scale', 'shift'].map((name, k) => declare(2 + affine.length + k, name, 'f32', 'read_write', caps)).join('\n')}
@group(0) @binding(${5 + affine.length}) var<storage, read_write> moments: array<vec2<f32>>;
var<workgroup> merged: array<vec4<f32>, ${workgroup}>;

// Partials are (origin, mean - origin, M2, count); a count of 0 is nothing.
fn join(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  if (b.w == 0.0) { return a; }
  if (a.w == 0.0) { return b; }
  let apart = (b.x - a.x) + (b.y - a.y);
  let count = a.w + b.w;
  let part = b.w / count;
  return vec4<f32>(a.x, a.y + apart * part, a.z + b.z + apart * apart * a.w * part, count);
}

@compute @workgroup_size(${workgroup})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let unit = min(${WORKGROUP_INDEX}, params.units - 1u);
  let item = unit / params.groups;
  let group = unit % params.groups;
  var own = vec4<f32>(0);
  for (var c = lane; c < params.chunks; c += ${workgroup}u) {
    own = join(own, partials[(item * params.chunks + c) * params.groups + group]);
  }
  merged[lane] = own;
  for (var half = ${workgroup / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { merged[lane] = join(merged[lane], merged[lane + half]); }
  }
  workgroupBarrier();
  let all = merged[0];
  let rstd = 1.0 / sqrt(all.z / all.w + params.eps);
  // Compilers cancel the terms of a two-sum; through a cut of its bits the rounded mean is a number of its own.
  let rounded = bitcast<f32>(bitcast<u32>(all.x + all.y) & 0xfffffffeu);
  let rest = (all.x - rounded) + all.y;
  if (lane == 0u) { moments[unit] = vec2<f32>(rest, rstd); }
  for (var c = lane; c < params.width; c += ${workgroup}u) {
    let channel = group * params.width + c;
    let o = item * params.groups * params.width + channel;
    let s = rstd${gamma ? ` * ${load('gamma', gamma, 'channel', caps)}` : ''};
    mean[o] = rounded;
    scale[o] = s;
    shift[o] = ${beta ? load('beta', beta, 'channel', caps) : '0.0'} - rest * s;
  }
}
`;
  return {
    label: 'groupNorm/merge',
    wgsl: code,
    operands: [
      scratch(0, 'read'),
      ...affine.map((_, k) => read(1 + k)),
      write(0),
      write(1),
      write(2),
      write(3),
    ],
    uniforms: [batch * groups, chunks, groups, channels / groups, f32Bits(eps)],
    workgroups: lineGrid(batch * groups, caps),
  };
}
