/**
 * Compositing: what nothing has touched stays as it was, to the pixel. A VAE loses detail and a denoiser adds errors
 * everywhere; where a generated frame shows the static scene to within such errors, the static video's own pixels are
 * put in its place, with a soft edge:
 *
 *     d = sqrt( blur( mean over channels (generated - decoded)² ) )
 *     y = static + clamp((d - SAME) / (OTHER - SAME), 0, 1) · (generated - static)
 *
 * `decoded` is what the VAE makes of the static video, so that what it loses is no difference. Not in the original.
 */
import {
  add,
  compile,
  constant,
  type Device,
  DeviceTensor,
  div,
  less,
  matmul,
  maximum,
  minimum,
  mul,
  permute,
  reshape,
  spec,
  sqrt,
  sub,
  sum,
  type Tensor,
  where,
} from '@dwm/core-tensor';
import type { DeviceVideo } from '../video/video.ts';

/** In steps of 8 bits: a difference up to SAME is none, and from OTHER on nothing of the static video is left. */
const [SAME, OTHER] = [6, 18];
/** Of which [-1, 1] has 255. */
const STEP = 2 / 255;

/**
 * Composites a generated video over the static one.
 * @param generated its frames past those of `still` are left as they are.
 * @param decoded the static video encoded and decoded, as many frames.
 * @param still the static video itself.
 * @param sigma standard deviation of the blur, pixels.
 * @returns a video of the size of `generated`, the caller's.
 */
export async function compositeStatic(
  device: Device,
  generated: DeviceVideo,
  decoded: DeviceVideo,
  still: DeviceVideo,
  sigma: number,
): Promise<DeviceVideo> {
  const [, frames, height, width] = still.shape;
  const one = spec([1, 1, height, width, 3]);
  const program = await compile(device, { made: one, scene: one, own: one }, ({ made, scene, own }) => ({
    frame: composited(made, scene, own, sigma),
  }));
  const out = generated.clone('composited video');
  const frame = [generated, decoded, still].map(() => new DeviceTensor(device, one, 'frame'));
  const [made, scene, own] = frame;
  const count = height * width * 3;
  try {
    for (let at = 0; at < frames; at++) {
      for (const [i, video] of [generated, decoded, still].entries())
        frame[i].copyFrom(video, { from: at * count, count });
      const result = await program.run({ made, scene, own });
      out.copyFrom(result.frame, { to: at * count, count });
    }
    return out;
  } catch (error) {
    out.destroy();
    throw error;
  } finally {
    program.destroy();
    for (const tensor of frame) tensor.destroy();
  }
}

/** Frames [1, frames, height, width, 3] composited; a scene of one frame stands for all. */
export function composited(made: Tensor, scene: Tensor, own: Tensor, sigma: number): Tensor {
  const [, frames, height, width] = made.shape;
  const difference = sub(made, scene);
  const squares = div(sum(mul(difference, difference), [4]), 3);
  const blurred = blur(reshape(squares, [frames, height, width]), sigma);
  const steps = div(sqrt(blurred), STEP);
  const share = reshape(minimum(1, maximum(0, div(sub(steps, SAME), OTHER - SAME))), [
    1,
    frames,
    height,
    width,
    1,
  ]);
  const mixed = add(own, mul(share, sub(made, own)));
  return where(less(share, 1), mixed, made);
}

/** Pictures [frames, height, width] blurred along both; beyond their edges nothing counts. */
function blur(pictures: Tensor, sigma: number): Tensor {
  const [frames, height, width] = pictures.shape;
  const along = (rows: Tensor, length: number) =>
    matmul(rows, constant(window(length, sigma), [length, length]));
  const alongRows = along(reshape(pictures, [frames * height, width]), width);
  const turned = permute(reshape(alongRows, [frames, height, width]), [0, 2, 1]);
  const alongColumns = along(reshape(turned, [frames * width, height]), height);
  return permute(reshape(alongColumns, [frames, width, height]), [0, 2, 1]);
}

/** What every pixel of a line gives to every other, [from, to]: a Gaussian up to three deviations away. */
function window(length: number, sigma: number): Float32Array {
  const reach = Math.ceil(3 * sigma);
  const out = new Float32Array(length * length);
  for (let to = 0; to < length; to++) {
    const [first, last] = [Math.max(0, to - reach), Math.min(length - 1, to + reach)];
    let total = 0;
    for (let from = first; from <= last; from++) total += Math.exp(-((from - to) ** 2) / (2 * sigma ** 2));
    for (let from = first; from <= last; from++)
      out[from * length + to] = Math.exp(-((from - to) ** 2) / (2 * sigma ** 2)) / total;
  }
  return out;
}
