/** Whole clips of a model that looks back only: played into a live run, which stays compiled from clip to clip. */
import { InvalidArgumentError, Turns } from '@dwm/core-tensor';
import { videoRemarks } from '../pipeline/check-run.ts';
import { onceEach } from '../pipeline/once-each.ts';
import type { Generated, GenerateOptions } from '../pipeline/options.ts';
import { settle } from '../pipeline/settle.ts';
import { atSize } from '../video/at-size.ts';
import { requireNoGuidance } from './errors.ts';
import type { LiveModel } from './model.ts';
import { playVideos } from './play.ts';
import { DwmStream } from './stream.ts';

/** What a live run has no use for; see `GenerateOptions`. */
const NOT_LIVE = ['condition', 'denoised', 'draws', 'exact', 'firstBlockCache', 'teaCache'] as const;

export class LiveClips {
  readonly #pipeline: LiveModel;
  /** Clips that are asked for at once share the run. */
  readonly #turns = new Turns();
  /** The run, and what it is compiled for. */
  #run: { readonly live: DwmStream; readonly key: string } | undefined;

  constructor(pipeline: LiveModel) {
    this.#pipeline = pipeline;
  }

  /**
   * As `DwmPipeline.generate`. The scene's latents are not needed: a camera that stands is encoded once anyway.
   * @throws InvalidArgumentError naming an option that only models that look both ways know.
   */
  generate(options: GenerateOptions): Promise<Generated> {
    return this.#turns.take(() => this.#generate(options));
  }

  async #generate(options: GenerateOptions): Promise<Generated> {
    const { device } = this.#pipeline;
    const { settings, size, latent, schedule, guidance } = settle(this.#pipeline, options);
    const odd = NOT_LIVE.find((name) => options[name] !== undefined && options[name] !== false);
    if (settings.mask !== 'zeros' || settings.strength < 1 || odd !== undefined)
      throw new InvalidArgumentError(
        odd ?? (settings.strength < 1 ? 'strength' : 'mask'),
        'is for models that look both ways; leave it out',
      );
    const { signal, prompt, seed, composite, numInferenceSteps, guidanceScale } = settings;
    requireNoGuidance(guidanceScale);
    signal?.throwIfAborted();
    const warn = onceEach(options.onWarning ?? ((line) => console.warn(line)));
    for (const line of videoRemarks(options.staticVideo, options.handVideo, size.frames)) warn(line);
    const staticVideo = await atSize(device, options.staticVideo, size, settings.fit);
    const handVideo = await atSize(device, options.handVideo, size, settings.fit);
    const scene = {
      ...staticVideo,
      frames: 1,
      data: staticVideo.data.subarray(0, size.height * size.width * 3),
    };
    const rows = typeof prompt === 'string' ? 0 : prompt.tokens;
    const key = [size.height, size.width, rows, composite, numInferenceSteps].join();
    if (this.#run?.key === key) await this.#run.live.reset({ scene, prompt, seed });
    else {
      await this.#close();
      const live = await DwmStream.open(this.#pipeline, {
        ...{ scene, prompt, seed, composite, numInferenceSteps, guidanceScale },
      });
      this.#run = { live, key };
    }
    const { onProgress } = options;
    const steps = Math.ceil(latent.frames / this.#pipeline.network.causal!.blockFrames);
    let step = 0;
    onProgress?.({ stage: 'denoise', done: 0, step: 1, steps });
    const made = await playVideos(
      this.#run!.live,
      { staticVideo, handVideo, times: 1, still: false },
      {
        signal,
        onFrames: (done, total) =>
          onProgress?.({ stage: 'denoise', done: done / total, step: ++step, steps }),
      },
    );
    return {
      ...made,
      latentShape: [1, latent.frames, latent.channels, latent.height, latent.width],
      timesteps: schedule.timesteps,
      guidance,
      calculated: schedule.timesteps.map(() => true),
    };
  }

  /** Frees the run, when clips under way have ended. */
  destroy(): Promise<void> {
    return this.#turns.take(() => this.#close());
  }

  async #close(): Promise<void> {
    const run = this.#run;
    this.#run = undefined;
    await run?.live.destroy();
  }
}
