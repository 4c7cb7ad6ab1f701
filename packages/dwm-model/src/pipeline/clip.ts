/**
 * Conditioning clips as they come, made into what the VAE takes: [1, 3, frames, height, width] in [-1, 1].
 * The rules are the original's at inference: another frame count means one trilinear resize of frames, height
 * and width together; only another size means nearest neighbours, frame by frame.
 */
import {
  compile,
  type Device,
  InvalidArgumentError,
  permute,
  resizeLinear,
  resizeNearest,
  spec,
} from '@dwm/core-tensor';

/** Frames in [frames, height, width, 3] order: bytes 0..255, or floats in [0, 1] or already in [-1, 1]. */
export interface Clip {
  readonly data: Uint8Array | Float32Array;
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

export interface ClipSize {
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

/** @throws InvalidArgumentError, naming `field`, unless the clip has frames and its data is whole. */
export function checkClip(field: string, { data, frames, height, width }: Clip): void {
  if (frames < 1) throw new InvalidArgumentError(field, 'the video has no frames');
  if (data.length !== frames * height * width * 3) {
    throw new InvalidArgumentError(
      field,
      `expected ${frames * height * width * 3} values for [${frames}, ${height}, ${width}, 3], got ${data.length}`,
    );
  }
}

/** @returns [1, 3, frames, height, width] in [-1, 1]. */
export async function prepareClip(device: Device, clip: Clip, size: ClipSize): Promise<Float32Array> {
  const { data, frames, height, width } = clip;
  const bytes = data instanceof Uint8Array;
  const unit = bytes ? Float32Array.from(data, (value) => value / 255) : data;
  const target: [number, number, number] = [size.frames, size.height, size.width];
  const program = await compile(device, { x: spec([1, frames, height, width, 3]) }, ({ x }) => {
    let resized = x;
    if (frames !== size.frames) resized = resizeLinear(x, target);
    else if (height !== size.height || width !== size.width) resized = resizeNearest(x, target);
    return { out: permute(resized, [0, 4, 1, 2, 3]) };
  });
  try {
    await program.run({ x: unit });
    const video = (await program.outputs.out.read()) as Float32Array;
    // A clip with any value below zero counts as already in [-1, 1].
    if (bytes || !video.some((value) => value < 0))
      for (let i = 0; i < video.length; i++) video[i] = video[i] * 2 - 1;
    return video;
  } finally {
    program.destroy();
  }
}
