/** The CogVideoX transformer as the denoiser sees it. */
import { broadcastTo, spec, type Tensor } from '@dwm/core-tensor';
import type { DenoisingNetwork, NetworkOptions } from '../families/family.ts';
import {
  blockPrefix,
  type TransformerConfig,
  type TransformerState,
  timestepTable,
  transformer,
  transformerParts,
} from '../transformer/index.ts';
import type { Weights } from '../weights/weights.ts';

/** What CogVideoX 1.5 is always given as its `ofs` value. */
const OFS = 2;

export function cogVideoXNetwork(
  config: TransformerConfig,
  weights: Weights,
  { feedForwardParts = 1 }: NetworkOptions = {},
): DenoisingNetwork {
  const { innerDim, ofs_embed_dim: ofsDim } = config;
  const inputs = (hidden: Tensor, text: Tensor, { time, ofs }: Readonly<Record<string, Tensor>>) => ({
    ...{ hidden, text, time: broadcastTo(time, [hidden.shape[0], innerDim]) },
    ...(ofs && { ofs }),
  });
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
    forward: (hidden, text, told) =>
      transformer(config, weights, inputs(hidden, text, told), undefined, false, feedForwardParts),
    blocks: config.num_layers,
    blockPrefix,
    parts(hiddenShape, textLength) {
      const parts = transformerParts(config, { hidden: hiddenShape, textLength, feedForwardParts });
      return {
        begin: (own, hidden, text, told) => parts.begin(own, inputs(hidden, text, told)),
        block: (own, index, state) => parts.block(own, index, state as TransformerState),
        end: (own, state) => parts.end(own, state as TransformerState),
      };
    },
  };
}
