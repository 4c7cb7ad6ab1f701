/**
 * Weights of a network that nobody has trained yet, as its original's framework draws them. Every tensor has a stream
 * of its own, so a weight depends on the seed and its place in the network alone.
 *
 * - Linear layers and convolutions: PyTorch's default, weight and bias uniform in ±1/sqrt(fan in); norms 1 and 0.
 * - Transformer: in addition modulations and the last projection start at zero, so that every block is the identity
 *   (adaLN-Zero, Peebles & Xie, arXiv:2212.09748). Noise and conditioning start in halves of the width of their own,
 *   which the last modulation can weigh by the timestep, as copying wants; and a bias larger than both keeps the norms
 *   from scaling one token's copy unlike another's.
 * - T5: normal, as transformers initializes it: attention and feed-forward by the width that they read, queries also by
 *   the width of a head (Raffel et al., arXiv:1910.10683).
 */
import { elementCount, randomReference } from '@dwm/core-tensor';
import type { T5Config } from '../text-encoder/config.ts';
import type { ParameterSpecs } from '../weights/parameters.ts';

/** Host values by name, in the shapes of the file. */
export type InitialWeights = ReadonlyMap<string, Float32Array>;

const KEY = 0x494e4954;

/** How one tensor starts. */
type Start =
  | { readonly kind: 'fill'; readonly value: number }
  | { readonly kind: 'uniform'; readonly bound: number }
  | { readonly kind: 'normal'; readonly deviation: number };

export function draw(
  specs: ParameterSpecs,
  seed: number,
  start: (name: string, shape: readonly number[]) => Start,
): InitialWeights {
  const weights = new Map<string, Float32Array>();
  for (const [stream, [name, { shape }]] of Object.entries(specs).entries()) {
    const how = start(name, shape);
    const count = elementCount(shape);
    if (how.kind === 'fill') {
      weights.set(name, new Float32Array(count).fill(how.value));
      continue;
    }
    const values = randomReference({ count, distribution: how.kind, stream }, [seed >>> 0, KEY]);
    const { kind } = how;
    weights.set(
      name,
      Float32Array.from(values, (x) => (kind === 'uniform' ? (2 * x - 1) * how.bound : x * how.deviation)),
    );
  }
  return weights;
}

/** PyTorch's start of a layer; what is one-dimensional and beside no matrix is a norm. */
export function layer(specs: ParameterSpecs, name: string, shape: readonly number[]): Start {
  const weight = specs[name.replace(/bias$/, 'weight')]?.shape ?? shape;
  if (weight.length === 1) return { kind: 'fill', value: name.endsWith('weight') ? 1 : 0 };
  return { kind: 'uniform', bound: 1 / Math.sqrt(elementCount(weight.slice(1))) };
}

/** Tensors of the transformer that start at zero. */
const ZERO = /(^|\.)norm(1|2|_out)\.linear\.|^proj_out\./;

export function initialTransformer(specs: ParameterSpecs, seed: number): InitialWeights {
  const weights = draw(specs, seed, (name, shape) => {
    if (ZERO.test(name)) return { kind: 'fill', value: 0 };
    // The learned position table, where there is one.
    if (name.endsWith('pos_embedding')) return { kind: 'normal', deviation: 0.02 };
    if (name === 'patch_embed.proj.bias') return { kind: 'uniform', bound: 3 };
    return layer(specs, name, shape);
  });
  const [noise, width] = specs['proj_out.weight'].shape;
  separateNoise(weights.get('patch_embed.proj.weight')!, width, noise);
  return weights;
}

/** The first half of the rows of [width, values of a patch] reads only the noisy ones, the rest only the others. */
function separateNoise(weight: Float32Array, width: number, noise: number): void {
  const values = weight.length / width;
  for (let row = 0; row < width; row++) {
    const [from, to] = 2 * row < width ? [0, noise] : [noise, values];
    const gain = Math.sqrt(values / (to - from));
    for (let i = 0; i < values; i++) weight[row * values + i] *= i >= from && i < to ? gain : 0;
  }
}

export function initialTextEncoder(config: T5Config, specs: ParameterSpecs, seed: number): InitialWeights {
  const { width, heads, headWidth, hiddenWidth } = config;
  return draw(specs, seed, (name, shape) => {
    if (shape.length === 1) return { kind: 'fill', value: 1 };
    const variance = /embed_tokens|shared/.test(name)
      ? 1
      : /\.q\./.test(name)
        ? 1 / (width * headWidth)
        : /\.o\./.test(name)
          ? 1 / (heads * headWidth)
          : /\.wo\./.test(name)
            ? 1 / hiddenWidth
            : 1 / width;
    return { kind: 'normal', deviation: Math.sqrt(variance) };
  });
}
