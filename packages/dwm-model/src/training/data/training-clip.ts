/**
 * Clips as the original loads them for training, which is not as it does at inference, nor for encoding: every
 * `step`-th frame of the clip up to 49, bilinear in space, and only a clip with too few frames is stretched in
 * time.
 */
import { axisSamples, compile, type Device, resizeLinear, spec } from '@dwm/core-tensor';
import { checkVideo, type Video, type VideoSize } from '../../video/video.ts';

/** Frames that training takes of a clip of `frames`: 0, step, 2 step, … with step = max(1, frames // most). */
export function trainingFrames(frames: number, most: number): number[] {
  const step = Math.max(1, Math.floor(frames / most));
  const count = Math.min(most, Math.ceil(frames / step));
  return Array.from({ length: count }, (_, i) => i * step);
}

/**
 * Frames that the original's encode script takes of a clip: `most` from the first to the last, at equal distances, rounded
 * half to even; of one frame, that one over and over.
 */
export function scriptFrames(frames: number, most: number): number[] {
  return Array.from({ length: most }, (_, i) => {
    if (most === 1) return 0;
    const at = (i * (frames - 1)) / (most - 1);
    return at % 1 === 0.5 ? 2 * Math.round(at / 2) : Math.round(at);
  });
}

/** Frames of a clip of `count` one after another, `most` of them, from `share` of the way to the last start. */
export function consecutiveFrames(count: number, most: number, share: number): number[] {
  const start = Math.floor(share * (Math.max(0, count - most) + 1));
  return Array.from({ length: most }, (_, i) => Math.min(count - 1, start + i));
}

/**
 * @param clip the frames of `trainingFrames`, bytes 0 to 255.
 * @returns [frames, height, width, 3] in [-1, 1].
 */
export async function prepareTrainingClip(
  device: Device,
  clip: Video,
  size: VideoSize,
): Promise<Float32Array> {
  checkVideo('clip', clip);
  const { height, width } = size;
  const pixels = height * width;
  const same = clip.height === height && clip.width === width;
  const program = same
    ? undefined
    : await compile(device, { x: spec([1, 1, clip.height, clip.width, 3]) }, ({ x }) => ({
        out: resizeLinear(x, [1, height, width]),
      }));
  const frames: Float32Array[] = [];
  try {
    const values = clip.height * clip.width * 3;
    for (let f = 0; f < clip.frames; f++) {
      const frame = Float32Array.from(clip.data.subarray(f * values, (f + 1) * values));
      if (!program) frames.push(frame);
      else {
        await program.run({ x: frame });
        frames.push((await program.outputs.out.read()) as Float32Array);
      }
    }
  } finally {
    program?.destroy();
  }
  const times = axisSamples(clip.frames, size.frames, 'linear');
  const out = new Float32Array(3 * size.frames * pixels);
  for (const [f, { low, high, lowWeight, highWeight }] of times.entries()) {
    const [before, after] = [frames[low], frames[high]];
    for (let i = 0; i < 3 * pixels; i++)
      out[f * 3 * pixels + i] = (lowWeight * before[i] + highWeight * after[i]) / 127.5 - 1;
  }
  return out;
}
