/** The Wan transformer as the denoiser sees it. */
import { broadcastTo, constant, spec } from '@dwm/core-tensor';
import type { DenoisingNetwork, NetworkOptions } from '../families/family.ts';
import type { Weights } from '../weights/weights.ts';
import { IMAGE_TOKENS, type WanConfig } from './transformer/config.ts';
import { wanTransformer } from './transformer/forward.ts';
import { wanTimeTable } from './transformer/positions.ts';

export function wanNetwork(
  config: WanConfig,
  weights: Weights,
  { riflex, image }: NetworkOptions = {},
): DenoisingNetwork {
  const { dim, freqDim, imageDim } = config;
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
    forward(hidden, text, { time }) {
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
      return wanTransformer(
        config,
        weights,
        { hidden, text, time: broadcastTo(time, [batch, freqDim]), ...(picture && { image: picture }) },
        { ...(riflex && { riflex }) },
      );
    },
  };
}
