/** A rendered view back on the host, in float32. */
import type { Device } from '@dwm/core-tensor';
import type { SplatImage } from './renderer.ts';

/** Pixels of drawn splats. */
export interface SplatPixels {
  readonly width: number;
  readonly height: number;
  /** Over the background, in [0, 1], [height, width, 3]. */
  readonly rgb: Float32Array;
  /** Coverage 1 - T, [height, width]. */
  readonly alpha: Float32Array;
  /** Mean depth, [height, width], 0 where nothing is. */
  readonly depth: Float32Array;
  /** Depth of half coverage, [height, width], 0 where there is less. */
  readonly medianDepth: Float32Array;
}

/** @throws what `device.wait` throws: everything that went wrong in rendering. */
export async function readSplatImage(device: Device, image: SplatImage): Promise<SplatPixels> {
  const { width, height } = image;
  const pixels = width * height;
  const colors = new Float32Array(await device.read(image.colorTensor));
  const depths = new Float32Array(await device.read(image.depthTensor));
  return {
    width,
    height,
    rgb: Float32Array.from({ length: 3 * pixels }, (_, i) => colors[4 * Math.floor(i / 3) + (i % 3)]),
    alpha: Float32Array.from({ length: pixels }, (_, i) => colors[4 * i + 3]),
    depth: Float32Array.from({ length: pixels }, (_, i) => depths[2 * i]),
    medianDepth: Float32Array.from({ length: pixels }, (_, i) => depths[2 * i + 1]),
  };
}
