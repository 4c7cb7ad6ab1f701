/**
 * Gradients of layer normalization and of its root-mean-square form (`center` false). With h = (x - mean)·rstd,
 * g the gradient of the result, G = g·gamma and means over the C channels of a row:
 *
 *     dx     = rstd (G - mean(G) - h mean(G h))        rms: without mean(G)
 *     dgamma = sum over rows of g h,   dbeta = sum over rows of g
 *
 * Operands: x [rows, C]; g [rows, C] f32; gamma [C] where given. Outputs, those asked for in this order: dx,
 * dgamma, dbeta, all f32.
 * Kernels: `rows` works out the statistics again, writes dx, and leaves (origin, mean from there, rstd) of each
 * row for `columns`, which sums chunks of rows; `merge` adds the chunks up in order.
 * Tile: `rows` as the forward kernel; `columns` and `merge` 64 steps of one or four channels a workgroup.
 * Host: x and g longer than a binding are cut into runs of whole rows.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { byteLength, type DType } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type Dispatch, f32Bits, type Lowering, read, scratch, write } from '../kernel.ts';
import { splitRange, type Window, windowOf } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import { eachStep, rowOfLane, rowTile } from '../reduce/rows.ts';
import { declare, enables, type Lanes, load } from '../storage.ts';
import { rowMoments } from './moments.ts';

/** Gradients of a layer normalization of x [rows, channels], those asked for. */
export interface LayerNormBackwardSpec {
  readonly rows: number;
  readonly channels: number;
  readonly eps: number;
  readonly center: boolean;
  /** Dtype of x. */
  readonly dtype: DType;
  readonly gamma?: DType;
  readonly dx: boolean;
  readonly dgamma: boolean;
  readonly dbeta: boolean;
}

const WORKGROUP = 64;
/** Rows that `columns` sums one after the other: at least, and as many chunks at most. */
const CHUNK_ROWS = 32;
const MAX_CHUNKS = 256;

const STATISTICS = 0;

const bound = ({ byteOffset, byteLength: length }: Window) => ({ byteOffset, byteLength: length });

/** Outputs dx, dgamma, dbeta, those asked for: inputs x, the gradient of the result, gamma where given. */
export function lowerLayerNormBackward(spec: LayerNormBackwardSpec, caps: DeviceCaps): Lowering {
  const { rows, channels, dx, dgamma, dbeta } = spec;
  const dispatches: Dispatch[] = [];
  // Only where `columns` reads it.
  const sizes = dgamma ? [byteLength(rows * 4, 'f32')] : [];
  if (dx || dgamma) dispatches.push(...rowKernels(spec, caps));
  if (dgamma || dbeta) {
    const chunkRows = Math.max(CHUNK_ROWS, Math.ceil(rows / MAX_CHUNKS));
    const chunks = Math.ceil(rows / chunkRows);
    const partials = sizes.length;
    dispatches.push(...columnKernels(spec, chunkRows, chunks, partials, caps));
    for (const [k] of [dgamma, dbeta].filter(Boolean).entries()) {
      sizes.push(byteLength(chunks * channels, 'f32'));
      dispatches.push(mergeKernel(spec, chunks, partials + k, (dx ? 1 : 0) + k, caps));
    }
  }
  return { dispatches, scratch: sizes };
}

const tooLarge = (channels: number, limit: number) => () =>
  new TooLargeError(`layerNorm: a row of ${channels} does not fit in a binding of ${limit} bytes`);

function rowKernels(spec: LayerNormBackwardSpec, caps: DeviceCaps): Dispatch[] {
  const { rows, channels, dtype, gamma, center, dx, dgamma } = spec;
  const lanes: Lanes = channels % 4 === 0 ? 4 : 1;
  const steps = channels / lanes;
  const tile = rowTile(steps, caps);
  const type = lanes === 4 ? 'vec4<f32>' : 'f32';
  const sum = (value: string) => (lanes === 4 ? `dot(${value}, vec4<f32>(1.0))` : value);
  const outBinding = 3 + (gamma ? 1 : 0);
  const whole = steps % tile.team === 0;
  const gradient = `g[atG + s]${gamma ? ` * ${load('gamma', gamma, 's', caps, lanes)}` : ''}`;

  const code = wgsl`${tile.enables}${enables([dtype, ...(gamma ? [gamma] : [])], caps)}
struct Params {
  start: u32, end: u32, steps: u32, channels: f32, eps: f32, atX: u32, atG: u32, atDx: u32, atStatistics: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'x', dtype, 'read', caps, lanes)}
#if ${dx}
${declare(2, 'g', 'f32', 'read', caps, lanes)}
#endif
#if ${dx && gamma !== undefined}
${gamma && declare(3, 'gamma', gamma, 'read', caps, lanes)}
#endif
#if ${dx}
${declare(outBinding, 'dx', 'f32', 'read_write', caps, lanes)}
#endif
#if ${dgamma}
@group(0) @binding(${dx ? outBinding + 1 : 2}) var<storage, read_write> statistics: array<vec4<f32>>;
#endif
fn loadX(at: u32) -> ${type} { return ${load('x', dtype, 'at', caps, lanes)}; }
${rowMoments(tile, steps, lanes, center)}

@compute @workgroup_size(${tile.workgroup})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let row = params.start + ${WORKGROUP_INDEX} * ${tile.rows}u + ${rowOfLane(tile)};
  let live = row < params.end;
  let first = select(params.start, row, live) * params.steps;
  let steps = select(0u, params.steps, live);
  let at = params.atX + first;
  let moments = rowMoments(lane, at, steps);
#if ${dgamma}
  if (live && lane % ${tile.team}u == 0u) {
    statistics[params.atStatistics + row] = vec4<f32>(moments.origin, moments.mean, moments.rstd, 0.0);
  }
#endif
#if ${dx}
  let atG = params.atG + first;
  var sumG = ${type}(0);
  var sumGh = ${type}(0);
  ${eachStep(
    tile,
    'steps',
    whole,
    `    let gradient = ${gradient};
    sumG += gradient;
    sumGh += gradient * normalized(loadX(at + s), moments);`,
  )}
  let meanG = ${center ? `${type}(team_add(lane, ${sum('sumG')}) / params.channels)` : `${type}(0)`};
  let meanGh = team_add(lane, ${sum('sumGh')}) / params.channels;
  ${eachStep(
    tile,
    'steps',
    whole,
    `    let gradient = ${gradient};
    let h = normalized(loadX(at + s), moments);
    dx[params.atDx + first + s] = moments.rstd * ((gradient - meanG) - h * meanGh);`,
  )}
#endif
}
`;
  const limit = caps.limits.maxStorageBufferBindingSize;
  const alignment = offsetAlignment(caps);
  const window = (start: number, end: number, type: DType) =>
    windowOf(start * channels, end * channels - 1, rows * channels, type, alignment);
  const statisticsWindow = (start: number, end: number) =>
    windowOf(start * 4, end * 4 - 1, rows * 4, 'f32', alignment);
  const sections = splitRange(
    rows,
    1,
    (start, end) =>
      Math.max(
        window(start, end, dtype).byteLength,
        window(start, end, 'f32').byteLength,
        statisticsWindow(start, end).byteLength,
      ) <= limit,
    tooLarge(channels, limit),
  );
  return sections.map(([start, end]) => {
    const x = window(start, end, dtype);
    const g = window(start, end, 'f32');
    const statistics = statisticsWindow(start, end);
    return {
      label: `${center ? 'layerNorm' : 'rmsNorm'}/backward team ${tile.team} x${lanes}`,
      wgsl: code,
      operands: [
        read(0, bound(x)),
        ...(dx ? [read(1, bound(g)), ...(gamma ? [read(2)] : []), write(0, bound(g))] : []),
        ...(dgamma ? [{ ...scratch(STATISTICS, 'read_write'), ...bound(statistics) }] : []),
      ],
      uniforms: [
        ...[start, end, steps, f32Bits(channels), f32Bits(spec.eps)],
        (-x.firstElement / lanes) >>> 0,
        (-g.firstElement / lanes) >>> 0,
        (-g.firstElement / lanes) >>> 0,
        (-statistics.firstElement / 4) >>> 0,
      ],
      workgroups: lineGrid(Math.ceil((end - start) / tile.rows), caps),
    };
  });
}

/** Scratch `partials` and the next: sums of g h and of g, those asked for, [chunks, C]. */
function columnKernels(
  spec: LayerNormBackwardSpec,
  chunkRows: number,
  chunks: number,
  partials: number,
  caps: DeviceCaps,
): Dispatch[] {
  const { rows, channels, dtype, dgamma, dbeta } = spec;
  const lanes: Lanes = channels % 4 === 0 ? 4 : 1;
  const steps = channels / lanes;
  const blocks = Math.ceil(steps / WORKGROUP);
  const type = lanes === 4 ? 'vec4<f32>' : 'f32';
  const code = wgsl`${enables([dtype], caps)}
struct Params {
  chunk: u32, blocks: u32, chunkRows: u32, rows: u32, steps: u32, atX: u32, atG: u32, atStatistics: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'g', 'f32', 'read', caps, lanes)}
#if ${dgamma}
${declare(2, 'x', dtype, 'read', caps, lanes)}
@group(0) @binding(3) var<storage, read> statistics: array<vec4<f32>>;
${declare(4, 'gammaPart', 'f32', 'read_write', caps, lanes)}
#endif
#if ${dbeta}
${declare(dgamma ? 5 : 2, 'betaPart', 'f32', 'read_write', caps, lanes)}
#endif

@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let index = ${WORKGROUP_INDEX};
  let chunk = params.chunk + index / params.blocks;
  let step = index % params.blocks * ${WORKGROUP}u + lane;
  let first = chunk * params.chunkRows;
  if (step >= params.steps || first >= params.rows) { return; }
  let end = min(first + params.chunkRows, params.rows);
  var gamma = ${type}(0);
  var beta = ${type}(0);
  for (var row = first; row < end; row++) {
    let gradient = g[params.atG + row * params.steps + step];
#if ${dgamma}
    let at = params.atX + row * params.steps + step;
    let moments = statistics[params.atStatistics + row];
    gamma += gradient * (((${load('x', dtype, 'at', caps, lanes)} - ${type}(moments.x)) - ${type}(moments.y)) * moments.z);
#endif
#if ${dbeta}
    beta += gradient;
#endif
  }
#if ${dgamma}
  gammaPart[chunk * params.steps + step] = gamma;
#endif
#if ${dbeta}
  betaPart[chunk * params.steps + step] = beta;
#endif
}
`;
  const limit = caps.limits.maxStorageBufferBindingSize;
  const alignment = offsetAlignment(caps);
  const last = (end: number) => Math.min(rows, end * chunkRows);
  const window = (start: number, end: number, type: DType) =>
    windowOf(start * chunkRows * channels, last(end) * channels - 1, rows * channels, type, alignment);
  const statisticsWindow = (start: number, end: number) =>
    windowOf(start * chunkRows * 4, last(end) * 4 - 1, rows * 4, 'f32', alignment);
  const sections = splitRange(
    chunks,
    1,
    (start, end) =>
      Math.max(
        window(start, end, dtype).byteLength,
        window(start, end, 'f32').byteLength,
        statisticsWindow(start, end).byteLength,
      ) <= limit,
    () =>
      new TooLargeError(
        `layerNorm: ${chunkRows} rows of ${channels} do not fit in a binding of ${limit} bytes`,
      ),
  );
  return sections.map(([start, end]) => {
    const x = window(start, end, dtype);
    const g = window(start, end, 'f32');
    const statistics = statisticsWindow(start, end);
    return {
      label: `layerNorm/columns x${lanes}`,
      wgsl: code,
      operands: [
        read(1, bound(g)),
        ...(dgamma
          ? [
              read(0, bound(x)),
              { ...scratch(STATISTICS, 'read'), ...bound(statistics) },
              scratch(partials, 'read_write'),
            ]
          : []),
        ...(dbeta ? [scratch(partials + (dgamma ? 1 : 0), 'read_write')] : []),
      ],
      uniforms: [
        ...[start, blocks, chunkRows, last(end), steps],
        (-x.firstElement / lanes) >>> 0,
        (-g.firstElement / lanes) >>> 0,
        (-statistics.firstElement / 4) >>> 0,
      ],
      workgroups: lineGrid(blocks * (end - start), caps),
    };
  });
}

/** Sums scratch `from`, [chunks, C], into output `to`. */
function mergeKernel(
  { channels }: LayerNormBackwardSpec,
  chunks: number,
  from: number,
  to: number,
  caps: DeviceCaps,
): Dispatch {
  const lanes: Lanes = channels % 4 === 0 ? 4 : 1;
  const steps = channels / lanes;
  return {
    label: `layerNorm/merge x${lanes}`,
    wgsl: `struct Params { chunks: u32, steps: u32 }
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'partials', 'f32', 'read', caps, lanes)}
${declare(2, 'out', 'f32', 'read_write', caps, lanes)}
@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let step = ${WORKGROUP_INDEX} * ${WORKGROUP}u + lane;
  if (step >= params.steps) { return; }
  var total = partials[step];
  for (var chunk = 1u; chunk < params.chunks; chunk++) { total += partials[chunk * params.steps + step]; }
  out[step] = total;
}
`,
    operands: [scratch(from, 'read'), write(to)],
    uniforms: [chunks, steps],
    workgroups: lineGrid(Math.ceil(steps / WORKGROUP), caps),
  };
}
