/**
 * The inpainting mask: which pixels of the static video the model may not see. DWM's own inference passes
 * all zeros (everything is seen); the general form is kept because the base model's pipeline has it.
 */
import {
  compile,
  concat,
  type Device,
  InvalidArgumentError,
  resizeLinear,
  slice,
  spec,
  type Tensor,
} from '@dwm/core-tensor';
import type { ClipSize } from './clip.ts';

/** One value a pixel, [frames, height, width]; 0 keeps the pixel, anything else hides it. */
export interface Mask extends ClipSize {
  readonly data: Uint8Array;
}

/** Nearest-neighbour resize of the mask to `size`, as 0 and 1. */
export function binaryMask(mask: Mask, size: ClipSize): Uint8Array {
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

/** The static video [1, 3, F, H, W] with hidden pixels at `shown`. */
export function hideMasked(video: Float32Array, hidden: Uint8Array, shown: number): Float32Array {
  return video.map((value, i) => (hidden[i % hidden.length] === 1 ? shown : value));
}

/**
 * 1 - mask at latent size, [latent frames, height, width]: trilinear, the first frame on its own as the
 * causal VAE has it.
 */
export async function latentVisibility(
  device: Device,
  hidden: Uint8Array,
  size: ClipSize,
  latent: ClipSize,
): Promise<Float32Array> {
  const { frames, height, width } = size;
  const program = await compile(device, { x: spec([1, frames, height, width, 1]) }, ({ x }) => {
    const pieces: Tensor[] = [resizeLinear(slice(x, 1, 0, 1), [1, latent.height, latent.width])];
    if (frames > 1) {
      const rest = slice(x, 1, 1, frames - 1);
      pieces.push(resizeLinear(rest, [latent.frames - 1, latent.height, latent.width]));
    }
    return { out: concat(pieces, 1) };
  });
  try {
    const visible = new Float32Array(hidden.length);
    for (let i = 0; i < hidden.length; i++) visible[i] = 1 - hidden[i];
    await program.run({ x: visible });
    return (await program.outputs.out.read()) as Float32Array;
  } finally {
    program.destroy();
  }
}
