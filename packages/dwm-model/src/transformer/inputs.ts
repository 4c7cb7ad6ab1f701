/** What the CogVideoX transformer is given, and what its parts hand on. */
import type { Tensor } from '@dwm/core-tensor';

/** What time and `ofs` value are embedded from. */
export interface TimeInputs {
  /** `timestepTable`, [..., innerDim]. */
  readonly time: Tensor;
  /** `timestepTable` of the ofs value, [1, ofs_embed_dim], for models that have it. */
  readonly ofs?: Tensor;
}

/** What CogVideoX's transformer is given. */
export interface TransformerInputs extends TimeInputs {
  /** [batch, latent frames, in_channels, height, width]. */
  readonly hidden: Tensor;
  /** Text embeddings [batch, tokens, text_embed_dim]. */
  readonly text: Tensor;
  /** `timestepTable` of the timesteps, [batch, innerDim]; of a causal model also [batch, blocks, innerDim]. */
  readonly time: Tensor;
  /** Of a causal model in training: what its blocks see of those before, where that is not they themselves. */
  readonly history?: Pick<TransformerInputs, 'hidden' | 'time'>;
}

/** Called with named intermediates while tracing, for tests that compare them. */
export type Tap = (name: string, tensor: Tensor) => void;

/**
 * What the blocks hand on, [batch, text + video, dim], and the conditioning that all of them read, [batch, time dim].
 */
export type TransformerState = Readonly<Record<'x' | 'conditioning', Tensor>>;

/** Sizes that the network's parts are made for. */
export interface TransformerSizes {
  /** [batch, latent frames, in_channels, height, width]. */
  readonly hidden: readonly number[];
  readonly textLength: number;
  /** Parts of the rows that go through a feed-forward one after the other, for less memory. 1 unless told. */
  readonly feedForwardParts?: number;
  /** Whether there is a history. */
  readonly history?: boolean;
}
