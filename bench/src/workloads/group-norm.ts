/** Group normalization of x [1, positions, channels] with scale and offset. */
import { groupNormReference } from '@dwm/kernels-wgsl/testing';
import { type Family, sampleOf } from './workload.ts';

export interface GroupNorm {
  readonly op: 'groupNorm';
  readonly positions: number;
  readonly channels: number;
  readonly groups: number;
}

/** Of the model's VAE. */
export const GROUP_NORM_EPS = 1e-6;
const GROUPS = 3;

export const groupNormFamily: Family<GroupNorm> = {
  inputs: ({ positions, channels }) => ({ x: [1, positions, channels] }),
  weights: ({ channels }) => ({ gamma: [channels], beta: [channels] }),
  output: ({ positions, channels }) => [1, positions, channels],
  flops: ({ positions, channels }) => 10 * positions * channels,
  expected({ positions, channels, groups }, { x, gamma, beta }, random) {
    const width = channels / groups;
    const at: number[] = [];
    const values: number[] = [];
    for (const group of sampleOf(groups, GROUPS, random)) {
      const own = Array.from(
        { length: positions * width },
        (_, i) => Math.floor(i / width) * channels + group * width + (i % width),
      );
      const affine = [gamma, beta].map((all) => all.subarray(group * width, (group + 1) * width));
      const shape = { batch: 1, positions, channels: width, groups: 1 };
      const result = groupNormReference(
        Float32Array.from(own, (i) => x[i]),
        shape,
        GROUP_NORM_EPS,
        ...affine,
      );
      for (const [i, index] of own.entries()) {
        at.push(index);
        values.push(result[i]);
      }
    }
    return { at, values };
  },
};
