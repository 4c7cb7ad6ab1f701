/** A model folder as methods of an evaluation: its clips, its ablations, and how well its VAE can show the truth. */
import { basename, resolve } from 'node:path';
import { type Device, evaluate, type Precision } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import {
  type DwmPipeline,
  encodeVideo,
  familyOf,
  onceEach,
  type RunSettings,
  toBytes,
  type VideoSize,
} from '@dwm/dwm-model';
import type { ModelShapes, RunNeeds } from '@dwm/dwm-model/memory';
import { type Distance, latentDistance } from '@dwm/dwm-model/ranking';
import type { Frames } from '@dwm/media/node';
import { checkText } from '../generate/check.ts';
import { openWholeModel } from '../generate/default-model.ts';
import { readPromptEmbeds, type TextEmbeds } from '../generate/inputs.ts';
import { needsOf, openPipeline } from '../memory/open-pipeline.ts';
import type { Reporter } from '../report.ts';
import type { Method } from './judge.ts';

interface SamplingFlags {
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
  readonly settings: RunSettings;
  readonly embeds: TextEmbeds | undefined;
  readonly shapes: ModelShapes;
  /** Of clips of the model's own size. */
  readonly needs: RunNeeds;
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
  const family = await familyOf(folder);
  const shapes = await family.shapes(folder);
  const needs = needsOf(settings, flags.precision, embeds, family.padsText);
  return { path, folder, flags, settings, embeds, shapes, needs };
}

/** A loaded model and how it is asked. */
export class Generator {
  readonly name: string;
  readonly pipeline: DwmPipeline;
  readonly settings: RunSettings;
  /** What every clip goes with in place of its caption, where that was given. */
  readonly embeds: TextEmbeds | undefined;
  readonly #flags: SamplingFlags;
  readonly #signal: AbortSignal;
  readonly #warn: (line: string) => void;

  private constructor(model: CheckedModel, pipeline: DwmPipeline, reporter: Reporter, signal: AbortSignal) {
    this.name = basename(resolve(model.path));
    this.pipeline = pipeline;
    this.settings = model.settings;
    this.#flags = model.flags;
    this.embeds = model.embeds;
    this.#signal = signal;
    this.#warn = onceEach((line) => reporter.warn(`${this.name}: ${line}`));
  }

  /**
   * @param size of the clips that are planned for.
   * @throws as `openPipeline`.
   */
  static async load(
    device: Device,
    model: CheckedModel,
    { frames: numFrames, height, width }: VideoSize,
    reporter: Reporter,
    signal: AbortSignal,
  ): Promise<Generator> {
    const planned = { ...model, needs: { ...model.needs, numFrames, height, width } };
    return new Generator(model, await openPipeline(device, planned, {}, reporter, signal), reporter, signal);
  }

  /** How clips are made, whatever their size. */
  get sampling(): Pick<RunSettings, 'numInferenceSteps' | 'guidanceScale' | 'composite'> {
    const { numInferenceSteps, guidanceScale, composite } = this.settings;
    return { numInferenceSteps, guidanceScale, composite };
  }

  /** Of outcomes to a goal, in the latent space of the model. */
  distance(): Distance {
    const { vae, memory } = this.pipeline;
    return latentDistance(vae, memory.encodeTiling);
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
    return { ...generated, clip: cut({ ...generated, fps: staticVideo.fps }, frames) };
  }

  /** The truth encoded and decoded: what a perfect model would be scored. */
  async roundTrip(clip: Frames): Promise<Frames> {
    const { vae, device, family, memory } = this.pipeline;
    const { encodeTiling = family.defaults.tiling, decodeTiling = family.defaults.tiling } = memory;
    const signal = this.#signal;
    const posterior = await encodeVideo(vae, clip, { tiling: encodeTiling, signal });
    const { mode } = await evaluate(device, { mode: posterior.mode() }).finally(() => posterior.destroy());
    const video = await vae.decode(mode, { tiling: decodeTiling, signal }).finally(() => mode.destroy());
    const shown = await toBytes(video).finally(() => video.destroy());
    return cut({ ...shown, fps: clip.fps }, clip.frames);
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
