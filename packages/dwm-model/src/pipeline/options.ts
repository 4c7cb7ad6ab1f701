/** What a run takes and gives, with the original's defaults. */
import type { Fit } from '../video/transfer.ts';
import type { Latents, Video } from '../video/video.ts';
import type { Mask } from './mask.ts';

/** Text as embeddings: [1, tokens, dim] each. */
export interface PromptEmbeds {
  readonly prompt: Float32Array;
  /** Needed when guidance is above 1. */
  readonly negative?: Float32Array;
  readonly tokens: number;
}

/**
 * Options of `DwmPipeline.generate`. What is left out is as the model's own settings say, then as its family's original
 * does.
 */
export interface GenerateOptions {
  /** The static scene along the camera path. */
  readonly staticVideo: Video;
  /** The hands alone, on black, along the same path. */
  readonly handVideo: Video;
  /** A prompt for the text encoder, or ready embeddings. */
  readonly prompt: string | PromptEmbeds;
  readonly negativePrompt?: string;
  /** 4k + 1. Default 49. Only 8k + 1 come back as they are: the VAE makes 16 frames of 13. */
  readonly numFrames?: number;
  /** Pixels, multiples of the VAE's ratio times the patch (16). Defaults 480 and 720. */
  readonly height?: number;
  readonly width?: number;
  /** Default 50. */
  readonly numInferenceSteps?: number;
  /** Default 6; guidance is off at 1 and below. */
  readonly guidanceScale?: number;
  readonly dynamicGuidance?: boolean;
  /** Share of the steps, the last ones, that go by the prompt alone, for half the work. Default 0. */
  readonly cfgSkipRatio?: number;
  /** Leaves out the blocks of steps whose timesteps are much like those before. Default: none is left out. */
  readonly teaCache?: TeaCache;
  /** Leaves out the blocks of steps whose first block answers much as before. Default: none is left out. */
  readonly firstBlockCache?: FirstBlockCache;
  /** What stands beside the noisy latents [F', channels, h, w], in place of what the two videos would make. */
  readonly condition?: Float32Array;
  /** Default 42. The same seed gives the same noise on every adapter. */
  readonly seed?: number;
  /** In (0, 1]: below 1 the run starts from the noised static video. Default 1. */
  readonly strength?: number;
  /** `zeros` (default) shows the model all of the static video; `none` is what validation in training does. */
  readonly mask?: 'zeros' | 'none' | Mask;
  /**
   * Puts the static video's own pixels where nothing has changed (`composite.ts`); only with mask `zeros`. Default
   * false.
   */
  readonly composite?: boolean;
  /** Flow shift of the run, for samplers that are told it for each run. */
  readonly shift?: number;
  /** VAE tiles; off encodes and decodes whole frames. The default is how the model's original infers. */
  readonly tiling?: boolean;
  /** Random draws given instead of made: to repeat someone else's run. */
  readonly draws?: Draws;
  /** How videos of another size become the run's. Default: as the family's original commands do. */
  readonly fit?: Fit;
  /** What `encodeStatic` made of this static video at this size: several runs in one scene encode it once. */
  readonly staticLatents?: Latents;
  /** Latents that an earlier run of these options left, [1, F', C, h, w]: they are only decoded. */
  readonly denoised?: Float32Array;
  /** Also gives the video and the latents as they are on the device, before the rounding to bytes. Default false. */
  readonly exact?: boolean;
  readonly signal?: AbortSignal;
  /**
   * Is told what is not as the model expects it, once each: hands that are none, other shapes. Default `console.warn`.
   */
  readonly onWarning?: (line: string) => void;
  readonly onProgress?: (progress: Progress) => void;
}

/** Options of TeaCache, with the original's names. */
export interface TeaCache {
  /** Change, summed over the steps left out, from which on the blocks are calculated. 0 calculates every step. */
  readonly relL1Thresh: number;
  /** First steps that are always calculated, one at least. Default 5, or the whole of a shorter run. */
  readonly numSkipStartSteps?: number | undefined;
  /**
   * Polynomial that makes the timestep's change the answer's, highest power first. Default: that of the published model
   * of this size.
   */
  readonly coefficients?: readonly number[] | undefined;
}

/** Options of the first-block cache, with diffusers' names. */
export interface FirstBlockCache {
  /** Relative change of what the first block adds, up to which the others are left out. 0 calculates every step. */
  readonly threshold: number;
}

/** Standard normals of latent shape: [1, F', C, h, w] for latents and steps, [1, C, F', h, w] for posteriors. */
export interface Draws {
  readonly latents?: Float32Array;
  /** Noise that a start from the static video (strength < 1) mixes in. */
  readonly start?: Float32Array;
  readonly staticStart?: Float32Array;
  readonly static?: Float32Array;
  readonly hand?: Float32Array | 'mode';
  /** Noise entering each step of a stochastic scheduler. */
  readonly steps?: readonly Float32Array[];
}

/** How far a run is. */
export interface Progress {
  readonly stage: 'text' | 'encode' | 'denoise' | 'decode';
  /** Finished share of the stage, 0 to 1. */
  readonly done: number;
  /** Of the denoising stage: the step under way or just finished, from 1, of how many. */
  readonly step?: number;
  readonly steps?: number;
  /**
   * The prediction of the clean latents [1, F', C, h, w] after a step. The next one overwrites it: clone it to keep it.
   */
  readonly preview?: Latents;
}

/**
 * What a run gives: the video as displayed bytes. It has as many frames as are decoded: `numFrames` where that is 8k +
 * 1, else up to three more.
 */
export interface Generated extends Video {
  /** Shape of the latents, [1, F', C, h, w]. */
  readonly latentShape: readonly number[];
  readonly timesteps: readonly number[];
  readonly guidance: readonly number[];
  /** Which steps ran all blocks; every one does without a cache. */
  readonly calculated: readonly boolean[];
  /** Where `exact` was asked for: the video [frames, height, width, 3] in [0, 1], and the final latents. */
  readonly exact?: { readonly video: Float32Array; readonly latents: Float32Array };
}

/** Of models whose family is not known yet. */
export const DEFAULTS = {
  numFrames: 49,
  height: 480,
  width: 720,
  numInferenceSteps: 50,
  guidanceScale: 6,
  seed: 42,
  strength: 1,
} as const;
