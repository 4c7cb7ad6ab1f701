/**
 * Cutting a convolution so that every operand fits in a binding: into runs of whole output frames; a frame that
 * is too large itself, with the kt frames it reads, into runs of its rows. Rows of several frames do not lie
 * together, so there the frame of each tap in time is bound apart.
 */
import type { DeviceCaps } from '../caps.ts';
import { bytesOf, type DType } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { splitRange, type Window, windowOf } from '../pointwise/access.ts';
import { type FusedCode, largestWindow, offsetAlignment } from '../pointwise/fusion.ts';
import { type ConvSpec, convOutputShape, sourceFrame } from './geometry.ts';

type Range = readonly [start: number, end: number];

interface ConvSection {
  /** Output frames, counted over the batch. */
  readonly frames: Range;
  readonly rows: Range;
  /** x, then the cache if there is one; in a section of rows the frame of each tap in time. */
  readonly sources: readonly {
    readonly name: 'x' | 'cache';
    readonly window: Window;
    /** Where the frame starts in the window, in elements (modulo 2^32); of whole frames, where frame 0 does. */
    readonly at: number;
  }[];
  readonly byTaps: boolean;
  readonly out: Window;
  /** Flat indices of the output. */
  readonly elements: Range;
}

/** @param dtype of x and the cache as they are bound. */
export function convSections(
  spec: ConvSpec,
  dtype: DType,
  fused: FusedCode,
  caps: DeviceCaps,
): ConvSection[] {
  const { batch, frames, height, width, inChannels, outChannels, kernel, stride, upsample, cached } = spec;
  const [, outFrames, outHeight, outWidth] = convOutputShape(spec);
  const last = kernel[0] - 1;
  const alignment = offsetAlignment(caps);
  const limit = caps.limits.maxStorageBufferBindingSize;
  const inRow = width * inChannels;
  const inFrame = height * inRow;
  const outRow = outWidth * outChannels;
  const outFrame = outHeight * outRow;
  const xCount = batch * frames * inFrame;
  const cacheCount = batch * last * inFrame;
  const window = (low: number, high: number, count: number) => windowOf(low, high, count, dtype, alignment);
  const outWindow = ([start, end]: Range) =>
    windowOf(start, end - 1, batch * outFrames * outFrame, spec.outputDtype, alignment);
  const fits = ({ sources, out, elements }: ConvSection) =>
    Math.max(
      ...sources.map((source) => source.window.byteLength),
      out.byteLength,
      largestWindow(fused, ...elements),
    ) <= limit;

  const ofFrames = (start: number, end: number): ConvSection => {
    const first = Math.floor(start / outFrames);
    const final = Math.floor((end - 1) / outFrames);
    const [from, to] = [start - first * outFrames, end - 1 - final * outFrames];
    // Folded, frames lie `last` further on.
    const ahead = spec.adjoint === 'folded' ? last : 0;
    // From a clip's first frames on, the next clip's reach back no further than its own frame 0.
    const low = first * frames + sourceFrame(Math.max(0, from + ahead - last), upsample);
    const high = final * frames + Math.min(frames - 1, sourceFrame(to + ahead, upsample));
    const cacheLow = first * last + Math.min(from, last - 1);
    const cacheHigh = final * last + (first === final && from >= last ? Math.min(to, last - 1) : last - 1);
    const x = window(low * inFrame, (high + 1) * inFrame - 1, xCount);
    const sources: ConvSection['sources'][number][] = [{ name: 'x', window: x, at: -x.firstElement >>> 0 }];
    if (cached) {
      const cache = window(cacheLow * inFrame, (cacheHigh + 1) * inFrame - 1, cacheCount);
      sources.push({ name: 'cache', window: cache, at: -cache.firstElement >>> 0 });
    }
    const elements = [start * outFrame, end * outFrame] as const;
    const rows = [0, outHeight] as const;
    return { frames: [start, end], rows, sources, byTaps: false, out: outWindow(elements), elements };
  };

  const ofRows = (frame: number, start: number, end: number): ConvSection => {
    const clip = Math.floor(frame / outFrames);
    const t = frame % outFrames;
    const row = (y: number) =>
      Math.min(height - 1, Math.max(0, Math.floor((y - spec.padding.top) / upsample.space)));
    const [low, high] = [row(start * stride), row((end - 1) * stride + kernel[1] - 1)];
    const sources = Array.from({ length: kernel[0] }, (_, i): ConvSection['sources'][number] => {
      const time = t + i - last;
      const fromCache = time < 0 && cached;
      const at = fromCache
        ? (clip * last + time + last) * inFrame
        : (clip * frames + sourceFrame(Math.max(0, time), upsample)) * inFrame;
      const count = fromCache ? cacheCount : xCount;
      const bound = window(at + low * inRow, at + (high + 1) * inRow - 1, count);
      return { name: fromCache ? 'cache' : 'x', window: bound, at: (at - bound.firstElement) >>> 0 };
    });
    const elements = [frame * outFrame + start * outRow, frame * outFrame + end * outRow] as const;
    const out = outWindow(elements);
    return { frames: [frame, frame + 1], rows: [start, end], sources, byTaps: true, out, elements };
  };

  const runs = splitRange(
    batch * outFrames,
    1,
    (start, end) => end - start === 1 || fits(ofFrames(start, end)),
    () => new TooLargeError('conv: no frames'),
  );
  return runs.flatMap(([start, end]) => {
    const whole = ofFrames(start, end);
    if (fits(whole)) return [whole];
    const tooLarge = () =>
      new TooLargeError(
        `conv: one output row of ${outRow * bytesOf(spec.outputDtype)} bytes or the rows of ${inRow * bytesOf(dtype)} that it reads do not fit in bindings of ${limit} bytes; use tiling or a smaller size`,
      );
    // Gradients of clips that large are not taken.
    if (spec.adjoint) throw tooLarge();
    return splitRange(outHeight, 1, (y, yEnd) => fits(ofRows(start, y, yEnd)), tooLarge).map((rows) =>
      ofRows(start, ...rows),
    );
  });
}
