/** The Wan transformer as the denoiser sees it. */
import { broadcastTo, constant, spec, type Tensor } from '@dwm/core-tensor';
import type { DenoisingNetwork, NetworkOptions } from '../families/family.ts';
import type { Weights } from '../weights/weights.ts';
import { IMAGE_TOKENS, type WanConfig } from './transformer/config.ts';
import { type WanState, wanParts, wanTime, wanTransformer } from './transformer/forward.ts';
import { wanBlockPrefix } from './transformer/parameters.ts';
import { wanTimeTable } from './transformer/positions.ts';

/** Of TeaCache, as VideoX-Fun has them for the published models of these widths: 1.3B, 2.2 5B, 14B. */
const TEACACHE: Readonly<Record<number, readonly number[]>> = {
  1536: [-5.21862437e4, 9.23041404e3, -5.28275948e2, 1.36987616e1, -4.99875664e-2],
  3072: [8.1070546e3, 2.13393892e3, -3.72934672e2, 1.66203073e1, -4.17769401e-2],
  5120: [8.1070546e3, 2.13393892e3, -3.72934672e2, 1.66203073e1, -4.17769401e-2],
};

export function wanNetwork(
  config: WanConfig,
  weights: Weights,
  { riflex, image, feedForwardParts }: NetworkOptions = {},
): DenoisingNetwork {
  const { dim, freqDim, imageDim } = config;
  const inputs = (hidden: Tensor, text: Tensor, { time }: Readonly<Record<string, Tensor>>) => {
    const [batch] = hidden.shape;
    const features = image ?? new Float32Array(1);
    const picture =
      imageDim === undefined
        ? undefined
        : broadcastTo(constant(features, image ? [1, IMAGE_TOKENS, imageDim] : [1, 1, 1]), [
            batch,
            IMAGE_TOKENS,
            imageDim,
          ]);
    return { hidden, text, time: broadcastTo(time, [batch, freqDim]), ...(picture && { image: picture }) };
  };
  const options = { ...(riflex && { riflex }), ...(feedForwardParts && { feedForwardParts }) };
  return {
    width: dim,
    inputChannels: config.inChannels,
    latentChannels: config.outChannels,
    textTokens: config.textLength,
    textWidth: config.textDim,
    patch: config.patch,
    framePatch: 1,
    told: { time: spec([1, freqDim]) },
    tell: (timestep) => ({ time: wanTimeTable([timestep], freqDim) }),
    forward: (hidden, text, told) => wanTransformer(config, weights, inputs(hidden, text, told), options),
    teaCache: {
      embed: (own, { time }) => wanTime(own, time).projected,
      coefficients: TEACACHE[dim],
      calculatesLast: false,
    },
    blocks: config.layers,
    blockPrefix: wanBlockPrefix,
    parts(hiddenShape) {
      const parts = wanParts(config, { ...options, hidden: hiddenShape });
      return {
        begin: (own, hidden, text, told) => parts.begin(own, inputs(hidden, text, told)),
        block: (own, index, state) => parts.block(own, index, state as WanState),
        end: (own, state) => parts.end(own, state as WanState),
      };
    },
  };
}
