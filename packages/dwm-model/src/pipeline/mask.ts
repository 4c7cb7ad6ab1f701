/**
 * The inpainting mask: which pixels of the static video the model may not see. DWM's own inference passes
 * all zeros (everything is seen); the general form is kept because the base model's pipeline has it.
 */
import {
  concat,
  type Device,
  DeviceTensor,
  InvalidArgumentError,
  parameter,
  resizeLinear,
  slice,
  sub,
  type Tensor,
  where,
} from '@dwm/core-tensor';
import type { VideoSize } from '../video/video.ts';

/** One value a pixel, [frames, height, width]; 0 keeps the pixel, anything else hides it. */
export interface Mask extends VideoSize {
  readonly data: Uint8Array;
}

/** Nearest-neighbour resize of the mask to `size`, as 0 and 1. */
function binaryMask(mask: Mask, size: VideoSize): Uint8Array {
  if (mask.frames !== size.frames) {
    throw new InvalidArgumentError('mask', `expected ${size.frames} frames, got ${mask.frames}`);
  }
  const out = new Uint8Array(size.frames * size.height * size.width);
  let at = 0;
  for (let t = 0; t < size.frames; t++) {
    for (let y = 0; y < size.height; y++) {
      const row = (t * mask.height + Math.floor((y * mask.height) / size.height)) * mask.width;
      for (let x = 0; x < size.width; x++) {
        out[at++] = mask.data[row + Math.floor((x * mask.width) / size.width)] === 0 ? 0 : 1;
      }
    }
  }
  return out;
}

/** A mask at the size of a run: 1 hides a pixel. */
interface HiddenPixels {
  /** On the device, [1, frames, height, width, 1]; nothing where no pixel is hidden, or all are. */
  readonly some: DeviceTensor | undefined;
  readonly all: boolean;
}

/** The mask of a run on the device; its tensor is the caller's. */
export function hiddenPixels(device: Device, mask: 'zeros' | 'none' | Mask, size: VideoSize): HiddenPixels {
  if (typeof mask === 'string') return { some: undefined, all: false };
  const hidden = binaryMask(mask, size);
  const count = hidden.reduce((sum, value) => sum + value, 0);
  const all = count === hidden.length;
  const shape = [1, size.frames, size.height, size.width, 1];
  return {
    all,
    some: count > 0 && !all ? DeviceTensor.from(device, hidden, shape, 'u8', 'mask') : undefined,
  };
}

/** The static video with hidden pixels at `shown`. */
export const hideMasked = (video: Tensor, hidden: DeviceTensor, shown: number): Tensor =>
  where(parameter(hidden), shown, video);

/**
 * 1 - mask at latent size, [1, latent frames, h, w, 1]: trilinear, the first frame on its own as the causal VAE has it.
 */
export function latentVisibility(hidden: DeviceTensor, latent: VideoSize): Tensor {
  const x = sub(1, parameter(hidden));
  const frames = hidden.shape[1];
  const first = resizeLinear(slice(x, 1, 0, 1), [1, latent.height, latent.width]);
  if (frames === 1) return first;
  const rest = slice(x, 1, 1, frames - 1);
  return concat([first, resizeLinear(rest, [latent.frames - 1, latent.height, latent.width])], 1);
}
