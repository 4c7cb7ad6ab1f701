/** The CogVideoX transformer as the denoiser sees it. */
import { broadcastTo, spec, type Tensor } from '@dwm/core-tensor';
import type { DenoisingNetwork } from '../families/family.ts';
import { type TransformerConfig, timestepTable, transformer } from '../transformer/index.ts';
import type { Weights } from '../weights/weights.ts';

/** What CogVideoX 1.5 is always given as its `ofs` value. */
const OFS = 2;

export function cogVideoXNetwork(config: TransformerConfig, weights: Weights): DenoisingNetwork {
  const { innerDim, ofs_embed_dim: ofsDim } = config;
  return {
    width: innerDim,
    inputChannels: config.in_channels,
    latentChannels: config.out_channels,
    textTokens: config.max_text_seq_length,
    textWidth: config.text_embed_dim,
    patch: config.patch_size,
    framePatch: config.patch_size_t ?? 1,
    told: { time: spec([1, innerDim]), ...(ofsDim !== null && { ofs: spec([1, ofsDim]) }) },
    tell: (timestep) => ({
      time: timestepTable([timestep], innerDim, config),
      ...(ofsDim !== null && { ofs: timestepTable([OFS], ofsDim, config) }),
    }),
    forward: (hidden, text, { time, ofs }) => {
      const given: Tensor = broadcastTo(time, [hidden.shape[0], innerDim]);
      return transformer(config, weights, { hidden, text, time: given, ...(ofs && { ofs }) });
    },
  };
}
