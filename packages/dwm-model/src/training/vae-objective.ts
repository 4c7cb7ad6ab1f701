/**
 * What the VAE is trained for: a reconstruction close to the clip, close in its differences along x, y and t too (edges
 * and motion, which a mean error alone blurs), from a posterior not far from a standard normal.
 *
 *     z     = mean + exp(logvar / 2) · noise          mean, logvar = encoder(x)
 *     e     = decoder(z) - x
 *     loss  = d(e) + gradientWeight · (d(Δx e) + d(Δy e) + d(Δt e)) / 3 + klWeight · KL
 *     KL    = mean( (mean² + exp(logvar) - 1 - logvar) / 2 )
 *
 * with d the mean of magnitudes (`l1`) or of squares (`mse`). All are means over elements, so the weights do not
 * depend on the size of the crop. (Kingma & Welling, arXiv:1312.6114; Mathieu et al., arXiv:1511.05440.)
 */
import { abs, add, exp, maximum, mean, minimum, mul, slice, sub, type Tensor } from '@dwm/core-tensor';
import { decodeWhole, encodeWhole, type VaeConfig } from '../vae/index.ts';
import type { Weights } from '../weights/weights.ts';

export interface VaeObjectiveOptions {
  readonly distance: 'l1' | 'mse';
  readonly klWeight: number;
  readonly gradientWeight: number;
}

export interface VaeObjective {
  /** [1] each. */
  readonly loss: Tensor;
  readonly reconstruction: Tensor;
  readonly kl: Tensor;
  readonly gradientDifference: Tensor;
  /** [batch, frames, height, width, colours] */
  readonly output: Tensor;
}

/**
 * @param video [batch, frames, height, width, colours] in [-1, 1].
 * @param noise standard normals [batch, latent frames, h, w, latent channels].
 */
export function vaeObjective(
  config: VaeConfig,
  weights: Pick<Weights, 'get' | 'has'>,
  { video, noise }: { readonly video: Tensor; readonly noise: Tensor },
  { distance, klWeight, gradientWeight }: VaeObjectiveOptions,
): VaeObjective {
  const size = (e: Tensor) => mean(distance === 'l1' ? abs(e) : mul(e, e), [...e.shape.keys()], false);
  const moments = encodeWhole(config, weights, video);
  const channels = config.latent_channels;
  const average = slice(moments, 4, 0, channels);
  const logvar = minimum(maximum(slice(moments, 4, channels, channels), -30), 20);
  const output = decodeWhole(config, weights, add(average, mul(exp(mul(logvar, 0.5)), noise)));
  const error = sub(output, video);
  const reconstruction = size(error);
  const gradientDifference = differences(error, size);
  const spread = sub(add(mul(average, average), exp(logvar)), add(logvar, 1));
  const kl = mul(mean(spread, [...spread.shape.keys()]), 0.5);
  const loss = add(add(reconstruction, mul(gradientDifference, gradientWeight)), mul(kl, klWeight));
  return { loss, reconstruction, kl, gradientDifference, output };
}

/** Mean size of the differences of neighbours in time, rows and columns of [batch, frames, height, width, colours]. */
export function differences(error: Tensor, size: (e: Tensor) => Tensor): Tensor {
  const sizes = [1, 2, 3]
    .filter((dim) => error.shape[dim] > 1)
    .map((dim) => {
      const count = error.shape[dim] - 1;
      return size(sub(slice(error, dim, 1, count), slice(error, dim, 0, count)));
    });
  return mul(sizes.reduce(add), 1 / sizes.length);
}
