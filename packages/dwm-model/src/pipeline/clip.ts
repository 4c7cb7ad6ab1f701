/**
 * Conditioning clips as they come, made into what the VAE takes: [1, 3, frames, height, width] in [-1, 1].
 * The rules are the original's at inference: another frame count means one trilinear resize of frames, height
 * and width together; only another size means nearest neighbours, frame by frame.
 */
import {
  add,
  axisSamples,
  compile,
  type Device,
  InvalidArgumentError,
  mul,
  permute,
  reshape,
  resizeLinear,
  resizeNearest,
  slice,
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

/** Source values resized at a time: 64 MB on the device, whatever the length and size of the clip. */
const GROUP_VALUES = 16 << 20;

/** @returns [1, 3, frames, height, width] in [-1, 1]. */
export async function prepareClip(device: Device, clip: Clip, size: ClipSize): Promise<Float32Array> {
  const linear = clip.frames !== size.frames;
  const frameValues = clip.height * clip.width * 3;
  const group = Math.floor(GROUP_VALUES / (frameValues * (linear ? 2 : 1)));
  const video = new Float32Array(3 * size.frames * size.height * size.width);
  for (let first = 0; first < size.frames; ) {
    const count = Math.max(1, Math.min(group, size.frames - first));
    const resized = await resizeFrames(device, clip, size, first, count, linear);
    const pixels = count * size.height * size.width;
    for (let c = 0; c < 3; c++) {
      video.set(
        resized.subarray(c * pixels, (c + 1) * pixels),
        (c * size.frames + first) * size.height * size.width,
      );
    }
    first += count;
  }
  // A clip with any value below zero counts as already in [-1, 1].
  if (clip.data instanceof Uint8Array || !video.some((value) => value < 0))
    for (let i = 0; i < video.length; i++) video[i] = video[i] * 2 - 1;
  return video;
}

/**
 * Output frames [first, first + count) as [3, count, height, width]. Trilinear, each is a mix of two source
 * frames, so the resize in space comes first and no more of the clip than those is on the device.
 */
async function resizeFrames(
  device: Device,
  clip: Clip,
  { frames, height, width }: ClipSize,
  first: number,
  count: number,
  linear: boolean,
): Promise<Float32Array> {
  const times = axisSamples(clip.frames, frames, linear ? 'linear' : 'nearest').slice(first, first + count);
  const sources = [times.map(({ low }) => low), ...(linear ? [times.map(({ high }) => high)] : [])];
  const weights = [times.map(({ lowWeight }) => lowWeight), times.map(({ highWeight }) => highWeight)];
  const inputs = { x: spec([sources.length, count, clip.height, clip.width, 3]), weights: spec([2, count]) };
  const program = await compile(device, inputs, ({ x, weights: w }) => {
    const target: [number, number, number] = [count, height, width];
    const same = clip.height === height && clip.width === width;
    let resized = same ? x : linear ? resizeLinear(x, target) : resizeNearest(x, target);
    if (linear) {
      const part = (i: number) =>
        mul(slice(resized, 0, i, 1), reshape(slice(w, 0, i, 1), [1, count, 1, 1, 1]));
      resized = add(part(0), part(1));
    }
    return { out: permute(resized, [0, 4, 1, 2, 3]) };
  });
  try {
    await program.run({ x: gather(clip, sources.flat()), weights: Float32Array.from(weights.flat()) });
    return (await program.outputs.out.read()) as Float32Array;
  } finally {
    program.destroy();
  }
}

/** Frames of a clip by number, bytes as [0, 1]. */
function gather({ data, height, width }: Clip, indices: readonly number[]): Float32Array {
  const values = height * width * 3;
  const out = new Float32Array(indices.length * values);
  for (const [i, index] of indices.entries()) {
    const frame = data.subarray(index * values, (index + 1) * values);
    if (frame instanceof Float32Array) out.set(frame, i * values);
    else for (let k = 0; k < values; k++) out[i * values + k] = frame[k] / 255;
  }
  return out;
}
