/** How a run uses the device's memory: what a plan chooses, and what a pipeline is loaded with. */
import type { TextWeights } from '../families/family.ts';
import type { VaeOptions } from '../vae/index.ts';

/** How a run is done within a budget of memory: what stays, what comes and goes, what is cut into parts. */
export interface MemoryChoice {
  readonly text: TextWeights;
  /** Guidance as two passes of a batch of one, in place of one of two. */
  readonly twoPasses: boolean;
  /** Blocks of the transformer that stay on the device; all of them, in one program, where left out. */
  readonly residentBlocks?: number;
  /** Parts of the rows that go through a feed-forward one after the other. */
  readonly feedForwardParts: number;
  /** Tiles of the VAE; as the run says where left out. */
  readonly encodeTiling?: VaeOptions['tiling'];
  readonly decodeTiling?: VaeOptions['tiling'];
}

/** Everything on the device at once, the fastest way. */
export const ALL_RESIDENT: MemoryChoice = { text: 'stay', twoPasses: false, feedForwardParts: 1 };
