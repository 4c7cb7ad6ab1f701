/** Layer normalization of x [rows, channels] with scale and offset. */
import { layerNormReference } from '@dwm/kernels-wgsl/testing';
import { type Family, sampleOf } from './workload.ts';

export interface LayerNorm {
  readonly op: 'layerNorm';
  readonly rows: number;
  readonly channels: number;
}

/** Of the model's transformers. */
export const LAYER_NORM_EPS = 1e-5;
const ROWS = 64;

export const layerNormFamily: Family<LayerNorm> = {
  inputs: ({ rows, channels }) => ({ x: [rows, channels] }),
  weights: ({ channels }) => ({ gamma: [channels], beta: [channels] }),
  output: ({ rows, channels }) => [rows, channels],
  flops: ({ rows, channels }) => 8 * rows * channels,
  expected({ rows, channels }, { x, gamma, beta }, random) {
    const at = sampleOf(rows, ROWS, random).flatMap((row) =>
      Array.from({ length: channels }, (_, c) => row * channels + c),
    );
    const reference = { eps: LAYER_NORM_EPS, center: true, gamma, beta };
    return {
      at,
      values: Array.from(
        layerNormReference(
          at.map((i) => x[i]),
          channels,
          reference,
        ),
      ),
    };
  },
};
