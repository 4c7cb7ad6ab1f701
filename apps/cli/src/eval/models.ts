/** A model folder as methods of an evaluation: its clips, its ablations, and how well its VAE can show the truth. */
import { basename, resolve } from 'node:path';
import type { Device, ModelFolder, Precision } from '@dwm/core-tensor';
import { DwmPipeline, type GenerationSettings, onceEach } from '@dwm/dwm-model';
import type { Frames } from '@dwm/media/node';
import { checkText } from '../generate/check.ts';
import { openWholeModel } from '../generate/default-model.ts';
import { readPrompt, readPromptEmbeds, type TextEmbeds } from '../generate/inputs.ts';
import { toFrames } from '../generate/outputs.ts';
import { loadingProgress } from '../generate/progress.ts';
import type { Reporter } from '../report.ts';
import type { Method } from './judge.ts';

export interface SamplingFlags {
  /** The model's own where left out. */
  readonly numInferenceSteps?: number;
  readonly guidanceScale?: number;
  readonly composite?: boolean;
  readonly seed: number;
  readonly precision?: Precision;
  readonly promptEmbeds?: string;
}

/** A model's files and how it is asked: all that can be found wrong with them before a device is opened. */
export interface CheckedModel {
  readonly path: string;
  readonly folder: ModelFolder;
  readonly flags: SamplingFlags;
  /** The model's own, with the flags' in their place where given. */
  readonly settings: GenerationSettings;
  readonly embeds: TextEmbeds | undefined;
}

/** @throws InvalidFileError for a folder that is not a whole model, or one that cannot read the prompt. */
export async function checkModel(path: string, flags: SamplingFlags): Promise<CheckedModel> {
  const { folder, settings: own } = await openWholeModel(path);
  const embeds = flags.promptEmbeds ? await readPromptEmbeds(flags.promptEmbeds) : undefined;
  const {
    numInferenceSteps = own.numInferenceSteps,
    guidanceScale = own.guidanceScale,
    composite = own.composite,
  } = flags;
  await checkText(folder, embeds, guidanceScale > 1);
  const settings = { ...own, numInferenceSteps, guidanceScale, composite };
  return { path, folder, flags, settings, embeds };
}

/** A loaded model and how it is asked. */
export class Generator {
  readonly name: string;
  readonly pipeline: DwmPipeline;
  readonly settings: GenerationSettings;
  readonly #flags: SamplingFlags;
  readonly #embeds: TextEmbeds | undefined;
  readonly #signal: AbortSignal;
  readonly #warn: (line: string) => void;

  private constructor(model: CheckedModel, pipeline: DwmPipeline, reporter: Reporter, signal: AbortSignal) {
    this.name = basename(resolve(model.path));
    this.pipeline = pipeline;
    this.settings = model.settings;
    this.#flags = model.flags;
    this.#embeds = model.embeds;
    this.#signal = signal;
    this.#warn = onceEach((line) => reporter.warn(`${this.name}: ${line}`));
  }

  static async load(
    device: Device,
    model: CheckedModel,
    reporter: Reporter,
    signal: AbortSignal,
  ): Promise<Generator> {
    const { precision } = model.flags;
    const onProgress = loadingProgress(reporter, signal);
    const pipeline = await DwmPipeline.load(device, model.folder, { precision, onProgress });
    return new Generator(model, pipeline, reporter, signal);
  }

  /** How clips are made, whatever their size. */
  get sampling(): Pick<GenerationSettings, 'numInferenceSteps' | 'guidanceScale' | 'composite'> {
    const { numInferenceSteps, guidanceScale, composite } = this.settings;
    return { numInferenceSteps, guidanceScale, composite };
  }

  /** What every clip goes with in place of its caption, where that was given. */
  get embeds(): TextEmbeds | undefined {
    return this.#embeds;
  }

  /** Embeddings, the caption of the file, or nothing. */
  async prompt(file: string | undefined): Promise<string | TextEmbeds> {
    return this.#embeds ?? (file === undefined ? '' : readPrompt(file));
  }

  /** As many frames as the videos have, at their size. What is odd about them is said once. */
  async generate(
    staticVideo: Frames,
    handVideo: Frames,
    options: { prompt: string | TextEmbeds; seedOffset: number; withoutHands?: boolean },
  ) {
    const { frames, height, width } = staticVideo;
    const { prompt, seedOffset, withoutHands } = options;
    const seed = this.#flags.seed + (this.pipeline.family.defaults.seedOfClip === 'same' ? 0 : seedOffset);
    const generated = await this.pipeline.generate({
      ...{ staticVideo, handVideo, prompt, height, width, numFrames: frames },
      ...{ ...this.sampling, seed, signal: this.#signal },
      onWarning: withoutHands ? () => {} : this.#warn,
    });
    return { ...generated, clip: cut(toFrames(generated, staticVideo.fps), frames) };
  }

  /** The truth encoded and decoded: what a perfect model would be scored. */
  async roundTrip(clip: Frames): Promise<Frames> {
    const { frames, height, width, fps } = clip;
    const pixels = frames * height * width;
    const video = new Float32Array(3 * pixels);
    for (let p = 0; p < pixels; p++)
      for (let c = 0; c < 3; c++) video[c * pixels + p] = clip.data[3 * p + c] / 127.5 - 1;
    const { vae, family } = this.pipeline;
    const how = { tiling: family.defaults.tiling, signal: this.#signal };
    const { mean, shape } = await vae.encode(video, [1, 3, frames, height, width], how);
    const decoded = await vae.decode(mean, shape, how);
    const count = decoded.shape[2] * height * width;
    const data = new Uint8ClampedArray(3 * pixels);
    for (let p = 0; p < pixels; p++)
      for (let c = 0; c < 3; c++) data[3 * p + c] = (decoded.data[c * count + p] + 1) * 127.5;
    return { data: new Uint8Array(data.buffer), frames, height, width, fps };
  }
}

/** The first `frames`: the VAE makes 16 of 13. */
const cut = (clip: Frames, frames: number): Frames => ({
  ...clip,
  frames,
  data: clip.data.subarray(0, frames * clip.height * clip.width * 3),
});

export const roundTripMethod = (generator: Generator): Method => ({
  name: `VAE round trip (${generator.name})`,
  kind: 'baseline',
  make: async (clip) => ({ name: `${clip.name}, encoded`, clip: await generator.roundTrip(clip.truth) }),
});
