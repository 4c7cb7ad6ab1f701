/**
 * Variance-preserving noise tables: betas to cumulative alphas. The originals compute most of them in float32,
 * and a thousand rounded factors add up, so each operation here rounds the way theirs does.
 */
import type { BetaConfig } from './config.ts';

type Round = (x: number) => number;
const f64: Round = (x) => x;

/** torch.linspace: counts up from the start in the lower half and down from the end in the upper one. */
function torchLinspace(start: number, end: number, count: number, round: Round): number[] {
  const [first, last] = [round(start), round(end)];
  const step = count > 1 ? round(round(last - first) / (count - 1)) : 0;
  return Array.from({ length: count }, (_, i) =>
    i < count >> 1 ? round(first + round(step * i)) : round(last - round(step * (count - 1 - i))),
  );
}

function betaSchedule(config: BetaConfig, round: Round): number[] {
  const n = config.num_train_timesteps;
  if (config.trained_betas) return config.trained_betas.map(round);
  switch (config.beta_schedule) {
    case 'linear':
      return torchLinspace(config.beta_start, config.beta_end, n, round);
    case 'scaled_linear':
      return torchLinspace(Math.sqrt(config.beta_start), Math.sqrt(config.beta_end), n, round).map((b) =>
        round(b * b),
      );
    case 'squaredcos_cap_v2': {
      // Nichol and Dhariwal, arXiv:2102.09672, equation 17.
      const alphaBar = (t: number) => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2;
      return Array.from({ length: n }, (_, i) =>
        round(Math.min(1 - alphaBar((i + 1) / n) / alphaBar(i / n), 0.999)),
      );
    }
  }
}

function cumulativeAlphas(betas: readonly number[], round: Round): number[] {
  // The product runs in float64 even over float32 tensors; only what is stored is rounded.
  let product = 1;
  return betas.map((beta) => {
    product *= round(1 - beta);
    return round(product);
  });
}

/** Algorithm 1 of arXiv:2305.08891: shifts sqrt(alpha) so that the last is zero and the first stays. */
function rescaleToZeroTerminalSnr(alphasCumprod: readonly number[], round: Round): number[] {
  const roots = alphasCumprod.map((a) => round(Math.sqrt(a)));
  const [first, last] = [roots[0], roots[roots.length - 1]];
  const scale = round(first / round(first - last));
  return roots.map((root) => round(round(round(root - last) * scale) ** 2));
}

/** The table of DDIM, Euler and UniPC: the rescaling goes through the betas again, all in float32. */
export function alphasCumprod(config: BetaConfig): Float64Array {
  const round = Math.fround;
  const betas = betaSchedule(config, round);
  const alphas = cumulativeAlphas(betas, round);
  if (!config.rescale_betas_zero_snr) return Float64Array.from(alphas);
  const rescaled = rescaleToZeroTerminalSnr(alphas, round);
  const rescaledBetas = rescaled.map((a, i) => round(1 - (i === 0 ? a : round(a / rescaled[i - 1]))));
  return Float64Array.from(cumulativeAlphas(rescaledBetas, round));
}

/**
 * CogVideoX's table: the SNR is divided by `snr_shift_scale` (Stable Diffusion 3, arXiv:2403.03206, section
 * 5.3.2), then rescaled to zero terminal SNR. float64 throughout for `scaled_linear`, float32 otherwise.
 */
export function cogVideoXAlphasCumprod(config: BetaConfig, snrShiftScale: number): Float64Array {
  const round = config.beta_schedule === 'scaled_linear' && !config.trained_betas ? f64 : Math.fround;
  const shifted = cumulativeAlphas(betaSchedule(config, round), round).map((a) =>
    round(a / round(snrShiftScale + round((1 - snrShiftScale) * a))),
  );
  return Float64Array.from(
    config.rescale_betas_zero_snr ? rescaleToZeroTerminalSnr(shifted, round) : shifted,
  );
}

/** The table of Euler and UniPC, with the noise levels of x = x0 + sigma noise: sqrt((1 - a) / a) in float32. */
export function varianceExplodingTable(config: BetaConfig): { alphas: Float64Array; sigmas: number[] } {
  const round = Math.fround;
  const alphas = alphasCumprod(config);
  // The originals put 2^-24 here, so that zero terminal SNR gives a finite sigma of 4096.
  if (config.rescale_betas_zero_snr) alphas[alphas.length - 1] = 2 ** -24;
  return { alphas, sigmas: Array.from(alphas, (a) => round(Math.sqrt(round(round(1 - a) / a)))) };
}
