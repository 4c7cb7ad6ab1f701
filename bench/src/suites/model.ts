/**
 * Parts of the model, each one program: a block of the transformer, a stage of the VAE, a whole denoising step.
 * What is cut down from the real sizes is said in each name.
 */
import { type Case, kernelCase } from '../case.ts';
import { WEBGPU_PEERS } from '../peers/index.ts';
import type { Workload } from '../workloads/index.ts';
import { stepCase } from './denoising-step.ts';
import type { Machine, Suite } from './suite.ts';

const REAL_TOKENS = 17_776;

const block = (model: string, tokens: number, heads: number, of = heads): Workload => ({
  name: `${model} block, ${tokens} of ${model === 'tiny' ? tokens : REAL_TOKENS} tokens, ${heads} of ${of} heads`,
  task: { op: 'block', tokens, heads },
});

const stage = (what: string, frames: number, height: number, width: number, channels: number): Workload => ({
  name: `VAE residual block ${what}, ${frames}x${height}x${width}, ${channels} channels`,
  task: { op: 'resnet', frames, height, width, channels },
});

function cases({ kind, quick }: Machine): Case[] {
  const beside = (workload: Workload) => kernelCase(workload, WEBGPU_PEERS);
  if (kind === 'hardware') {
    const tokens = quick ? 2048 : REAL_TOKENS;
    return [
      ...[block('tiny', 256, 4), block('2B', tokens, 30), block('5B', tokens, 48)].map(beside),
      beside(stage('of 5B, one tile of 240x360 at its last level but one', 2, 60, 90, 128)),
      stepCase('tiny', { layers: 2, latents: [5, 32, 48] }),
      stepCase('2B', { layers: quick ? 2 : 30, latents: [13, 60, 90] }),
      stepCase('5B', { layers: quick ? 2 : 42, latents: [13, 60, 90] }),
    ];
  }
  const small = [
    beside(block('tiny', 256, 4)),
    beside(block('2B', 226, 5, 30)),
    beside(block('5B', 226, 8, 48)),
    beside(stage('scaled down from 5x60x90', 3, 15, 22, 128)),
    stepCase('tiny', { layers: 2, latents: [3, 8, 12] }),
    stepCase('2B', { layers: 1, latents: [1, 8, 8], textLength: 32 }),
  ];
  if (quick) return small;
  return [
    ...small,
    beside(block('2B', 128, 30)),
    beside(block('5B', 64, 48)),
    beside(stage('scaled down from 5x30x45', 3, 8, 11, 512)),
    stepCase('5B', { layers: 1, latents: [1, 16, 16] }),
  ];
}

export const model: Suite = {
  name: 'model',
  about: 'a transformer block, a VAE stage, a denoising step',
  cases,
};
