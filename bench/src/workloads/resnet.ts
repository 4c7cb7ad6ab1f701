/**
 * One residual block of the VAE on x [1, frames, height, width, channels]: twice group norm, SiLU and a causal
 * 3x3x3 convolution, and x added. Frames before the first are the first repeated.
 */
import { convReference, groupNormReference } from '@dwm/kernels-wgsl/testing';
import { GROUP_NORM_EPS } from './group-norm.ts';
import type { Family, Shape } from './workload.ts';

export interface Resnet {
  readonly op: 'resnet';
  readonly frames: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

export const RESNET_GROUPS = 32;
const shapeOf = ({ frames, height, width, channels }: Resnet): Shape => [1, frames, height, width, channels];

export const resnetFamily: Family<Resnet> = {
  inputs: (task) => ({ x: shapeOf(task) }),
  weights({ channels }) {
    const shapes: Record<string, Shape> = {};
    for (const i of [1, 2]) {
      Object.assign(shapes, { [`gamma${i}`]: [channels], [`beta${i}`]: [channels] });
      Object.assign(shapes, { [`weight${i}`]: [3, 3, 3, channels, channels], [`bias${i}`]: [channels] });
    }
    return shapes;
  },
  output: shapeOf,
  flops: ({ frames, height, width, channels }) => 2 * 2 * 27 * frames * height * width * channels ** 2,
  expected({ frames, height, width, channels }, values) {
    const half = (x: ArrayLike<number>, i: number) => {
      const shape = { batch: 1, positions: frames * height * width, channels, groups: RESNET_GROUPS };
      const normed = groupNormReference(x, shape, GROUP_NORM_EPS, values[`gamma${i}`], values[`beta${i}`]);
      const geometry = {
        batch: 1,
        frames,
        height,
        width,
        inChannels: channels,
        outChannels: channels,
      } as const;
      return convReference(
        {
          ...geometry,
          ...{ kernel: [3, 3, 3], stride: 1, cached: false },
          padding: { top: 1, bottom: 1, left: 1, right: 1 },
          upsample: { time: 1, space: 1, keepFirst: false },
        },
        normed.map((value) => value / (1 + Math.exp(-value))),
        values[`weight${i}`],
      ).map((value, at) => value + values[`bias${i}`][at % channels]);
    };
    const out = half(half(values.x, 1), 2);
    return {
      at: Array.from(out, (_, i) => i),
      values: Array.from(out, (value, i) => value + values.x[i]),
    };
  },
};
