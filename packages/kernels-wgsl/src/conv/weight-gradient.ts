/**
 * Gradient of a convolution's weight (`conv.ts` has the convolution):
 *
 *     dweight[i, dy, dx, c, n] = sum over b, t, y, x of
 *       in[b, t + i - (kt - 1), y*stride + dy - top, x*stride + dx - left, c] * g[b, t, y, x, n]
 *
 * Operands: x [batch, frames, height, width, inChannels] f32; g [batch, frames', height', width', outChannels]
 * f32; the cache where there is one; dweight [kt, kh, kw, inChannels, outChannels] f32.
 * Kernels: `rows` gives each invocation C input channels, N output channels and up to 3 taps of one kernel row,
 * whose products it sums in registers over a run of output rows, P pixels a step; `merge` adds up the runs in
 * order. Runs are short enough to keep f32 sums accurate and, where the weight is small, many enough to fill
 * the device.
 * Variants: `lanes`, where invocations of a subgroup run in lanes of a CPU (`share` > 0), which take neighbouring input
 * channels, each load other channels of g, and hand them round by broadcasts; else `tiled`. Their parameters are C and N.
 * Host: x, g or a cache longer than a binding are cut into runs of whole output frames, each of which adds to
 * what is there; the frames that one output frame reads, and the weight, must fit in one binding.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { cpuLanes, type DeviceCaps } from '../caps.ts';
import { byteLength } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import {
  type Dispatch,
  type KernelTarget,
  type Lowering,
  lowerChosen,
  read,
  scratch,
  type Tuning,
  type Variant,
  write,
} from '../kernel.ts';
import { elementCount, splitRange, type Window, windowOf } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import { declare, type Lanes } from '../storage.ts';
import { type ConvShape, convOutputShape, sourceFrame } from './geometry.ts';

/** Taps of a kernel row that an invocation takes. */
const TAPS = 3;
const PIXELS = 4;
/** Products that one invocation adds up for one element, at most, unless the runs would take too much memory. */
const RUN = 1 << 14;
const MAX_SCRATCH = 1 << 26;
/** Invocations worth having. */
const PARALLEL = { software: 512, hardware: 1 << 17 };

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const bound = ({ byteOffset, byteLength: length }: Window) => ({ byteOffset, byteLength: length });

interface WeightTile extends Tuning {
  readonly channels: number;
  /** Multiple of 4. */
  readonly outputs: number;
}

interface Tile extends WeightTile {
  readonly share: number;
}

const FIELDS = [
  'firstRow', // of this dispatch, counted over frames and the batch
  'lastRow', // exclusive
  'rowsEach',
  'splits',
  'inFrames',
  'outFrames',
  'height',
  'width',
  'outHeight',
  'outWidth',
  'inChannels',
  'outChannels',
  'top',
  'left',
  'blocksC',
  'blocksN',
  'atSource',
  'atG',
] as const;

/** Lanes that share loads of g; 0 where there are none. */
const sharing = (caps: DeviceCaps): number => ([4, 8].includes(cpuLanes(caps)) ? cpuLanes(caps) : 0);

/** Output channels of an invocation: the wanted ones, or fewer where a pixel of g has fewer. */
const outputsOf = ({ outChannels }: ConvShape, ...wanted: readonly number[]): number[] => [
  ...new Set(wanted.map((outputs) => Math.min(outputs, Math.ceil(outChannels / 4) * 4))),
];

function lanesTiles(shape: ConvShape, caps: DeviceCaps): WeightTile[] {
  const channels = shape.inChannels > sharing(caps) ? 2 : 1;
  return outputsOf(shape, 16, 8).map((outputs) => ({ channels, outputs }));
}

function plainTiles(shape: ConvShape): WeightTile[] {
  const channels = shape.inChannels % 4 === 0 ? 4 : 1;
  return outputsOf(shape, 8, 4).map((outputs) => ({ channels, outputs }));
}

const CONV_WEIGHT_GRADIENT_VARIANTS: readonly Variant<ConvShape>[] = [
  {
    name: 'lanes',
    applies: (_, caps) => sharing(caps) > 0,
    candidates: lanesTiles,
    lower(shape, caps, tuning) {
      const tile = (tuning as WeightTile | undefined) ?? lanesTiles(shape, caps)[0];
      return lowerTile(shape, { ...tile, share: sharing(caps) }, caps);
    },
  },
  {
    name: 'tiled',
    applies: () => true,
    candidates: plainTiles,
    lower(shape, caps, tuning) {
      const tile = (tuning as WeightTile | undefined) ?? plainTiles(shape)[0];
      return lowerTile(shape, { ...tile, share: 0 }, caps);
    },
  },
];

/**
 * The gradient of the weight, f32, by the variant that was chosen for the class of `shape`, else by the first that
 * applies: inputs x, the gradient of the result, the cache where there is one.
 */
export const lowerConvWeightGradient = (shape: ConvShape, target: KernelTarget): Lowering =>
  lowerChosen('conv weight gradient', CONV_WEIGHT_GRADIENT_VARIANTS, shape, target);

function lowerTile(shape: ConvShape, tile: Tile, caps: DeviceCaps): Lowering {
  const { batch, frames, height, width, inChannels, outChannels, kernel, cached, upsample } = shape;
  const [, outFrames, outHeight, outWidth] = convOutputShape(shape);
  const [kt, kh, kw] = kernel;
  const last = kt - 1;
  const { share } = tile;

  const count = elementCount(kernel) * inChannels * outChannels;
  const alignment = offsetAlignment(caps);
  const limit = caps.limits.maxStorageBufferBindingSize;
  const inFrame = height * width * inChannels;
  const outFrame = outHeight * outWidth * outChannels;
  const clips = (start: number, end: number) => {
    const first = Math.floor(start / outFrames);
    const final = Math.floor((end - 1) / outFrames);
    return { first, final, from: start - first * outFrames, to: end - 1 - final * outFrames };
  };
  const xWindow = (start: number, end: number) => {
    const { first, final, from, to } = clips(start, end);
    const low = first * frames + sourceFrame(Math.max(0, from - last), upsample);
    const high = final * frames + sourceFrame(to, upsample);
    return windowOf(low * inFrame, (high + 1) * inFrame - 1, batch * frames * inFrame, 'f32', alignment);
  };
  const cacheWindow = (start: number, end: number) => {
    const { first, final } = clips(start, end);
    return windowOf(
      first * last * inFrame,
      (final + 1) * last * inFrame - 1,
      batch * last * inFrame,
      'f32',
      alignment,
    );
  };
  const gWindow = (start: number, end: number) =>
    windowOf(start * outFrame, end * outFrame - 1, batch * outFrames * outFrame, 'f32', alignment);
  if (byteLength(count, 'f32') > limit) {
    throw new TooLargeError(
      `conv: a weight gradient of ${count * 4} bytes does not fit in a binding of ${limit} bytes`,
    );
  }
  const sections = splitRange(
    batch * outFrames,
    1,
    (start, end) =>
      Math.max(
        xWindow(start, end).byteLength,
        gWindow(start, end).byteLength,
        cached ? cacheWindow(start, end).byteLength : 0,
      ) <= limit,
    () =>
      new TooLargeError(
        `conv: the gradient of one output frame and the ${kt} frames of ${inFrame * 4} bytes it reads do not fit in bindings of ${limit} bytes; use tiling or a smaller size`,
      ),
  );

  const blocksC = Math.ceil(inChannels / tile.channels / Math.max(1, share));
  const blocksN = Math.ceil(outChannels / tile.outputs);
  const units = blocksC * blocksN * kt * kh * Math.ceil(kw / TAPS);
  const splitsOf = (rows: number) => {
    const wanted = Math.max(
      Math.ceil((rows * outWidth) / RUN),
      Math.ceil(PARALLEL[caps.adapter.kind] / (units * Math.max(1, share))),
    );
    const room = Math.floor(Math.min(limit, MAX_SCRATCH) / (count * 4));
    return Math.max(1, Math.min(rows, wanted, room));
  };

  let scratchBytes = 0;
  let first = true;
  const dispatches: Dispatch[] = [];
  for (const [start, end] of sections) {
    for (const source of cached ? (['x', 'cache'] as const) : (['x'] as const)) {
      const rows = (end - start) * outHeight;
      const rowsEach = Math.ceil(rows / splitsOf(rows));
      const splits = Math.ceil(rows / rowsEach);
      scratchBytes = Math.max(scratchBytes, byteLength(splits * count, 'f32'));
      const from = source === 'x' ? xWindow(start, end) : cacheWindow(start, end);
      const g = gWindow(start, end);
      const fields: Record<(typeof FIELDS)[number], number> = {
        firstRow: start * outHeight,
        lastRow: end * outHeight,
        ...{ rowsEach, splits, inFrames: frames, outFrames, height, width, outHeight, outWidth },
        ...{ inChannels, outChannels, blocksC, blocksN },
        top: shape.padding.top,
        left: shape.padding.left,
        atSource: -from.firstElement >>> 0,
        atG: -g.firstElement >>> 0,
      };
      const total = units * splits;
      dispatches.push(
        {
          label: `conv/weight gradient ${tile.channels}x${tile.outputs}${share > 0 ? ' shared' : ''}`,
          wgsl: rowsCode(shape, tile, source, caps),
          operands: [read(source === 'x' ? 0 : 2, bound(from)), read(1, bound(g)), scratch(0, 'read_write')],
          uniforms: FIELDS.map((field) => fields[field]),
          workgroups: lineGrid(share > 0 ? total : Math.ceil(total / 64), caps),
        },
        mergeDispatch(count, splits, first, caps),
      );
      first = false;
    }
  }
  return { dispatches, scratch: [scratchBytes] };
}

function rowsCode(shape: ConvShape, tile: Tile, source: 'x' | 'cache', caps: DeviceCaps): string {
  const { kernel, stride, upsample, cached, outChannels } = shape;
  const [kt, kh, kw] = kernel;
  const { channels: C, outputs: N, share } = tile;
  const last = kt - 1;
  const taps = Math.min(TAPS, kw);
  const groups = Math.ceil(kw / TAPS);
  const columns = range((PIXELS - 1) * stride + taps);
  const quads = range(N / 4);
  const gLanes: Lanes = share === 0 && outChannels % 4 === 0 ? 4 : 1;
  const xLanes: Lanes = C === 4 ? 4 : 1;
  const x = (column: number, c: number) => (C === 4 ? `x${column}[${c}]` : `x${column}_${c}`);

  const loadColumn = (j: number) => {
    const at = `let up${j} = column + ${j};
      let ok${j} = up${j} >= 0 && up${j} < upWidth;
      let at${j} = rowAt + u32(clamp(up${j}, 0, upWidth - 1)) / ${upsample.space}u * params.inChannels;`;
    if (C === 4) return `${at}\n let x${j} = select(vec4<f32>(), source[(at${j} + c0) >> 2u], ok${j});`;
    const loads = range(C).map((c) => `let x${j}_${c} = select(0.0, source[at${j} + channel${c}], ok${j});`);
    return `${at}\n ${loads.join('\n')}`;
  };
  const loadG = (p: number): string => {
    const at = `let g${p} = gAt + min(px + ${p}u, params.outWidth - 1u) * params.outChannels;
      let live${p} = px + ${p}u < params.outWidth;`;
    if (share > 0) {
      const own = range(Math.ceil(N / share)).map(
        (r) =>
          `let own${p}_${r} = select(0.0, g[g${p} + min(n0 + ${r * share}u + lane, params.outChannels - 1u)], live${p});`,
      );
      const spread = quads.map((q) => {
        const parts = range(4).map((v) => {
          const n = 4 * q + v;
          return `subgroupBroadcast(own${p}_${Math.floor(n / share)}, ${n % share}u)`;
        });
        return `let g${p}_${q} = vec4<f32>(${parts.join(', ')});`;
      });
      return [at, ...own, ...spread].join('\n');
    }
    return [
      at,
      ...quads.map((q) => {
        const n = (v: number) => `g[g${p} + min(n0 + ${4 * q + v}u, params.outChannels - 1u)]`;
        const value =
          gLanes === 4
            ? `g[(g${p} + min(n0 + ${4 * q}u, params.outChannels - 4u)) >> 2u]`
            : `vec4<f32>(${range(4).map(n).join(', ')})`;
        return `let g${p}_${q} = select(vec4<f32>(), ${value}, live${p});`;
      }),
    ].join('\n');
  };
  const multiply = range(PIXELS)
    .flatMap((p) =>
      range(taps).flatMap((d) =>
        range(C).flatMap((c) =>
          quads.map(
            (q) =>
              `acc${d}_${c}_${q} = fma(vec4<f32>(${x(p * stride + d, c)}), g${p}_${q}, acc${d}_${c}_${q});`,
          ),
        ),
      ),
    )
    .join('\n');

  // Which rows this source has a part in, and the frame of it that they meet.
  const shift = upsample.keepFirst ? upsample.time - 1 : 0;
  const { skip, frame } =
    source === 'cache'
      ? { skip: `t + i >= ${last}u`, frame: `clip * ${last}u + t + i` }
      : kt === 1
        ? { skip: 'false', frame: `clip * params.inFrames + (t + ${shift}u) / ${upsample.time}u` }
        : {
            skip: cached ? `t + i < ${last}u` : 'false',
            frame: `clip * params.inFrames + max(t + i, ${last}u) - ${last}u`,
          };

  return wgsl`
#if ${share > 0}
enable subgroups;
#endif
struct Params { ${FIELDS.map((field) => `${field}: u32,`).join(' ')} }
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'source', 'f32', 'read', caps, xLanes)}
${declare(2, 'g', 'f32', 'read', caps, gLanes)}
${declare(3, 'partials', 'f32', 'read_write', caps)}

@compute @workgroup_size(${share > 0 ? share : 64})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
#if ${share > 0}
  let id = ${WORKGROUP_INDEX};
  let c0 = (id % params.blocksC * ${share}u + lane) * ${C}u;
#else
  let id = ${WORKGROUP_INDEX} * 64u + lane;
  let c0 = id % params.blocksC * ${C}u;
#endif
  let n0 = id / params.blocksC % params.blocksN * ${N}u;
  let tap = id / params.blocksC / params.blocksN;
  let dx0 = tap % ${groups}u * ${TAPS}u;
  let dy = tap / ${groups}u % ${kh}u;
  let i = tap / ${groups * kh}u % ${kt}u;
  let part = tap / ${groups * kh * kt}u;
  if (part >= params.splits) { return; }
  ${
    C === 4
      ? ''
      : range(C)
          .map((c) => `let channel${c} = min(c0 + ${c}u, params.inChannels - 1u);`)
          .join(' ')
  }
  let upHeight = i32(params.height * ${upsample.space}u);
  let upWidth = i32(params.width * ${upsample.space}u);
  let begin = params.firstRow + part * params.rowsEach;
  let end = min(begin + params.rowsEach, params.lastRow);
  ${range(taps)
    .flatMap((d) => range(C).flatMap((c) => quads.map((q) => `var acc${d}_${c}_${q} = vec4<f32>();`)))
    .join('\n')}
  for (var row = begin; row < end; row++) {
    let y = row % params.outHeight;
    let outFrame = row / params.outHeight;
    let t = outFrame % params.outFrames;
    let clip = outFrame / params.outFrames;
    let up = i32(y * ${stride}u + dy) - i32(params.top);
    if (up < 0 || up >= upHeight || ${skip}) { continue; }
    let frame = ${frame};
    let rowAt = params.atSource + (frame * params.height + u32(up) / ${upsample.space}u) * params.width * params.inChannels;
    let gAt = params.atG + row * params.outWidth * params.outChannels;
    for (var px = 0u; px < params.outWidth; px += ${PIXELS}u) {
      let column = i32(px * ${stride}u + dx0) - i32(params.left);
      ${columns.map(loadColumn).join('\n')}
      ${range(PIXELS).map(loadG).join('\n')}
      ${multiply}
    }
  }
  let weights = ${kt * kh * kw}u * params.inChannels * params.outChannels;
  let tapAt = part * weights + ((i * ${kh}u + dy) * ${kw}u + dx0) * params.inChannels * params.outChannels;
  var sums: array<vec4<f32>, ${taps * C * (N / 4)}>;
  ${range(taps)
    .flatMap((d) =>
      range(C).flatMap((c) => quads.map((q) => `sums[${(d * C + c) * (N / 4) + q}] = acc${d}_${c}_${q};`)),
    )
    .join('\n')}
  for (var d = 0u; d < min(${taps}u, ${kw}u - dx0); d++) {
    for (var c = 0u; c < ${C}u && c0 + c < params.inChannels; c++) {
      for (var n = 0u; n < ${N}u && n0 + n < params.outChannels; n++) {
        let at = tapAt + (d * params.inChannels + c0 + c) * params.outChannels + n0 + n;
        partials[at] = sums[(d * ${C}u + c) * ${N / 4}u + n / 4u][n % 4u];
      }
    }
  }
}
`;
}

function mergeDispatch(count: number, splits: number, first: boolean, caps: DeviceCaps): Dispatch {
  return {
    label: 'conv/weight merge',
    wgsl: `struct Params { count: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'partials', 'f32', 'read', caps)}
${declare(2, 'out', 'f32', 'read_write', caps)}
@compute @workgroup_size(64)
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let i = ${WORKGROUP_INDEX} * 64u + lane;
  if (i >= params.count) { return; }
  var total = partials[i];
  for (var k = 1u; k < params.splits; k++) { total += partials[k * params.count + i]; }
  if (params.first == 0u) { total += out[i]; }
  out[i] = total;
}
`,
    operands: [scratch(0, 'read'), write(0)],
    uniforms: [count, splits, Number(first)],
    workgroups: lineGrid(Math.ceil(count / 64), caps),
  };
}
