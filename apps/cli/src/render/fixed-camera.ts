/**
 * The rules of the original's preparation of fixed-camera clips (data_processing/custom): which frames make up the
 * clip, and how a picture of another shape is brought into 720x480.
 */
import { type RgbImage, resizeSmooth } from '@dwm/media/node';
import type { Intrinsics } from '@dwm/renderer';

/** Half a millionth of a tick: times are rounded to doubles, and ties go up, as FFmpeg's do in whole numbers. */
const tickOf = (seconds: number, fps: number) => Math.floor(seconds * fps + 0.5 + 1e-6);

/**
 * Ticks of a clip at `fps` that a video fills by itself. FFmpeg's `fps` filter rounds the end of the last frame like any other
 * time, so 2.669 s are 21 ticks of 1/8 s, and the frames of the last half tick may never be shown. At least one: FFmpeg gives nothing of a
 * video of less than half a tick.
 * @param timestamps seconds, ascending; `lastDuration` of the last frame.
 */
export function ticksFilled(timestamps: readonly number[], lastDuration: number, fps: number): number {
  return Math.max(1, tickOf(timestamps.at(-1)! - timestamps[0] + lastDuration, fps));
}

/**
 * Frame numbers of `frames` frames at `fps`, as FFmpeg's filters `setpts=PTS-STARTPTS,fps,tpad=stop_mode=clone` give them. A frame counts
 * for the tick its time is nearest to, a tick shows the last frame that counts for it or an earlier one; what the last filled
 * tick shows is repeated at the end of a short video.
 * @param timestamps seconds, ascending; `lastDuration` of the last frame.
 */
export function framesAtRate(
  timestamps: readonly number[],
  lastDuration: number,
  fps: number,
  frames: number,
): number[] {
  const filled = ticksFilled(timestamps, lastDuration, fps);
  const indices: number[] = [];
  let index = 0;
  for (let tick = 0; tick < frames; tick++) {
    const counts = (i: number) => tickOf(timestamps[i] - timestamps[0], fps) <= Math.min(tick, filled - 1);
    while (index + 1 < timestamps.length && counts(index + 1)) index++;
    indices.push(index);
  }
  return indices;
}

export type ResizePolicy = 'auto' | 'pad' | 'crop';

/** Where a whole source picture lies in the target, in pixels; `left` and `top` are below zero where it is cut. */
export interface Placement {
  readonly mode: 'pad' | 'crop';
  /** Share of the target that is black, and of the source that is cut off. */
  readonly loss: number;
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly top: number;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * `auto` takes the way that loses the smaller share. In exact numbers both lose the same, 1 - the quotient of the
 * two aspect ratios, so it is a letterbox unless rounding says otherwise; the sums are the original's, term by term, so it says the same here.
 */
export function placementOf(source: Size, target: Size, policy: ResizePolicy): Placement {
  const ratios = [target.width / source.width, target.height / source.height];
  const area = (scale: number) => source.width * scale * (source.height * scale);
  const whole = target.width * target.height;
  const padLoss = Math.max(0, 1 - area(Math.min(...ratios)) / whole);
  const cropLoss = Math.max(0, 1 - whole / area(Math.max(...ratios)));
  const crop = policy === 'crop' || (policy === 'auto' && cropLoss < padLoss);
  const scale = crop ? Math.max(...ratios) : Math.min(...ratios);
  const [width, height] = [Math.round(source.width * scale), Math.round(source.height * scale)];
  // Even, as the chroma of 4:2:0 video has half the pixels.
  const offset = (space: number) => 2 * Math.floor(space / 4);
  return {
    mode: crop ? 'crop' : 'pad',
    loss: crop ? cropLoss : padLoss,
    width,
    height,
    left: offset(target.width - width),
    top: offset(target.height - height),
  };
}

/** The picture at its place in `out` [height, width, 3], which is black elsewhere. */
export function place(image: RgbImage, { width, height, left, top }: Placement, out: RgbImage): void {
  const scaled = resizeSmooth(image, height, width);
  out.data.fill(0);
  const columns = Math.min(width + Math.min(0, left), out.width - Math.max(0, left));
  for (let row = Math.max(0, -top); row < Math.min(height, out.height - top); row++) {
    const from = (row * width + Math.max(0, -left)) * 3;
    out.data.set(
      scaled.data.subarray(from, from + columns * 3),
      ((row + top) * out.width + Math.max(0, left)) * 3,
    );
  }
}

/** The camera that saw the source picture, for the target. */
export function placedIntrinsics(camera: Intrinsics, placement: Placement, target: Size): Intrinsics {
  const [sx, sy] = [placement.width / camera.width, placement.height / camera.height];
  return {
    fx: camera.fx * sx,
    fy: camera.fy * sy,
    cx: camera.cx * sx + placement.left,
    cy: camera.cy * sy + placement.top,
    width: target.width,
    height: target.height,
  };
}

/** Makes what lies outside the picture black again: a hand may reach into the bars. */
export function blackOutside(image: RgbImage, { left, top, width, height }: Placement): void {
  for (let y = 0; y < image.height; y++) {
    const row = image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3);
    if (y < top || y >= top + height) row.fill(0);
    row.subarray(0, Math.max(0, left) * 3).fill(0);
    row.subarray(Math.min(image.width, left + width) * 3).fill(0);
  }
}
