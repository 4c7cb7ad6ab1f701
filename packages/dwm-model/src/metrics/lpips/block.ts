/**
 * AlexNet's first convolution, 11x11 with stride 4, as one of stride 1 over blocks of 4x4 pixels: the picture becomes
 * 48 channels of a sixteenth of its pixels, and the kernel, grown to 12x12 with zeros, a 3x3 one.
 */
const STRIDE = 4;
const KERNEL = 11;
const PADDING = 2;
/** Blocks under the kernel. */
const REACH = Math.ceil(KERNEL / STRIDE);
export const BLOCK_CHANNELS = 3 * STRIDE * STRIDE;

/** Blocks along an axis of `size` pixels. */
export const blocks = (size: number): number => Math.floor((size + 2 * PADDING - KERNEL) / STRIDE) + REACH;

/** @param image [height, width, 3]. @returns [blocks(height), blocks(width), 48], the padding's zeros included. */
export function toBlocks(image: Float32Array, height: number, width: number): Float32Array {
  const [rows, columns] = [blocks(height), blocks(width)];
  const out = new Float32Array(rows * columns * BLOCK_CHANNELS);
  for (let y = 0; y < Math.min(height, rows * STRIDE - PADDING); y++) {
    for (let x = 0; x < Math.min(width, columns * STRIDE - PADDING); x++) {
      const [py, px] = [y + PADDING, x + PADDING];
      const block = Math.floor(py / STRIDE) * columns + Math.floor(px / STRIDE);
      const within = ((py % STRIDE) * STRIDE + (px % STRIDE)) * 3;
      for (let c = 0; c < 3; c++) out[block * BLOCK_CHANNELS + within + c] = image[(y * width + x) * 3 + c];
    }
  }
  return out;
}

/** @param weight [out, 3, 11, 11]. @returns [3, 3, 48, out]. */
export function toBlockKernel(weight: Float32Array, channels: number): Float32Array {
  const out = new Float32Array(REACH * REACH * BLOCK_CHANNELS * channels);
  for (let o = 0; o < channels; o++) {
    for (let c = 0; c < 3; c++) {
      for (let y = 0; y < KERNEL; y++) {
        for (let x = 0; x < KERNEL; x++) {
          const block = Math.floor(y / STRIDE) * REACH + Math.floor(x / STRIDE);
          const channel = ((y % STRIDE) * STRIDE + (x % STRIDE)) * 3 + c;
          out[(block * BLOCK_CHANNELS + channel) * channels + o] =
            weight[((o * 3 + c) * KERNEL + y) * KERNEL + x];
        }
      }
    }
  }
  return out;
}
