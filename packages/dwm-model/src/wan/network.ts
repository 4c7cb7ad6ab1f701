/** The Wan transformer as the denoiser sees it. */
import { broadcastTo, constant, spec } from '@dwm/core-tensor';
import type { DenoisingNetwork } from '../families/family.ts';
import type { Weights } from '../weights/weights.ts';
import { IMAGE_TOKENS, type WanConfig } from './transformer/config.ts';
import { wanTransformer } from './transformer/forward.ts';
import { type Riflex, wanTimeTable } from './transformer/index.ts';

export interface WanNetworkOptions {
  readonly riflex?: Riflex;
  /** CLIP's features of a picture [257, imageDim]; without it zeros, as DWM's inference has them. */
  readonly image?: Float32Array;
}

export function wanNetwork(
  config: WanConfig,
  weights: Weights,
  { riflex, image }: WanNetworkOptions = {},
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
