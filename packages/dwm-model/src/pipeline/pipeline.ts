/**
 * The whole of inference: two conditioning videos and a prompt in, the interaction video out.
 *
 *     text -> text encoder -> embeddings ------------------+
 *     static, hands -> VAE encoder -> condition latents ---+-> denoiser x steps -> VAE decoder -> video
 *     seed -> latents -------------------------------------+
 */
import { type Device, evaluate, InvalidArgumentError, type Precision, parameter } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import type {
  DenoisingNetwork,
  DistilledLora,
  LoadedTransformer,
  ModelFamily,
  NetworkOptions,
} from '../families/family.ts';
import { familyOf } from '../families/index.ts';
import type { LiveClips } from '../live/clips.ts';
import { ALL_RESIDENT, type MemoryChoice } from '../memory/choice.ts';
import type { Scheduler, SchedulerName } from '../schedulers/index.ts';
import type { ClipCodec } from '../vae/index.ts';
import { displayed, toBytes } from '../video/transfer.ts';
import type { DeviceVideo, Latents, Video, VideoSize } from '../video/video.ts';
import type { GivenLoras } from '../weights/lora-files.ts';
import { weighLora } from '../weights/low-rank.ts';
import type { MergedLora } from '../weights/merge-lora.ts';
import { quantizedCount } from '../weights/quantized.ts';
import { type Conditions, condition, encodeStatic } from './condition.ts';
import { type DecodeOptions, decode } from './decode.ts';
import { type EstimateOptions, estimate, type MemoryEstimate } from './estimate.ts';
import { UndecodedError } from './finite.ts';
import { onceEach } from './once-each.ts';
import type { Generated, GenerateOptions } from './options.ts';
import type { PipelineParts } from './parts.ts';
import { encodePrompts } from './prompts.ts';
import { type RunSettings, readRunSettings } from './run-settings.ts';
import { sample } from './sample.ts';
import { Scratch } from './scratch.ts';
import { latentsOn, settle } from './settle.ts';

/** Options of `DwmPipeline.load`. */
export interface LoadOptions {
  /** Folder of DWM's fine-tuned weights, merged into the base; several stay beside it, see `weighLora`. */
  readonly lora?: GivenLoras;
  /** A transformer that is on the device already, in place of the folder's: one that is being trained. */
  readonly transformer?: LoadedTransformer;
  /** Scheduler to read the model's scheduler_config.json as, in place of the class it names. */
  readonly scheduler?: SchedulerName;
  /** `f16` multiplies in f16 where the adapter can; sums, norms and softmax stay in f32. */
  readonly precision?: Precision;
  /** A LoRA for fewer steps, merged after the other. */
  readonly distilled?: DistilledLora;
  /** What the network is made with, as far as its family knows such. */
  readonly network?: NetworkOptions;
  /** How the device's memory is used; everything stays on it unless told. */
  readonly memory?: MemoryChoice;
  readonly onProgress?: (part: string, doneBytes: number, totalBytes: number) => void;
}

/** A loaded model: static video, hands and prompt to video. */
export class DwmPipeline {
  readonly device: Device;
  readonly family: ModelFamily;
  /** What the model was made for, which holds wherever a run says nothing else. */
  readonly settings: RunSettings;
  readonly scheduler: Scheduler;
  readonly vae: ClipCodec;
  /** The transformer as the denoiser sees it. */
  readonly network: DenoisingNetwork;
  readonly precision: Precision;
  /** How the device's memory is used. */
  readonly memory: MemoryChoice;
  /** What was merged, where there was a LoRA. */
  readonly lora: MergedLora | undefined;
  /** What was merged of a LoRA for fewer steps, where there was one. */
  readonly distilled: MergedLora | undefined;
  readonly #parts: PipelineParts;
  #live: LiveClips | undefined;

  private constructor(parts: PipelineParts, distilled: MergedLora | undefined) {
    this.device = parts.device;
    this.family = parts.family;
    this.settings = parts.settings;
    this.scheduler = parts.scheduler;
    this.vae = parts.vae;
    this.network = parts.network;
    this.precision = parts.precision;
    this.memory = parts.memory;
    this.lora = parts.transformer.lora;
    this.distilled = distilled;
    this.#parts = parts;
  }

  /**
   * Loads a model folder; its files tell which family it is of (`families/`).
   * @throws InvalidFileError naming file, field and what was expected.
   */
  static async load(device: Device, folder: ModelFolder, options: LoadOptions = {}): Promise<DwmPipeline> {
    const precision = options.precision ?? 'f32';
    const memory = options.memory ?? ALL_RESIDENT;
    const report = (part: string) => (done: number, total: number) => options.onProgress?.(part, done, total);
    const family = await familyOf(folder);
    const scheduler = await family.loadScheduler(folder, options.scheduler);
    const settings = await readRunSettings(folder);
    const loaded: { destroy(): void }[] = [];
    try {
      const text = await family.loadText(device, folder, report('text encoder'), memory.text);
      if (text) loaded.push(text);
      const vae = await family.loadVae(device, folder, { precision, onProgress: report('vae') });
      loaded.push(vae);
      const transformer =
        options.transformer ??
        (await family.loadTransformer(device, folder, options.lora, report('transformer'), memory));
      if (!options.transformer) {
        loaded.push(transformer.parameters, { destroy: () => void transformer.stream?.destroy() });
      }
      family.checkParts(folder.name, transformer, vae, text?.width);
      let distilled: MergedLora | undefined;
      if (options.distilled) {
        if (!family.mergeDistilled)
          throw new InvalidArgumentError('distilled', `there is no such LoRA for ${family.name}`);
        distilled = await family.mergeDistilled(device, transformer, options.distilled);
      }
      const { feedForwardParts } = memory;
      const network = family.network(transformer, { feedForwardParts, ...options.network });
      return new DwmPipeline(
        { device, family, settings, scheduler, vae, text, transformer, network, precision, memory },
        distilled,
      );
    } catch (error) {
      for (const part of loaded) part.destroy();
      throw error;
    }
  }

  /**
   * Counts a LoRA that stays beside the weights another number of times, at once: 0 takes it off.
   * @param lora its number, in the order of loading, from 0.
   * @throws InvalidArgumentError where there is no such LoRA, or it was merged.
   */
  weighLora(lora: number, weight: number): void {
    weighLora(this.#parts.transformer.parameters, lora, weight);
  }

  /** How many of the transformer's weights are quantized. */
  get quantized(): number {
    const { parameters, stream } = this.#parts.transformer;
    return quantizedCount(new Set([...parameters.tensors.keys(), ...(stream?.shapes.keys() ?? [])]));
  }

  get hasTextEncoder(): boolean {
    return this.#parts.text !== undefined;
  }

  /** Whether all of the transformer is on the device, or its blocks come and go. */
  get weightsStay(): boolean {
    return this.#parts.transformer.stream === undefined;
  }

  /** Token count that prompts are cut and padded to. */
  get maxPromptTokens(): number {
    return this.network.textTokens;
  }

  /**
   * Embeddings of prompts, one row each: [prompts, tokens, dim].
   * @throws InvalidArgumentError when the model folder has no text encoder.
   */
  encodePrompts(prompts: readonly string[]): Promise<Float32Array> {
    return encodePrompts(this.#parts, prompts);
  }

  /** Tokens of a prompt before it is cut, for a warning when it is too long. */
  countTokens(prompt: string): number | undefined {
    return this.#parts.text?.countTokens(prompt);
  }

  /**
   * Device memory of a run before it begins, weights included: that of its greediest stage.
   * @param options what `generate` will be given, as far as sizes depend on it.
   * @throws as `generate`, and PlanTooLargeError when the device cannot hold a stage at all.
   */
  estimate(options: EstimateOptions): MemoryEstimate {
    return estimate(this.#parts, options);
  }

  /**
   * Latents of a static video for `staticLatents` of several runs: the mode of its posterior, the caller's.
   * @throws InvalidArgumentError naming the size that is out of range.
   */
  encodeStatic(clip: Video, size: VideoSize, signal?: AbortSignal): Promise<Latents> {
    return encodeStatic(this.#parts, clip, size, signal);
  }

  /**
   * Generates one clip: `condition`, `sample`, `decode`. The videos go up once each, and the bytes of the result come
   * down. A model that looks back only makes it block by block.
   * @throws InvalidArgumentError naming the option that is out of range; DwmError where numbers are not finite;
   *   UndecodedError, with the latents, where they do not decode; the signal's reason when aborted.
   */
  async generate(options: GenerateOptions): Promise<Generated> {
    if (this.network.causal) {
      // Most models never need it, and a page need not fetch it.
      const { LiveClips } = await import('../live/clips.ts');
      this.#live ??= new LiveClips(this);
      return this.#live.generate(options);
    }
    const { settings, schedule, guidance, latent } = settle(this, options);
    const { denoised, composite, signal } = settings;
    const told = { ...options, onWarning: onceEach(options.onWarning ?? ((line) => console.warn(line))) };
    const own = new Scratch();
    try {
      const conditions = denoised && !composite ? undefined : own.keep(await this.condition(told));
      const sampled = denoised ? undefined : await sample(this.#parts, conditions!, told);
      conditions?.endSampling();
      const latents = own.keep(sampled?.latents ?? latentsOn(this.device, denoised!, latent));
      // They come down before the decoding: one that fails may take the device with it.
      const values = denoised ?? ((await latents.read()) as Float32Array);
      const finish = async () => {
        const video = own.keep(await this.decode(latents, told, conditions));
        const bytes = await toBytes(video);
        if (!options.exact) return bytes;
        const { shown } = await evaluate(this.device, { shown: displayed(parameter(video)) });
        own.keep(shown);
        return { ...bytes, exact: { video: (await shown.read()) as Float32Array, latents: values } };
      };
      const made = await finish().catch((error: Error) => {
        throw signal?.aborted ? error : new UndecodedError(error, values, latents.shape);
      });
      const { timesteps } = schedule;
      const calculated = sampled?.calculated ?? timesteps.map(() => true);
      return { ...made, latentShape: latents.shape, timesteps, guidance, calculated };
    } finally {
      own.destroy();
    }
  }

  /**
   * What a clip is made from, on the device: the latents of the videos, and the embedded prompt. The caller's.
   * @throws as `generate`.
   */
  condition(options: GenerateOptions): Promise<Conditions> {
    return condition(this.#parts, options);
  }

  /**
   * Noise made into the latents of a clip, step by step: [1, F', C, h, w], the caller's. They stay on the device.
   * @param conditions of `condition` with the same options.
   * @throws as `generate`.
   */
  async sample(conditions: Conditions, options: GenerateOptions): Promise<Latents> {
    return (await sample(this.#parts, conditions, options)).latents;
  }

  /**
   * The video of latents, the caller's, with as many frames as are decoded.
   * @param conditions of `condition`, needed for compositing.
   * @throws as `ClipCodec.decode`; DwmError where the video is not finite.
   */
  decode(latents: Latents, options: DecodeOptions, conditions?: Conditions): Promise<DeviceVideo> {
    return decode(this.#parts, latents, options, conditions);
  }

  destroy(): void {
    this.#live?.destroy().catch(() => {});
    this.#parts.transformer.parameters.destroy();
    this.#parts.transformer.stream?.destroy().catch(() => {});
    this.vae.destroy();
    this.#parts.text?.destroy();
  }
}
