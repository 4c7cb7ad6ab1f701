/**
 * A head of ours on the features of MediaPipe's landmark network, learned from simulated hands that reach out (see
 * `tools/hands`). MediaPipe's own takes these for flat. For each side it has one linear layer, which says where the
 * points of a hand of that side are; one more says which side it is of.
 */
import type { HandSide } from '@dwm/renderer';
import { LayerWeights, type WeightFiles } from './weights.ts';

/** Numbers of a picture that the landmark network's heads are linear in. */
export const FEATURES = 1152;

/** A hand's points, as one side's layer has them. */
export interface OwnPoints {
  /** [21, 2], in the square that was looked at, about its middle, by its side; y down. */
  readonly picture: Float64Array;
  /**
   * [21, 3], metres of a hand of the default size about its middle: x and y as the square's, z away along the ray
   * through the square's middle.
   */
  readonly space: Float64Array;
}

/** What is read of a hand. */
export interface OwnReading {
  readonly left: OwnPoints;
  readonly right: OwnPoints;
  /** How likely it is a right hand, 0 to 1. */
  readonly rightness: number;
}

/** Numbers that a side's layer gives: 21 points in the picture, and in space. */
const NUMBERS = 21 * 5;

interface Layer {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** Reads features. */
export class OwnHandHead {
  readonly #sides: Readonly<Record<HandSide, Layer>>;
  readonly #rightness: Layer;

  /** @throws InvalidFileError for weights of something else. */
  constructor(files: WeightFiles) {
    const weights = new LayerWeights(files);
    const layer = (name: string, numbers: number): Layer => ({
      weight: weights.get(name, [numbers, FEATURES]),
      bias: weights.get(name, [numbers]),
    });
    this.#sides = { left: layer('left', NUMBERS), right: layer('right', NUMBERS) };
    this.#rightness = layer('side', 1);
  }

  /** @param features [1152]. */
  read(features: ArrayLike<number>): OwnReading {
    const points = (side: HandSide): OwnPoints => {
      const numbers = applied(this.#sides[side], features);
      return { picture: numbers.slice(0, 42), space: numbers.slice(42) };
    };
    const [rightness] = applied(this.#rightness, features);
    return { left: points('left'), right: points('right'), rightness: Math.min(1, Math.max(0, rightness)) };
  }
}

function applied({ weight, bias }: Layer, features: ArrayLike<number>): Float64Array {
  return Float64Array.from(bias, (shift, row) => {
    let sum = shift;
    for (let k = 0; k < FEATURES; k++) sum += weight[row * FEATURES + k] * features[k];
    return sum;
  });
}
