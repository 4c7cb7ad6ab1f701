/**
 * The two crossings of a video: up as bytes, and down as bytes. What lies between has no rounding: a byte b becomes the
 * f32 nearest to b / 255 on every device, and is mapped to [-1, 1].
 */
import {
  add,
  cast,
  type Device,
  DeviceTensor,
  evaluate,
  maximum,
  minimum,
  mul,
  type Plan,
  pad,
  parameter,
  planProgram,
  resizeLinear,
  resizeNearest,
  spec,
  sub,
  type Tensor,
  trace,
} from '@dwm/core-tensor';
import { roundHalfEven } from '../schedulers/timesteps.ts';
import type { LatentSize } from '../vae/config.ts';
import type { DeviceVideo, Video, VideoSize } from './video.ts';

/** How a video of another size becomes a run's: stretched, or whole with black bars. */
export type Fit = 'stretch' | 'letterbox';

/** Bytes of pictures that are resized at a time, where frames need no others. */
const GROUP_BYTES = 2 ** 28;

/**
 * Bytes as f32 in [-1, 1]. The first product is exact, so that the sum, which is rounded once, is the f32 nearest to
 * b / 255; a division is not on every device. The minimum changes no value: a compiler may not take the factor out of
 * the sum past it.
 */
export function unit(bytes: Tensor): Tensor {
  const share = add(minimum(1, mul(bytes, 65793 / 2 ** 24)), mul(bytes, 1 / (255 * 2 ** 24)));
  return sub(mul(share, 2), 1);
}

/** Values of [-1, 1] as those of [0, 1], clamped. */
export const displayed = (video: Tensor): Tensor => minimum(1, maximum(0, add(mul(video, 0.5), 0.5)));

/** Values of [-1, 1] as displayed bytes: those of [0, 1] times 255, cut to whole numbers, as the original saves. */
export const displayedBytes = (video: Tensor): Tensor => cast(mul(displayed(video), 255), 'u8');

const shapeOf = ({ frames, height, width }: VideoSize) => [1, frames, height, width, 3];

/** Whole frames of `video`, bytes [1, frames, height, width, 3], at `size`. */
function resized(video: Tensor, size: VideoSize, fit: Fit = 'stretch'): Tensor {
  const [, frames, height, width] = video.shape;
  const target: [number, number, number] = [size.frames, size.height, size.width];
  if (frames === size.frames && height === size.height && width === size.width) return video;
  if (fit === 'letterbox') {
    const inner = letterboxSize({ height, width }, size);
    const [top, left] = [size.height - inner.height, size.width - inner.width].map((bars) =>
      Math.floor(bars / 2),
    );
    const picture = resizeLinear(video, [frames, inner.height, inner.width]);
    const rows = pad(picture, 2, top, size.height - inner.height - top);
    return pad(rows, 3, left, size.width - inner.width - left);
  }
  return frames === size.frames ? resizeNearest(video, target) : resizeLinear(video, target);
}

/**
 * Size of a picture whole inside another: the short sides are made to match, or, where that does not fit, all of it.
 */
export function letterboxSize(
  from: Pick<VideoSize, 'height' | 'width'>,
  to: Pick<VideoSize, 'height' | 'width'>,
): { height: number; width: number } {
  const scaled = (scale: number) => ({
    height: Math.max(1, roundHalfEven(from.height * scale)),
    width: Math.max(1, roundHalfEven(from.width * scale)),
  });
  const inner = scaled(Math.min(to.height, to.width) / Math.min(from.height, from.width));
  return inner.height <= to.height && inner.width <= to.width
    ? inner
    : scaled(Math.min(to.height / from.height, to.width / from.width));
}

/** Frames that go up at a time. */
const groupOf = (from: VideoSize, to: VideoSize): number =>
  from.frames === to.frames
    ? Math.min(from.frames, Math.max(1, Math.floor(GROUP_BYTES / (from.height * from.width * 3))))
    : from.frames;

/** Most bytes on the device while a video of one size is made into one of another, the result included. */
export function planTransfer(
  device: Device,
  from: VideoSize,
  to: VideoSize,
  fit?: Fit,
): { readonly bytes: number; readonly plan: Plan } {
  const frames = groupOf(from, to);
  const size = from.frames === to.frames ? { ...to, frames } : to;
  const x = spec(shapeOf({ ...from, frames }), 'u8');
  const plan = planProgram(
    trace({ x }, (given) => ({ video: unit(resized(given.x, size, fit)) })),
    device,
  );
  const whole = frames < from.frames ? 4 * to.frames * to.height * to.width * 3 : 0;
  return { bytes: plan.memory.total + whole, plan };
}

/**
 * Bytes on the device beside a stage: the clip that goes in, the posterior of the one before, and the latents as they
 * are and as the decoder has them. For compositing, the static video and its latents stay.
 */
export function besideStages(
  { frames, height, width }: VideoSize,
  latent: LatentSize,
  composite: boolean,
): Record<'encode' | 'denoise' | 'decode', number> {
  const video = 4 * frames * height * width * 3;
  const latents = 4 * latent.frames * latent.channels * latent.height * latent.width;
  const kept = composite ? video : 0;
  const stays = kept + (composite ? latents : 0);
  return { encode: kept + video + 2 * latents, denoise: stays, decode: stays + kept + 2 * latents };
}

/**
 * Bytes up, once, and brought to the size of a run: another number of frames means one trilinear resize of frames,
 * height and width together, only another size nearest neighbours, as in the original.
 */
export async function toDevice(
  device: Device,
  video: Video,
  size: VideoSize,
  fit?: Fit,
): Promise<DeviceVideo> {
  const group = groupOf(video, size);
  const frameBytes = video.height * video.width * 3;
  const part = async (first: number, frames: number): Promise<DeviceVideo> => {
    const data = video.data.subarray(first * frameBytes, (first + frames) * frameBytes);
    const bytes = DeviceTensor.from(device, data, shapeOf({ ...video, frames }), 'u8', 'video');
    try {
      const to = video.frames === size.frames ? { ...size, frames } : size;
      return (await evaluate(device, { video: unit(resized(parameter(bytes), to, fit)) })).video;
    } finally {
      bytes.destroy();
    }
  };
  if (group === video.frames) return part(0, group);
  const whole = new DeviceTensor(device, spec(shapeOf(size)), 'video');
  try {
    for (let first = 0; first < video.frames; first += group) {
      const made = await part(first, Math.min(group, video.frames - first));
      whole.copyFrom(made, { to: first * size.height * size.width * 3, count: made.elementCount });
      made.destroy();
    }
    return whole;
  } catch (error) {
    whole.destroy();
    throw error;
  }
}

/**
 * Video down as displayed bytes, once, for the page and the command alike: they give the same bytes.
 */
export async function toBytes(video: DeviceVideo): Promise<Video> {
  const { bytes } = await evaluate(video.device, { bytes: displayedBytes(parameter(video)) });
  try {
    const [, frames, height, width] = video.shape;
    return { data: (await bytes.read()) as Uint8Array, frames, height, width };
  } finally {
    bytes.destroy();
  }
}
