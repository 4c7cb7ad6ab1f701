/**
 * Convolutions of the VAE: x [1, frames, height, width, in] with a weight [kt, 3, 3, in, out] and a bias, zeros
 * around each frame. With kt = 3 it looks back at the kt - 1 frames in `cache`; with kt = 1 it is conv2d.
 */
import { convReference } from '@dwm/kernels-wgsl/testing';
import { type Arrays, type Family, sampleOf } from './workload.ts';

export interface Conv {
  readonly op: 'conv';
  readonly kt: 1 | 3;
  readonly frames: number;
  readonly height: number;
  readonly width: number;
  readonly inChannels: number;
  readonly outChannels: number;
}

const POSITIONS = 40;
const TAPS = 3;

export const convFamily: Family<Conv> = {
  inputs: ({ kt, frames, height, width, inChannels }) => ({
    x: [1, frames, height, width, inChannels],
    ...(kt > 1 && { cache: [1, kt - 1, height, width, inChannels] }),
  }),
  weights: ({ kt, inChannels, outChannels }) => ({
    weight: [kt, TAPS, TAPS, inChannels, outChannels],
    bias: [outChannels],
  }),
  output: ({ frames, height, width, outChannels }) => [1, frames, height, width, outChannels],
  flops: ({ kt, frames, height, width, inChannels, outChannels }) =>
    2 * frames * height * width * inChannels * outChannels * kt * TAPS * TAPS,
  expected(task, values, random) {
    const { frames, height, width, outChannels } = task;
    const positions = sampleOf(frames * height * width, POSITIONS, random);
    return {
      at: positions.flatMap((p) => Array.from({ length: outChannels }, (_, n) => p * outChannels + n)),
      values: positions.flatMap((p) => atPosition(task, values, p)),
    };
  },
};

/** The reference on the receptive field of one position alone. */
function atPosition(task: Conv, values: Arrays, position: number): number[] {
  const { kt, height, width, inChannels, outChannels } = task;
  const patch = new Float32Array(kt * TAPS * TAPS * inChannels);
  const frame = Math.floor(position / (height * width));
  const [row, column] = [Math.floor(position / width) % height, position % width];
  for (let tap = 0; tap < kt * TAPS * TAPS; tap++) {
    const time = frame + Math.floor(tap / (TAPS * TAPS)) - (kt - 1);
    const y = row + (Math.floor(tap / TAPS) % TAPS) - 1;
    const x = column + (tap % TAPS) - 1;
    if (y < 0 || y >= height || x < 0 || x >= width) continue;
    const [source, t] = time < 0 ? [values.cache, time + kt - 1] : [values.x, time];
    const from = ((t * height + y) * width + x) * inChannels;
    patch.set(source.subarray(from, from + inChannels), tap * inChannels);
  }
  const past = (kt - 1) * TAPS * TAPS * inChannels;
  const out = convReference(
    {
      ...{ batch: 1, frames: 1, height: TAPS, width: TAPS, inChannels, outChannels, stride: 1 },
      kernel: [kt, TAPS, TAPS],
      padding: { top: 0, bottom: 0, left: 0, right: 0 },
      upsample: { time: 1, space: 1, keepFirst: false },
      cached: kt > 1,
    },
    patch.subarray(past),
    values.weight,
    kt > 1 ? patch.subarray(0, past) : undefined,
  );
  return Array.from(out, (value, n) => value + values.bias[n]);
}
