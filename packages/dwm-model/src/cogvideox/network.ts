/** The CogVideoX transformer as the denoiser sees it. */
import { broadcastTo, spec, type Tensor } from '@dwm/core-tensor';
import type { CausalNetwork, DenoisingNetwork, NetworkOptions } from '../families/family.ts';
import {
  blockPositions,
  blockPrefix,
  type CausalConfig,
  CausalMemory,
  causalBlock,
  causalText,
  keysValues,
  namedKeysValues,
  type TransformerConfig,
  type TransformerState,
  timestepTable,
  transformer,
  transformerParts,
} from '../transformer/index.ts';
import { transformerLayers } from '../transformer/layers.ts';
import type { Weights } from '../weights/weights.ts';

/** What CogVideoX 1.5 is always given as its `ofs` value. */
const OFS = 2;

/** Of TeaCache, as its authors have them for the published models; undefined for others. */
function teaCacheOf({
  num_layers,
  patch_size_t,
  ofs_embed_dim,
}: TransformerConfig): readonly number[] | undefined {
  if (num_layers === 30) return [-3.10658903e1, 2.54732368e1, -5.92380459, 1.75769064, -3.61568434e-3];
  if (num_layers !== 42) return undefined;
  if (patch_size_t === null) return [-1.53880483e3, 8.43202495e2, -1.34363087e2, 7.97131516, -5.23162339e-2];
  return ofs_embed_dim === null
    ? [2.50210439e2, -1.65061612e2, 3.57804877e1, -7.81551492e-1, 3.58559703e-2]
    : [1.22842302e2, -1.04088754e2, 2.62981677e1, -3.06009921e-1, 3.7121322e-2];
}

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
    teaCache: {
      embed: (own, { time, ofs }) =>
        transformerLayers(config, own).timeEmbedding({ time, ...(ofs && { ofs }) }),
      coefficients: teaCacheOf(config),
      calculatesLast: true,
    },
    blocks: config.num_layers,
    blockPrefix,
    ...(config.causal && { causal: causalNetwork(config, config.causal, weights) }),
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

function causalNetwork(config: TransformerConfig, causal: CausalConfig, weights: Weights): CausalNetwork {
  const { block_frames: blockFrames } = causal;
  return {
    blockFrames,
    memory: (device, size) => CausalMemory.create(device, config, causal, size),
    memorySpecs: (size) => CausalMemory.specs(config, causal, size),
    positions: (size, first) => blockPositions(config, { ...size, frames: blockFrames }, first),
    text: (text, { ofs }) => namedKeysValues(causalText(config, weights, { text, ...(ofs && { ofs }) })),
    block(hidden, { time, ofs }, { mask, ...before }) {
      const given = { hidden, time, mask, positions: before, before: keysValues(before, config.num_layers) };
      const { prediction, ...own } = causalBlock(config, weights, { ...given, ...(ofs && { ofs }) });
      return { prediction, ...namedKeysValues(own) };
    },
  };
}
