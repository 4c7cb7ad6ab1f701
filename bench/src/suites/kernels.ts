/**
 * Our kernels at the model's own shapes. Widths, heads and channels are the real ones of CogVideoX tiny (the tests'
 * model), 2B and 5B; tokens, frames and pixels are cut down to what the machine computes in a moment.
 */
import { kernelCase } from '../case.ts';
import { WEBGPU_PEERS } from '../peers/index.ts';
import type { Workload } from '../workloads/index.ts';
import type { Machine, Suite } from './suite.ts';

/** Tokens of 49 frames of 480x720, and of text. */
const CLIP_TOKENS = 17_776;

const linear = (what: string, m: number, k: number, n: number): Workload => ({
  name: `linear ${what} ${m}x${k}x${n}`,
  task: { op: 'matmul', m, k, n, linear: true },
});

export const cube = (size: number): Workload => ({
  name: `matmul ${size}^3`,
  task: { op: 'matmul', m: size, k: size, n: size, linear: false },
});

export const attention = (tokens: number, heads: number, headDim = 64): Workload => ({
  name: `attention ${tokens} tokens, ${heads} heads of ${headDim}`,
  task: { op: 'attention', tokens, heads, headDim },
});

export const conv = (
  kt: 1 | 3,
  frames: number,
  height: number,
  width: number,
  inChannels: number,
  outChannels = inChannels,
): Workload => ({
  name: `${kt === 1 ? 'conv2d 3x3' : 'causal conv3d 3x3x3'} ${frames}x${height}x${width}, ${inChannels} to ${outChannels}`,
  task: { op: 'conv', kt, frames, height, width, inChannels, outChannels },
});

export const layerNorm = (rows: number, channels: number): Workload => ({
  name: `layer norm ${rows}x${channels}`,
  task: { op: 'layerNorm', rows, channels },
});

export const groupNorm = (frames: number, height: number, width: number, channels: number): Workload => ({
  name: `group norm ${frames}x${height}x${width}, ${channels} channels`,
  task: { op: 'groupNorm', positions: frames * height * width, channels, groups: 32 },
});

export const softmax = (rows: number, columns: number): Workload => ({
  name: `softmax ${rows}x${columns}`,
  task: { op: 'softmax', rows, columns },
});

export const chain = (
  name: 'gateResidual' | 'modulate' | 'gelu' | 'siluMultiply',
  rows: number,
  channels: number,
): Workload => ({
  name: `${name} ${rows}x${channels}`,
  task: { op: 'pointwise', chain: name, rows, channels },
});

function workloads({ kind, quick, narrow }: Machine): Workload[] {
  if (kind === 'hardware') {
    const tokens = quick ? 4096 : CLIP_TOKENS;
    return [
      ...[cube(1024), cube(4096)],
      linear('5B q', tokens, 3072, 3072),
      linear('5B feed-forward in', tokens, 3072, 12288),
      linear('5B feed-forward out', tokens, 12288, 3072),
      linear('2B q', tokens, 1920, 1920),
      attention(quick ? 4096 : CLIP_TOKENS, 48),
      conv(1, 4, 240, 360, 256),
      conv(3, 8, 120, 180, 256),
      conv(3, 8, 60, 90, 512),
      groupNorm(8, 240, 360, 128),
      layerNorm(tokens, 3072),
      softmax(4096, 4096),
      chain('gateResidual', tokens, 3072),
      chain('modulate', tokens, 3072),
      chain('gelu', tokens, 12288),
    ];
  }
  if (quick && narrow) {
    return [
      cube(512),
      linear('tiny q', 256, 64, 64),
      linear('2B q', 32, 1920, 1920),
      linear('5B q', 16, 3072, 3072),
      attention(256, 8),
      attention(1024, 1),
      conv(1, 1, 32, 48, 64),
      conv(3, 2, 16, 24, 64),
      groupNorm(2, 30, 45, 128),
      layerNorm(512, 3072),
      softmax(512, 2048),
      chain('gateResidual', 512, 3072),
      chain('modulate', 512, 3072),
      chain('gelu', 128, 12288),
    ];
  }
  const small = [
    cube(1024),
    linear('tiny q', 256, 64, 64),
    linear('2B q', 226, 1920, 1920),
    linear('5B q', 128, 3072, 3072),
    attention(256, 48),
    attention(1024, 8),
    conv(1, 2, 48, 64, 64),
    conv(3, 3, 32, 48, 64),
    groupNorm(5, 60, 90, 128),
    layerNorm(2048, 3072),
    softmax(2048, 2048),
    chain('gateResidual', 2048, 3072),
    chain('modulate', 2048, 3072),
    chain('gelu', 512, 12288),
  ];
  if (quick) return small;
  return [
    ...small,
    linear('2B feed-forward in', 226, 1920, 7680),
    linear('2B feed-forward out', 226, 7680, 1920),
    linear('5B q', 452, 3072, 3072),
    linear('5B feed-forward in', 226, 3072, 12288),
    linear('5B feed-forward out', 226, 12288, 3072),
    linear('5B modulation', 2, 512, 18432),
    attention(1024, 4, 16),
    attention(4096, 4),
    conv(1, 2, 60, 90, 128),
    conv(3, 5, 30, 45, 128),
    conv(3, 3, 15, 23, 256),
    conv(3, 3, 8, 12, 512),
    conv(3, 3, 60, 90, 128, 3),
    groupNorm(5, 30, 45, 512),
    chain('siluMultiply', 2048, 3072),
  ];
}

export const kernels: Suite = {
  name: 'kernels',
  about: "our kernels at the model's shapes, beside the WebGPU peers",
  cases: (machine) => workloads(machine).map((workload) => kernelCase(workload, WEBGPU_PEERS)),
};
