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
  planProgram,
  reshape,
  resizeLinear,
  resizeNearest,
  slice,
  spec,
  type Tensor,
  trace,
} from '@dwm/core-tensor';

/** Frames in [frames, height, width, 3] order: bytes 0..255, or floats in [0, 1] or already in [-1, 1]. */
export interface Clip {
  readonly data: Uint8Array | Float32Array;
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

/** Frames, height and width of a clip, in pixels. */
export interface ClipSize {
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

/** @throws InvalidArgumentError, naming `field`, unless the clip has frames and its data is whole. */
export function checkClip(field: string, { data, frames, height, width }: Clip, channels = 3): void {
  if (frames === 0) throw new InvalidArgumentError(field, 'the video has no frames');
  for (const [name, value] of Object.entries({ frames, height, width })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new InvalidArgumentError(field, `${name}: expected a whole number from 1 up, got ${value}`);
  }
  const values = frames * height * width * channels;
  if (data.length !== values) {
    const shape = [frames, height, width, ...(channels > 1 ? [channels] : [])];
    throw new InvalidArgumentError(
      field,
      `expected ${values} values for [${shape.join(', ')}], got ${data.length}`,
    );
  }
}

/** Source values resized at a time: 64 MB on the device, whatever the length and size of the clip. */
const GROUP_VALUES = 16 << 20;

/** Output frames made at a time. */
function groupOf(from: ClipSize, to: ClipSize): number {
  const values = from.height * from.width * 3 * (from.frames === to.frames ? 1 : 2);
  return Math.max(1, Math.min(to.frames, Math.floor(GROUP_VALUES / values)));
}

/** Bytes on the device while a clip of one size is made into another. */
export function resizeBytes(device: Device, from: ClipSize, to: ClipSize): number {
  const { inputs, network } = resizeNetwork(from, to, groupOf(from, to));
  const { memory } = planProgram(trace(inputs, network), device.caps);
  // The result is read back through a copy.
  return memory.total + memory.outputs;
}

/** @returns [1, 3, frames, height, width] in [-1, 1]. */
export async function prepareClip(device: Device, clip: Clip, size: ClipSize): Promise<Float32Array> {
  const group = groupOf(clip, size);
  const video = new Float32Array(3 * size.frames * size.height * size.width);
  for (let first = 0; first < size.frames; ) {
    const count = Math.min(group, size.frames - first);
    const resized = await resizeFrames(device, clip, size, first, count);
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
 * Frames [sources, count, …] resized and mixed into [3, count, height, width]. Trilinear, each is a mix of two
 * source frames, so the resize in space comes first and no more of the clip than those is on the device.
 */
function resizeNetwork(from: ClipSize, { frames, height, width }: ClipSize, count: number) {
  const linear = from.frames !== frames;
  const inputs = {
    x: spec([linear ? 2 : 1, count, from.height, from.width, 3]),
    weights: spec([2, count]),
  };
  const network = ({ x, weights }: { x: Tensor; weights: Tensor }) => {
    const target: [number, number, number] = [count, height, width];
    const same = from.height === height && from.width === width;
    const resized = same ? x : linear ? resizeLinear(x, target) : resizeNearest(x, target);
    const part = (i: number) =>
      mul(slice(resized, 0, i, 1), reshape(slice(weights, 0, i, 1), [1, count, 1, 1, 1]));
    return { out: permute(linear ? add(part(0), part(1)) : resized, [0, 4, 1, 2, 3]) };
  };
  return { inputs, network };
}

/** Output frames [first, first + count) as [3, count, height, width]. */
async function resizeFrames(
  device: Device,
  clip: Clip,
  size: ClipSize,
  first: number,
  count: number,
): Promise<Float32Array> {
  const linear = clip.frames !== size.frames;
  const samples = axisSamples(clip.frames, size.frames, linear ? 'linear' : 'nearest');
  const times = samples.slice(first, first + count);
  const sources = [...times.map(({ low }) => low), ...(linear ? times.map(({ high }) => high) : [])];
  const weights = [...times.map(({ lowWeight }) => lowWeight), ...times.map(({ highWeight }) => highWeight)];
  const { inputs, network } = resizeNetwork(clip, size, count);
  const program = await compile(device, inputs, network);
  try {
    await program.run({ x: gather(clip, sources), weights: Float32Array.from(weights) });
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
