/**
 * Pre-training of the inpainting prior that DWM starts from: the transformer sees noisy latents, what of the clip is
 * visible, and the latents of that; it says the whole clip. Masks are of latent places. Hidden places hold the latents
 * of black (-1), and where all is hidden zeros, as the original's pipeline has it.
 *
 * With probability `identity` nothing is hidden: mask and clip are then exactly what DWM's training passes for the static video (the
 * scaling factor everywhere, and a posterior sample of its own), so the prior learns to copy under just that condition.
 */
import { philox4x32, spec, type TensorSpec } from '@dwm/core-tensor';
import type { LatentSize } from '../vae/index.ts';
import { type Batch, type BatchRules, batchSpecs, type Example, makeBatch } from './data/batch.ts';

export const MASK_KINDS = ['none', 'boxes', 'frames', 'all but first', 'all'] as const;
type MaskKind = (typeof MASK_KINDS)[number];

interface LatentMask {
  readonly kind: MaskKind;
  /** 1 where hidden, [frames, height, width]. */
  readonly hidden: Uint8Array;
}

const KEY = 0x4d41534b;
const MOST_BOXES = 3;

/**
 * The mask of a position in the run: with probability `identity` none, else one of the others, all as often.
 * Boxes take a quarter to three quarters of height and width, in all frames; `frames` is a stretch of whole ones.
 */
export function randomMask(
  seed: number,
  position: number,
  { frames, height, width }: Omit<LatentSize, 'channels'>,
  identity: number,
): LatentMask {
  let drawn = 0;
  let words: readonly number[] = [];
  const uniform = () => {
    if (drawn % 4 === 0) {
      const counter = [position >>> 0, Math.floor(position / 2 ** 32), drawn / 4, 0] as const;
      words = philox4x32(counter, [seed >>> 0, KEY]);
    }
    return words[drawn++ % 4] / 2 ** 32;
  };
  const below = (count: number) => Math.floor(uniform() * count);

  const others = MASK_KINDS.slice(1);
  const kind = uniform() < identity ? 'none' : others[below(others.length)];
  const hidden = new Uint8Array(frames * height * width);
  const pixels = height * width;
  if (kind === 'all') hidden.fill(1);
  else if (kind === 'all but first') hidden.fill(1, pixels);
  else if (kind === 'frames') {
    const count = 1 + below(Math.max(1, frames - 1));
    const first = below(frames - count + 1);
    hidden.fill(1, first * pixels, (first + count) * pixels);
  } else if (kind === 'boxes') {
    for (let box = 1 + below(MOST_BOXES); box > 0; box--) {
      const [rows, columns] = [height, width].map((size) =>
        Math.max(1, Math.round(size * (0.25 + 0.5 * uniform()))),
      );
      const [top, left] = [below(height - rows + 1), below(width - columns + 1)];
      for (let f = 0; f < frames; f++) {
        for (let y = top; y < top + rows; y++) {
          const start = (f * height + y) * width + left;
          hidden.fill(1, start, start + columns);
        }
      }
    }
  }
  return { kind, hidden };
}

export interface InpaintRules extends Omit<BatchRules, 'handDropout' | 'noHands'> {
  /** Probability that nothing is hidden. */
  readonly identity: number;
  /** Scaled latents of a black clip [frames, channels, height, width]. */
  readonly black: Float32Array;
}

/** Shapes of a batch, by the names of `makeInpaintBatch`. */
export function inpaintSpecs(
  count: number,
  rules: Pick<InpaintRules, 'config' | 'size'>,
  tokens: number,
): Record<string, TensorSpec> {
  const { hand: _, ...specs } = batchSpecs(count, rules, tokens);
  const { frames, height, width } = rules.size;
  return { ...specs, mask: spec([count, frames, 1, height, width]) };
}

/** A clip to complete. */
type InpaintExample = Pick<Example, 'video' | 'text'>;

/**
 * @param position of the first of the examples, counted over the whole run.
 * @returns the inputs of `dwmObjective` but the hands; `static` is the visible part.
 */
export function makeInpaintBatch(
  examples: readonly InpaintExample[],
  position: number,
  rules: InpaintRules,
): Omit<Batch, 'hand'> & { readonly mask: Float32Array } {
  const { size, scalingFactor, seed } = rules;
  const { frames, channels, height, width } = size;
  const triplets = examples.map(({ video, text }) => ({ video, static: video, hand: video, text }));
  const { hand: _, ...batch } = makeBatch(triplets, position, { ...rules, handDropout: 1 });
  const pixels = height * width;
  const mask = new Float32Array(examples.length * frames * pixels);
  for (let i = 0; i < examples.length; i++) {
    const { kind, hidden } = randomMask(seed, position + i, size, rules.identity);
    for (const [place, isHidden] of hidden.entries()) {
      mask[i * hidden.length + place] = isHidden ? 0 : scalingFactor;
      if (!isHidden) continue;
      const frame = Math.floor(place / pixels);
      for (let c = 0; c < channels; c++) {
        const at = (frame * channels + c) * pixels + (place % pixels);
        batch.static[i * channels * hidden.length + at] = kind === 'all' ? 0 : rules.black[at];
      }
    }
  }
  return { ...batch, mask };
}
