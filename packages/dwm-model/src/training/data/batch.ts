/**
 * Clips into a batch of the objective's inputs. Everything random about a sample (timestep, noise, its draws
 * from the posteriors, dropout) follows from the seed and its position in the run, so that a resumed run sees
 * what it would have seen.
 */
import { philox4x32, randomReference, spec } from '@dwm/core-tensor';
import { type TransformerConfig, timestepTable } from '../../transformer/index.ts';
import type { LatentSize } from '../../vae/index.ts';
import { noiseLevels } from '../objective.ts';

/** A clip as training takes it. */
export interface Example {
  /** VAE moments [2 C, frames, height, width], mean then logarithm of the variance, not scaled. */
  readonly video: Float32Array;
  readonly static: Float32Array;
  readonly hand: Float32Array;
  /** Embedded prompt [tokens, dim]. */
  readonly text: Float32Array;
  /** Position in the run whose draws decide about the prompt; its own if left out. */
  readonly promptAt?: number;
}

export interface BatchRules {
  readonly seed: number;
  readonly size: LatentSize;
  readonly scalingFactor: number;
  readonly alphasCumprod: Float64Array;
  readonly config: TransformerConfig;
  readonly promptDropout: number;
  readonly handDropout: number;
  /**
   * A share of samples whose hands are taken away, and with them all that they do: `video` is then the static video, and
   * `hand` is `black`, the scaled latents of a black clip [frames, channels, height, width].
   */
  readonly noHands?: { readonly share: number; readonly black: Float32Array };
  /** Timesteps are drawn from the first to the last of these. */
  readonly timesteps: readonly [first: number, last: number];
  /** What a dropped prompt becomes, [tokens, dim]; needed where prompts are dropped. */
  readonly emptyText?: Float32Array;
}

const KEYS = {
  choices: 0x44574d30,
  noise: 0x44574d31,
  video: 0x44574d32,
  static: 0x44574d33,
  hand: 0x44574d34,
};

const latentCount = ({ channels, frames, height, width }: LatentSize) => channels * frames * height * width;

/** Shapes of a batch, by the names of `makeBatch`. */
export function batchSpecs(
  count: number,
  { config, size }: Pick<BatchRules, 'config' | 'size'>,
  tokens: number,
) {
  const latents = spec([count, size.frames, size.channels, size.height, size.width]);
  return {
    video: latents,
    static: latents,
    hand: latents,
    noise: latents,
    text: spec([count, tokens, config.text_embed_dim]),
    time: spec([count, config.innerDim]),
    levels: spec([count, 3]),
  };
}

export type Batch = { readonly [K in keyof ReturnType<typeof batchSpecs>]: Float32Array };

/** @param position of the first of the examples, counted over the whole run. */
export function makeBatch(examples: readonly Example[], position: number, rules: BatchRules): Batch {
  const { seed, size, config, alphasCumprod } = rules;
  const [first, last] = rules.timesteps;
  const count = latentCount(size);
  const latents = () => new Float32Array(examples.length * count);
  const batch = { video: latents(), static: latents(), hand: latents(), noise: latents() };
  const text = new Float32Array(examples.length * examples[0].text.length);
  const timesteps: number[] = [];
  for (const [i, example] of examples.entries()) {
    const at = position + i;
    const choices = (of: number) =>
      philox4x32([of >>> 0, Math.floor(of / 2 ** 32), 0, 0], [seed >>> 0, KEYS.choices]).map(
        (word) => word / 2 ** 32,
      );
    const [t, , dropHand, takeHands] = choices(at);
    const [, dropPrompt] = choices(example.promptAt ?? at);
    timesteps.push(first + Math.floor(t * (last - first + 1)));
    const nobody = rules.noHands && takeHands < rules.noHands.share ? rules.noHands : undefined;
    const normals = (key: number) =>
      randomReference({ count, distribution: 'normal', stream: at >>> 0 }, [seed >>> 0, key]);
    batch.noise.set(normals(KEYS.noise), i * count);
    for (const name of ['video', 'static', 'hand'] as const) {
      if (name === 'hand' && dropHand < rules.handDropout) continue;
      const target = batch[name].subarray(i * count, (i + 1) * count);
      if (nobody && name === 'hand') target.set(nobody.black);
      else {
        const moments = example[nobody ? 'static' : name];
        samplePosterior(moments, normals(KEYS[name]), size, rules.scalingFactor, target);
      }
    }
    const dropped = dropPrompt < rules.promptDropout;
    text.set(dropped && rules.emptyText ? rules.emptyText : example.text, i * example.text.length);
  }
  const time = timestepTable(timesteps, config.innerDim, config);
  return { ...batch, text, time, levels: noiseLevels(timesteps, alphasCumprod) };
}

/** scale · (mean + exp(logvar / 2) · noise), from channels-first moments to frames-first latents. */
function samplePosterior(
  moments: Float32Array,
  noise: ArrayLike<number>,
  { channels, frames, height, width }: LatentSize,
  scale: number,
  out: Float32Array,
): void {
  const pixels = height * width;
  const variance = channels * frames * pixels;
  for (let c = 0; c < channels; c++) {
    for (let f = 0; f < frames; f++) {
      const from = (c * frames + f) * pixels;
      const to = (f * channels + c) * pixels;
      for (let i = 0; i < pixels; i++) {
        const logvar = Math.min(20, Math.max(-30, moments[variance + from + i]));
        out[to + i] = scale * (moments[from + i] + Math.exp(logvar / 2) * noise[from + i]);
      }
    }
  }
}
