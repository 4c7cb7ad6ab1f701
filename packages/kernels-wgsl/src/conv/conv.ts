/**
 * Convolution of channels-last clips, causal in time, as an implicit matrix product: no patches are gathered
 * in memory.
 *
 *     out[b, t, y, x, n] = fused(sum over i, dy, dx, c of
 *       in[b, t + i - (kt - 1), y*stride + dy - top, x*stride + dx - left, c] * weight[i, dy, dx, c, n])
 *
 * `in` is x [batch, frames, height, width, inChannels] in f32, up-sampled nearest in time (only with kt = 1)
 * and space as it is read. Outside its rows and columns it is zero. Its frames before 0 are those of the cache
 * [batch, kt - 1, height, width, inChannels], bound apart, or frame 0 where there is none. Weight is
 * [kt, kh, kw, inChannels, outChannels] in f32, f16 or bf16; sums are f32 in a fixed order.
 *
 * Inputs: 0 x, 1 weight, 2 the cache if there is one, then the epilogue's. Tiles: see `tile.ts`.
 * Host: an output or x longer than a binding is cut into runs of whole output frames; the weight, the cache and
 * the kt frames that one output frame reads must fit in one binding each.
 *
 * With `precision: 'f16'` x and weight are rounded to f16 as `staging.ts` scales them, and multiplied exactly:
 * what a matrix unit does with f16 operands and f32 sums.
 */
import type { DeviceCaps } from '../caps.ts';
import { byteLength, bytesOf } from '../dtype.ts';
import { lineGrid } from '../grid.ts';
import {
  type Dispatch,
  type Lowering,
  lowerChosen,
  read,
  scratch,
  type Variant,
  write,
} from '../kernel.ts';
import { elementCount, splitRange, windowOf } from '../pointwise/access.ts';
import { emitFusion, largestWindow, offsetAlignment } from '../pointwise/fusion.ts';
import { type ConvSpec, convOutputShape, sourceFrame } from './geometry.ts';
import { SCALES, STAGED_WEIGHT, stageHalves } from './staging.ts';
import { CONV_FIELDS, type ConvTile, convCode, convLanes, WIDEST_KERNEL } from './tile.ts';

export function lowerConv(spec: ConvSpec, caps: DeviceCaps): Lowering {
  if (spec.kernel[0] > 1 && spec.upsample.time > 1) {
    throw new Error('conv: up-sampling in time needs a kernel of one frame');
  }
  if (spec.kernel[2] > WIDEST_KERNEL) {
    throw new Error(`conv: a kernel of width ${spec.kernel[2]} is wider than ${WIDEST_KERNEL}`);
  }
  return lowerChosen('conv', CONV_VARIANTS, spec, caps);
}

/** The one size of subgroups that a CPU runs as lanes, or 0. */
export const laneSubgroup = ({ features, adapter }: DeviceCaps): number =>
  adapter.kind === 'software' && features.subgroups && features.subgroupMinSize === features.subgroupMaxSize
    ? features.subgroupMinSize
    : 0;

/** Pixels of a tile: at most `most`, and no more than a row has. */
function pixelsOf(spec: ConvSpec, most: 4 | 8): number {
  const width = convOutputShape(spec)[3];
  let pixels = 2;
  while (pixels < most && pixels < width) pixels *= 2;
  return pixels;
}

export const CONV_VARIANTS: readonly Variant<ConvSpec>[] = [
  {
    name: 'shared',
    applies: (_, caps) => [4, 8].includes(laneSubgroup(caps)),
    lower: (spec, caps) => {
      const share = laneSubgroup(caps);
      const channels = spec.outChannels % 16 === 0 ? 16 : Math.min(8, spec.outChannels);
      // Lavapipe's GFLOPS: 16x8 14, 8x8 18, 4x8 17 in half the time to compile, 4x16 21 to 26.
      const pixels = pixelsOf(spec, 4);
      // One subgroup a workgroup wastes least of a small frame.
      return lowerTiled(spec, { pixels, channels, share, workgroup: share, step: 1 }, caps);
    },
  },
  {
    name: 'plain',
    applies: () => true,
    lower: (spec, caps) => {
      const channels = spec.outChannels % 8 === 0 ? 8 : Math.min(4, spec.outChannels);
      // The columns of a stride of 2 must stay in registers too.
      const pixels = pixelsOf(spec, spec.stride === 2 ? 4 : 8);
      const step = spec.inChannels % 4 === 0 && caps.adapter.kind === 'hardware' ? 4 : 1;
      return lowerTiled(spec, { pixels, channels, share: 0, workgroup: 64, step }, caps);
    },
  },
];

/** The dispatches of one tile; `lowerConv` picks the tile. */
export function lowerTiled(spec: ConvSpec, tile: ConvTile, caps: DeviceCaps): Lowering {
  const half = spec.precision === 'f16';
  const staged: ConvSpec = half ? { ...spec, weightDtype: 'f16' } : spec;
  const { batch, frames, height, width, inChannels, outChannels, kernel, upsample, cached } = staged;
  const [, outFrames, outHeight, outWidth] = convOutputShape(staged);
  const last = kernel[0] - 1;
  const operands = 2 + (cached ? 1 : 0);
  const fused = emitFusion(
    staged.fusion,
    operands + (half ? 2 : 1),
    staged.outputDtype,
    convLanes(staged, tile),
    caps,
  );
  const code = convCode(staged, tile, fused, caps);

  const alignment = offsetAlignment(caps);
  const limit = caps.limits.maxStorageBufferBindingSize;
  const inFrame = height * width * inChannels;
  const outFrame = outHeight * outWidth * outChannels;
  const weightBytes = byteLength(elementCount(kernel) * inChannels * outChannels, spec.weightDtype);
  if (weightBytes > limit) {
    throw new Error(`conv: a weight of ${weightBytes} bytes does not fit in a binding of ${limit} bytes`);
  }

  const clips = (start: number, end: number) => {
    const first = Math.floor(start / outFrames);
    const final = Math.floor((end - 1) / outFrames);
    return { first, final, from: start - first * outFrames, to: end - 1 - final * outFrames };
  };
  /** x's frames that output frames [start, end) read, over all clips between. */
  const xWindow = (start: number, end: number) => {
    const { first, final, from, to } = clips(start, end);
    // Folded, frames lie `last` further on.
    const ahead = staged.adjoint === 'folded' ? last : 0;
    const low = first * frames + sourceFrame(Math.max(0, from + ahead - last), upsample);
    const high = final * frames + Math.min(frames - 1, sourceFrame(to + ahead, upsample));
    // From a clip's first frames on, the next clip's reach back no further than its own frame 0.
    return windowOf(low * inFrame, (high + 1) * inFrame - 1, batch * frames * inFrame, 'f32', alignment);
  };
  const cacheWindow = (start: number, end: number) => {
    const { first, final, from, to } = clips(start, end);
    const low = first * last + Math.min(from, last - 1);
    const high = final * last + (first === final && from >= last ? Math.min(to, last - 1) : last - 1);
    return windowOf(low * inFrame, (high + 1) * inFrame - 1, batch * last * inFrame, 'f32', alignment);
  };
  const outWindow = (start: number, end: number) =>
    windowOf(
      start * outFrame,
      end * outFrame - 1,
      batch * outFrames * outFrame,
      staged.outputDtype,
      alignment,
    );
  const fits = (start: number, end: number) =>
    Math.max(
      xWindow(start, end).byteLength,
      cached ? cacheWindow(start, end).byteLength : 0,
      outWindow(start, end).byteLength,
      largestWindow(fused, start * outFrame, end * outFrame),
    ) <= limit;
  const pieces = splitRange(
    batch * outFrames,
    1,
    fits,
    () =>
      new Error(
        `conv: one output frame reads ${kernel[0]} frames of ${inFrame * 4} bytes and writes ${outFrame * bytesOf(staged.outputDtype)}, which does not fit in bindings of ${limit} bytes; use tiling or a smaller size`,
      ),
  );

  const tilesPerRow = Math.ceil(outWidth / tile.pixels);
  const tiles = tilesPerRow * outHeight;
  const blocks = Math.ceil(outChannels / tile.channels);
  const groupsPerFrame =
    tile.share > 0
      ? blocks * Math.ceil(tiles / tile.workgroup)
      : Math.ceil((blocks * tiles) / tile.workgroup);
  const bound = ({ byteOffset, byteLength: length }: { byteOffset: number; byteLength: number }) => ({
    byteOffset,
    byteLength: length,
  });

  const staging = half ? stageHalves(spec, caps) : { dispatches: [], scratch: [] };
  const main = pieces.map(([start, end]): Dispatch => {
    const x = xWindow(start, end);
    const cache = cached ? cacheWindow(start, end) : undefined;
    const out = outWindow(start, end);
    const { windows, uniforms } = fused.windows(start * outFrame, end * outFrame);
    const fields: Record<(typeof CONV_FIELDS)[number], number> = {
      firstFrame: start,
      lastFrame: end,
      inFrames: frames,
      outFrames,
      height,
      width,
      outHeight,
      outWidth,
      inChannels,
      outChannels,
      top: staged.padding.top >>> 0,
      tilesPerRow,
      blocks,
      groupsPerFrame,
      atX: -x.firstElement >>> 0,
      atCache: cache ? -cache.firstElement >>> 0 : 0,
      atOut: -out.firstElement >>> 0,
    };
    return {
      label: `conv/${tile.share > 0 ? 'shared' : 'plain'} ${tile.pixels}x${tile.channels}${half ? ' f16' : ''}`,
      wgsl: code,
      operands: [
        read(0, bound(x)),
        half ? scratch(STAGED_WEIGHT, 'read') : read(1),
        ...(cache ? [read(2, bound(cache))] : []),
        ...(half ? [scratch(SCALES, 'read')] : []),
        ...windows.map((window, k) => read(operands + k, bound(window))),
        write(0, bound(out)),
      ],
      uniforms: [...CONV_FIELDS.map((field) => fields[field]), ...uniforms],
      workgroups: lineGrid(groupsPerFrame * (end - start), caps),
    };
  });
  return { dispatches: [...staging.dispatches, ...main], scratch: staging.scratch };
}
