/** The encoder's answer: an independent normal distribution for every element of the latents. */
import {
  add,
  constant,
  type DeviceTensor,
  div,
  exp,
  maximum,
  minimum,
  mul,
  parameter,
  permute,
  slice,
  sub,
  type Tensor,
} from '@dwm/core-tensor';

/** Of each channel, for VAEs whose latents are normalised. */
interface LatentStatistics {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Moments on the device, and what a graph makes of them. Latents are not multiplied by the scaling factor here. */
export class Posterior {
  /** As the network gives them, [1, latent frames, 2 · channels, h, w]: mean, then logarithm of the variance. */
  readonly moments: DeviceTensor;
  readonly #statistics: LatentStatistics | undefined;

  constructor(moments: DeviceTensor, statistics?: LatentStatistics) {
    this.moments = moments;
    this.#statistics = statistics;
  }

  /** The mean, which is also the mode, [1, latent frames, channels, h, w]. */
  mode(): Tensor {
    const raw = this.#half(0);
    if (!this.#statistics) return raw;
    const { mean, std } = this.#statistics;
    const ofChannels = (values: readonly number[]) =>
      constant(Float32Array.from(values), [1, 1, values.length, 1, 1]);
    return div(sub(raw, ofChannels(mean)), ofChannels(std));
  }

  /** Logarithm of the variance, limited to -30 to 20. */
  logvar(): Tensor {
    return minimum(20, maximum(-30, this.#half(1)));
  }

  /**
   * mode + exp(logvar / 2) · noise.
   * @param noise standard normals as the original draws them, [1, channels, latent frames, h, w].
   */
  sample(noise: Tensor): Tensor {
    return add(this.mode(), mul(exp(mul(this.logvar(), 0.5)), permute(noise, [0, 2, 1, 3, 4])));
  }

  destroy(): void {
    this.moments.destroy();
  }

  #half(nth: number): Tensor {
    const channels = this.moments.shape[2] / 2;
    return slice(parameter(this.moments), 2, nth * channels, channels);
  }
}
