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
 * Host: what does not fit in a binding is cut into runs of output frames, and of rows (`sections.ts`); the weight must
 * fit.
 *
 * With `precision: 'f16'` x and weight are rounded to f16 as `staging.ts` scales them, and multiplied exactly:
 * what a matrix unit does with f16 operands and f32 sums.
 */
import { cpuLanes, type DeviceCaps } from '../caps.ts';
import { byteLength } from '../dtype.ts';
import { TooLargeError, UnsupportedError } from '../errors.ts';
import { lineGrid } from '../grid.ts';
import {
  type Dispatch,
  type KernelTarget,
  type Lowering,
  lowerChosen,
  read,
  scratch,
  type TrialProblem,
  type Variant,
  write,
} from '../kernel.ts';
import { elementCount } from '../pointwise/access.ts';
import { emitFusion, identity } from '../pointwise/fusion.ts';
import { resultBytes } from '../traffic.ts';
import { type ConvSpec, convOutputShape } from './geometry.ts';
import { matrixConv } from './matrix.ts';
import { convSections } from './sections.ts';
import { SCALES, STAGED_WEIGHT, stageHalves } from './staging.ts';
import { CONV_FIELDS, type ConvTile, convCode, convLanes, sourceNames, WIDEST_KERNEL } from './tile.ts';

/**
 * The convolution by the variant that was chosen for the class of `spec`, else by the first that applies:
 * inputs x, weight, the cache where there is one, the epilogue's.
 * @throws UnsupportedError for a kernel that no variant takes.
 */
export function lowerConv(spec: ConvSpec, target: KernelTarget): Lowering {
  if (spec.kernel[0] > 1 && spec.upsample.time > 1) {
    throw new UnsupportedError('up-sampling in time needs a kernel of one frame');
  }
  if (spec.kernel[2] > WIDEST_KERNEL) {
    throw new UnsupportedError(`a kernel of width ${spec.kernel[2]} is wider than ${WIDEST_KERNEL}`);
  }
  return lowerChosen('conv', CONV_VARIANTS, spec, target, problemOf);
}

/** More pixels than the largest tile has rows, and steps that end within one. */
function problemOf(spec: ConvSpec): TrialProblem<ConvSpec> {
  const shape = {
    ...spec,
    ...{ batch: 1, frames: 2, height: 14, width: 22 },
    ...{ inChannels: Math.min(spec.inChannels, 24), outChannels: Math.min(spec.outChannels, 136) },
  };
  const output = convOutputShape(shape);
  const small = { ...shape, outputDtype: 'f32' as const, fusion: identity(output) };
  const frame = shape.height * shape.width * shape.inChannels;
  return {
    spec: small,
    plain: { ...small, precision: 'f32' },
    inputs: [
      { count: shape.frames * frame, dtype: 'f32' },
      { count: elementCount(spec.kernel) * shape.inChannels * shape.outChannels, dtype: spec.weightDtype },
      ...(spec.cached ? [{ count: (spec.kernel[0] - 1) * frame, dtype: 'f32' as const }] : []),
    ],
    outputs: [elementCount(output)],
  };
}

/** `first` and what differs from it as `others` say, each once; a row has no more pixels than the output. */
function tiles(spec: ConvSpec, first: ConvTile, others: readonly Partial<ConvTile>[]): ConvTile[] {
  const width = convOutputShape(spec)[3];
  const narrow = (tile: ConvTile): ConvTile => {
    let pixels = 2;
    while (pixels < tile.pixels && pixels < width) pixels *= 2;
    return { ...tile, pixels };
  };
  const all = [first, ...others.map((other) => ({ ...first, ...other }) as ConvTile)].map(narrow);
  return [...new Map(all.map((tile) => [JSON.stringify(tile), tile])).values()];
}

function sharedTiles(spec: ConvSpec, caps: DeviceCaps): ConvTile[] {
  const share = cpuLanes(caps);
  const wide = spec.outChannels % 16 === 0;
  const channels = wide ? 16 : Math.min(8, spec.outChannels);
  // Lavapipe's GFLOPS: 16x8 14, 8x8 18, 4x8 17 in half the time to compile, 4x16 21 to 26. One subgroup a workgroup
  // wastes least of a small frame.
  const first: ConvTile = { pixels: 4, channels, share, workgroup: share, step: 1 };
  return tiles(spec, first, [
    ...(spec.stride === 1 ? [{ pixels: 8, channels: Math.min(8, channels) }] : []),
    { workgroup: 4 * share },
    ...(wide ? [{ channels: 8 }] : []),
    { pixels: 2 },
  ]);
}

function plainTiles(spec: ConvSpec, caps: DeviceCaps): ConvTile[] {
  const channels = spec.outChannels % 8 === 0 ? 8 : Math.min(4, spec.outChannels);
  // The columns of a stride of 2 must stay in registers too.
  const pixels = spec.stride === 2 ? 4 : 8;
  const step = spec.inChannels % 4 === 0 && caps.adapter.kind === 'hardware' ? 4 : 1;
  return tiles(spec, { pixels, channels, share: 0, workgroup: 64, step }, [
    ...(spec.outChannels % 16 === 0 ? [{ pixels: 4, channels: 16 }] : []),
    { pixels: 4 },
    { workgroup: 128 },
    ...(channels === 8 ? [{ channels: 4 }] : []),
    ...(step === 4 ? [{ step: 1 } as const] : []),
  ]);
}

/**
 * From the most to the least special:
 *
 *     matrix     f16 on matrix units
 *     shared     CPU adapters: the lanes of a subgroup share weights
 *     plain      all others
 */
export const CONV_VARIANTS: readonly Variant<ConvSpec>[] = [
  matrixConv,
  {
    name: 'shared',
    applies: (_, caps) => [4, 8].includes(cpuLanes(caps)),
    candidates: sharedTiles,
    lower: (spec, caps, tuning) =>
      lowerTiled(spec, (tuning as ConvTile | undefined) ?? sharedTiles(spec, caps)[0], caps),
  },
  {
    name: 'plain',
    applies: () => true,
    candidates: plainTiles,
    lower: (spec, caps, tuning) =>
      lowerTiled(spec, (tuning as ConvTile | undefined) ?? plainTiles(spec, caps)[0], caps),
  },
];

/** The dispatches of one tile; `lowerConv` picks the tile. */
export function lowerTiled(spec: ConvSpec, tile: ConvTile, caps: DeviceCaps): Lowering {
  const half = spec.precision === 'f16';
  const staged: ConvSpec = half ? { ...spec, weightDtype: 'f16' } : spec;
  const { frames, height, width, inChannels, outChannels, kernel, cached } = staged;
  const [, outFrames, outHeight, outWidth] = convOutputShape(staged);
  const inputs = 2 + (cached ? 1 : 0);
  const builds = [false, true].map((byTaps) => {
    const names = sourceNames(staged, byTaps);
    const firstBinding = 2 + names.length + (half ? 1 : 0);
    const fused = emitFusion(staged.fusion, firstBinding, staged.outputDtype, convLanes(staged, tile), caps);
    let made: string | undefined;
    // Plans that are never compiled need none.
    const code = () => {
      made ??= convCode(staged, tile, names, fused, caps);
      return made;
    };
    return { fused, code };
  });

  const limit = caps.limits.maxStorageBufferBindingSize;
  const weightBytes = byteLength(elementCount(kernel) * inChannels * outChannels, spec.weightDtype);
  if (weightBytes > limit) {
    throw new TooLargeError(
      `conv: a weight of ${weightBytes} bytes does not fit in a binding of ${limit} bytes`,
    );
  }
  const sections = convSections(staged, 'f32', builds[0].fused, caps);

  const tilesPerRow = Math.ceil(outWidth / tile.pixels);
  const blocks = Math.ceil(outChannels / tile.channels);
  const staging = half ? stageHalves(spec, caps) : { dispatches: [], scratch: [] };
  const main = sections.map(({ frames: [start, end], rows, sources, byTaps, out, elements }): Dispatch => {
    const { windows, uniforms } = builds[Number(byTaps)].fused.windows(...elements);
    const tiles = tilesPerRow * (rows[1] - rows[0]);
    const groupsPerFrame =
      tile.share > 0
        ? blocks * Math.ceil(tiles / tile.workgroup)
        : Math.ceil((blocks * tiles) / tile.workgroup);
    const fields: Record<(typeof CONV_FIELDS)[number], number> = {
      firstFrame: start,
      lastFrame: end,
      firstRow: rows[0],
      lastRow: rows[1],
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
      atOut: -out.firstElement >>> 0,
    };
    return {
      label: `conv/${tile.share > 0 ? 'shared' : 'plain'} ${tile.pixels}x${tile.channels}${half ? ' f16' : ''}`,
      get wgsl() {
        return builds[Number(byTaps)].code();
      },
      operands: [
        half ? scratch(STAGED_WEIGHT, 'read') : read(1),
        ...sources.map(({ name, window }) => read(name === 'x' ? 0 : 2, window)),
        ...(half ? [scratch(SCALES, 'read')] : []),
        ...windows.map((window, k) => read(inputs + k, window)),
        write(0, out),
      ],
      uniforms: [...CONV_FIELDS.map((field) => fields[field]), ...sources.map(({ at }) => at), ...uniforms],
      workgroups: lineGrid(groupsPerFrame * (end - start), caps),
      work: {
        flops: 2 * (elements[1] - elements[0]) * inChannels * elementCount(kernel),
        // Taps that overlap, and the weight, come from the cache.
        bytes:
          byteLength(elementCount(kernel) * inChannels * outChannels, staged.weightDtype) +
          sources.reduce((sum, { window }) => sum + window.byteLength, 0) +
          resultBytes(elements[1] - elements[0], staged.outputDtype, windows),
      },
    };
  });
  return { dispatches: [...staging.dispatches, ...main], scratch: staging.scratch };
}
