/**
 * Clips into a batch of Wan's objective. Latents come as samples, drawn once when they were encoded. Everything random
 * about a sample (timestep, noise, dropout) follows from the seed and its position in the run, so that a resumed run
 * sees what it would have seen.
 */
import { philox4x32, randomReference, spec } from '@dwm/core-tensor';
import { swapAxes } from '../../training/data/swap-axes.ts';
import type { LatentSize } from '../../vae/index.ts';
import type { WanConfig } from '../transformer/config.ts';
import { wanTimeTable } from '../transformer/positions.ts';
import { wanLevels } from './objective.ts';

/** A clip as training takes it: latents [channels, frames, height, width], and its prompt's embedding. */
export interface WanExample {
  readonly video: Float32Array;
  readonly static: Float32Array;
  readonly hand: Float32Array;
  /** [tokens, textDim], of the prompt's own length. */
  readonly text: Float32Array;
}

/** What a batch of Wan's training is made by. */
export interface WanBatchRules {
  readonly seed: number;
  readonly size: LatentSize;
  readonly config: WanConfig;
  readonly handDropout: number;
  /** The scheduler's table for training, from the most noise to the least: timesteps, and the noise's share at each. */
  readonly timesteps: ArrayLike<number>;
  readonly sigmas: ArrayLike<number>;
  /** Places of the table that are drawn from, the first and the last; all if left out. */
  readonly range?: readonly [first: number, last: number];
}

const KEYS = { choices: 0x57414e30, noise: 0x57414e31 };

/** Shapes of a batch, by the names of `makeWanBatch`. */
export function wanBatchSpecs(count: number, { config, size }: Pick<WanBatchRules, 'config' | 'size'>) {
  const latents = spec([count, size.frames, size.channels, size.height, size.width]);
  return {
    video: latents,
    static: latents,
    hand: latents,
    noise: latents,
    text: spec([count, config.textLength, config.textDim]),
    time: spec([count, config.freqDim]),
    levels: spec([count, 3]),
  };
}

/** Host values of a batch, by the names of its inputs. */
type WanBatch = { readonly [K in keyof ReturnType<typeof wanBatchSpecs>]: Float32Array };

/** The prompts' embeddings, cut to `textLength` rows or filled up with zeros. */
export function paddedText(
  texts: readonly Float32Array[],
  { textLength, textDim }: Pick<WanConfig, 'textLength' | 'textDim'>,
): Float32Array {
  const one = textLength * textDim;
  const out = new Float32Array(texts.length * one);
  for (const [i, text] of texts.entries()) out.set(text.subarray(0, one), i * one);
  return out;
}

/** @param position of the first of the examples, counted over the whole run. */
export function makeWanBatch(
  examples: readonly WanExample[],
  position: number,
  { seed, size, config, handDropout, timesteps, sigmas, range }: WanBatchRules,
): WanBatch {
  const count = size.channels * size.frames * size.height * size.width;
  const latents = () => new Float32Array(examples.length * count);
  const batch = { video: latents(), static: latents(), hand: latents(), noise: latents() };
  const [first, last] = range ?? [0, timesteps.length - 1];
  const drawn: number[] = [];
  const dropped: boolean[] = [];
  for (const [i, example] of examples.entries()) {
    const at = position + i;
    const counter: [number, number, number, number] = [at >>> 0, Math.floor(at / 2 ** 32), 0, 0];
    const [t, drop] = philox4x32(counter, [seed >>> 0, KEYS.choices]).map((word) => word / 2 ** 32);
    drawn.push(first + Math.floor(t * (last - first + 1)));
    dropped.push(drop < handDropout);
    const normals = { count, distribution: 'normal', stream: at >>> 0 } as const;
    batch.noise.set(randomReference(normals, [seed >>> 0, KEYS.noise]), i * count);
    for (const name of ['video', 'static', 'hand'] as const) {
      if (name === 'hand' && dropped[i]) continue;
      batch[name].set(swapAxes(example[name], size.channels, size.frames), i * count);
    }
  }
  return {
    ...batch,
    text: paddedText(
      examples.map(({ text }) => text),
      config,
    ),
    time: wanTimeTable(
      drawn.map((index) => timesteps[index]),
      config.freqDim,
    ),
    levels: wanLevels(
      drawn.map((index) => sigmas[index]),
      dropped,
    ),
  };
}
