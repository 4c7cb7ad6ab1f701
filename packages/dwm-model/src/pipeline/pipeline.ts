/**
 * The whole of inference: two conditioning videos and a prompt in, the interaction video out.
 *
 *     text -> text encoder -> embeddings ------------------+
 *     static, hands -> VAE encoder -> condition latents ---+-> denoiser x steps -> VAE decoder -> video
 *     seed -> latents -------------------------------------+
 */
import {
  add,
  type Device,
  DeviceTensor,
  evaluate,
  InvalidArgumentError,
  type ModelFolder,
  mul,
  type Plan,
  type Precision,
  parameter,
} from '@dwm/core-tensor';
import type {
  DenoisingNetwork,
  DistilledLora,
  LoadedTransformer,
  ModelFamily,
  NetworkOptions,
  TextReader,
} from '../families/family.ts';
import { familyOf } from '../families/index.ts';
import { LiveClips } from '../live/clips.ts';
import { ALL_RESIDENT, type MemoryChoice } from '../memory/choice.ts';
import type { Scheduler, SchedulerName } from '../schedulers/index.ts';
import { DeviceSteps } from '../schedulers/on-device.ts';
import type { ClipCodec, LatentSize } from '../vae/index.ts';
import { decodeVideo } from '../video/codec.ts';
import { displayed, planTransfer, toBytes, toDevice, videosBeside } from '../video/transfer.ts';
import { checkVideo, type DeviceVideo, type Latents, type Video, type VideoSize } from '../video/video.ts';
import { type Blocks, blocksAtHand } from '../weights/blocks.ts';
import type { GivenLoras } from '../weights/lora-files.ts';
import { weighLora } from '../weights/low-rank.ts';
import type { MergedLora } from '../weights/merge-lora.ts';
import { quantizedCount } from '../weights/quantized.ts';
import { BlockDenoiser, planBlockDenoiser } from './block-denoiser.ts';
import { checkSize, videoRemarks } from './check-run.ts';
import { compositeStatic } from './composite.ts';
import type { Conditioning } from './conditioning.ts';
import { Denoiser, type DenoiserCall, type DenoiserShape } from './denoiser.ts';
import { requireFinite, requireFiniteTensor, UndecodedError } from './finite.ts';
import { normals, STREAMS } from './noise.ts';
import { onceEach } from './once-each.ts';
import type { Generated, GenerateOptions, PromptEmbeds } from './options.ts';
import { type RunSettings, readRunSettings } from './run-settings.ts';
import { Scratch } from './scratch.ts';
import { defined, settle, shapeOfLatents } from './settle.ts';
import { type CacheKind, cacheKind, StepCache } from './step-cache.ts';

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

const DAMAGED_VAE = "the VAE's weights are damaged, or belong to another model";
const DAMAGED_TRANSFORMER = 'the weights or the scheduler are damaged, or belong to another model';

interface Parts {
  readonly device: Device;
  readonly family: ModelFamily;
  readonly settings: RunSettings;
  readonly scheduler: Scheduler;
  readonly vae: ClipCodec;
  readonly transformer: LoadedTransformer;
  readonly text: TextReader | undefined;
  readonly precision: Precision;
  readonly distilled: MergedLora | undefined;
  readonly networkOptions: NetworkOptions | undefined;
  readonly memory: MemoryChoice;
}

/** What a clip is made from, on the device: the latents that stand beside the noisy ones, and the text. */
export class Conditions implements Conditioning {
  readonly condition: DeviceTensor;
  readonly start?: Latents;
  readonly staticVideo?: DeviceVideo;
  readonly staticLatents?: Latents;
  /** Embeddings [negative, positive] or [positive], as many rows each. */
  readonly text: EmbeddedText;

  constructor({ condition, start, staticVideo, staticLatents }: Conditioning, text: EmbeddedText) {
    this.condition = condition;
    this.start = start;
    this.staticVideo = staticVideo;
    this.staticLatents = staticLatents;
    this.text = text;
  }

  destroy(): void {
    for (const tensor of [this.condition, this.start, this.staticVideo, this.staticLatents])
      tensor?.destroy();
  }
}

interface EmbeddedText {
  readonly rows: Float32Array;
  readonly tokens: number;
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
  readonly #transformer: LoadedTransformer;
  readonly #text: TextReader | undefined;
  #live: LiveClips | undefined;

  private constructor(parts: Parts) {
    const { device, family, settings, scheduler, vae, transformer, text, precision, distilled } = parts;
    this.device = device;
    this.family = family;
    this.settings = settings;
    this.scheduler = scheduler;
    this.vae = vae;
    const { feedForwardParts } = parts.memory;
    this.network = family.network(transformer, { feedForwardParts, ...parts.networkOptions });
    this.memory = parts.memory;
    this.precision = precision;
    this.lora = transformer.lora;
    this.distilled = distilled;
    this.#transformer = transformer;
    this.#text = text;
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
      const networkOptions = options.network;
      return new DwmPipeline({
        ...{ device, family, settings, scheduler, vae, transformer, text },
        ...{ precision, distilled, networkOptions, memory },
      });
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
    weighLora(this.#transformer.parameters, lora, weight);
  }

  /** How many of the transformer's weights are quantized. */
  get quantized(): number {
    const { parameters, stream } = this.#transformer;
    return quantizedCount(new Set([...parameters.tensors.keys(), ...(stream?.shapes.keys() ?? [])]));
  }

  get hasTextEncoder(): boolean {
    return this.#text !== undefined;
  }

  /** Whether all of the transformer is on the device, or its blocks come and go. */
  get weightsStay(): boolean {
    return this.#transformer.stream === undefined;
  }

  /** Token count that prompts are cut and padded to. */
  get maxPromptTokens(): number {
    return this.network.textTokens;
  }

  /**
   * Embeddings of prompts, one row each: [prompts, tokens, dim].
   * @throws InvalidArgumentError when the model folder has no text encoder.
   */
  async encodePrompts(prompts: readonly string[]): Promise<Float32Array> {
    if (!this.#text) {
      throw new InvalidArgumentError(
        'prompt',
        'this model folder has no text_encoder; pass embeddings instead (`promptEmbeds`)',
      );
    }
    return this.#text.encode(prompts, this.maxPromptTokens, this.precision);
  }

  /** Tokens of a prompt before it is cut, for a warning when it is too long. */
  countTokens(prompt: string): number | undefined {
    return this.#text?.countTokens(prompt);
  }

  /**
   * Device memory of a run before it begins, weights included: that of its greediest stage.
   * @param options what `generate` will be given, as far as sizes depend on it.
   * @throws as `generate`, and PlanTooLargeError when the device cannot hold a stage at all.
   */
  estimate(options: Omit<GenerateOptions, 'draws' | 'signal' | 'onWarning' | 'onProgress'>): MemoryEstimate {
    const { numFrames, height, width, guidanceScale, tiling, fit, composite } = {
      ...this.family.defaults,
      ...this.settings,
      ...defined(options),
    };
    const size = { frames: numFrames, height, width };
    checkSize(size, this.vae.shape, this.network);
    const { staticVideo, handVideo, prompt } = options;
    const latent = this.vae.latentSize(size);
    const textLength = this.#textRows(typeof prompt === 'string' ? undefined : prompt.tokens);
    const shape = { latent, textLength, guided: guidanceScale > 1, cache: cacheKind(options) };
    const videos = videosBeside(size, composite);
    const { encodeTiling = tiling, decodeTiling = tiling } = this.memory;
    const resizes = [staticVideo, handVideo].map((clip) => planTransfer(this.device, clip, size, fit));
    const encode = this.vae.estimateEncode(size, { tiling: encodeTiling });
    const denoise = this.#planDenoise(shape);
    const decode = this.vae.estimateDecode(latent, { tiling: decodeTiling });
    const stages = {
      resize: Math.max(...resizes.map(({ bytes }) => bytes)),
      encode: videos.encode + encode.bytes,
      denoise: videos.denoise + denoise.bytes,
      decode: videos.decode + decode.bytes,
    };
    return {
      bytes: this.device.memory.allocated + Math.max(...Object.values(stages)),
      stages,
      plans: [...resizes.map(({ plan }) => plan), ...[encode, denoise, decode].flatMap(({ plans }) => plans)],
    };
  }

  /**
   * Latents of a static video for `staticLatents` of several runs: the mode of its posterior, the caller's.
   * @throws InvalidArgumentError naming the size that is out of range.
   */
  async encodeStatic(clip: Video, size: VideoSize, signal?: AbortSignal): Promise<Latents> {
    checkSize(size, this.vae.shape, this.network);
    checkVideo('static', clip);
    const { fit, tiling: usual } = this.family.defaults;
    const tiling = this.memory.encodeTiling ?? usual;
    const video = await toDevice(this.device, clip, size, fit);
    try {
      const posterior = await this.vae.encode(video, { tiling, signal });
      try {
        const mode = mul(posterior.mode(), this.vae.shape.scalingFactor);
        return (await evaluate(this.device, { mode })).mode;
      } finally {
        posterior.destroy();
      }
    } finally {
      video.destroy();
    }
  }

  /**
   * Generates one clip: `condition`, `sample`, `decode`. The videos go up once each, and the bytes of the result come
   * down. A model that looks back only makes it block by block.
   * @throws InvalidArgumentError naming the option that is out of range; DwmError where numbers are not finite;
   *   UndecodedError, with the latents, where they do not decode; the signal's reason when aborted.
   */
  async generate(options: GenerateOptions): Promise<Generated> {
    if (this.network.causal) {
      this.#live ??= new LiveClips(this);
      return this.#live.generate(options);
    }
    const { settings, schedule, guidance, latent } = settle(this, options);
    const { denoised, composite, signal } = settings;
    const told = { ...options, onWarning: onceEach(options.onWarning ?? ((line) => console.warn(line))) };
    const own = new Scratch();
    try {
      const conditions = denoised && !composite ? undefined : own.keep(await this.condition(told));
      const sampled = denoised ? undefined : await this.#sample(conditions!, told);
      const latents = own.keep(sampled?.latents ?? this.#up(denoised!, latent));
      // They come down before the decoding: one that fails may take the device with it.
      const values = denoised ?? ((await latents.read()) as Float32Array);
      const decode = async () => {
        const video = own.keep(await this.decode(latents, told, conditions));
        const bytes = await toBytes(video);
        if (!options.exact) return bytes;
        const { shown } = await evaluate(this.device, { shown: displayed(parameter(video)) });
        own.keep(shown);
        return { ...bytes, exact: { video: (await shown.read()) as Float32Array, latents: values } };
      };
      const made = await decode().catch((error: Error) => {
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
  async condition(options: GenerateOptions): Promise<Conditions> {
    const { settings, size, latent, draws, guided, needsStart } = settle(this, options);
    const { staticLatents, signal, composite } = settings;
    const tiling = this.memory.encodeTiling ?? settings.tiling;
    const report = options.onProgress ?? (() => {});
    const onWarning = onceEach(options.onWarning ?? ((line) => console.warn(line)));
    for (const line of videoRemarks(options.staticVideo, options.handVideo, size.frames)) onWarning(line);

    report({ stage: 'text', done: 0 });
    // Latents that are only decoded are told nothing more.
    const text = settings.denoised
      ? { rows: new Float32Array(0), tokens: 0 }
      : await this.#embeds(options.prompt, settings.negativePrompt, guided);
    requireFinite(text.rows, 'the text embeddings', "the text encoder's weights or the file are damaged");
    signal?.throwIfAborted();

    report({ stage: 'encode', done: 0 });
    const encodes = staticLatents ? 1 : needsStart || typeof settings.mask !== 'string' ? 3 : 2;
    let encoded = 0;
    const onProgress = (done: number) =>
      report({ stage: 'encode', done: Math.min(1, (encoded + done) / encodes) });
    const made = options.condition
      ? { condition: this.#given(options.condition, latent) }
      : await this.family.condition(
          {
            ...{ device: this.device, size, latent, scaling: this.vae.shape.scalingFactor },
            fit: settings.fit,
            encode: async (video) => {
              const posterior = await this.vae.encode(video, { tiling, signal, onWarning, onProgress });
              encoded++;
              try {
                await requireFiniteTensor(this.device, posterior.mode(), 'an encoded video', DAMAGED_VAE);
              } catch (error) {
                posterior.destroy();
                throw error;
              }
              return posterior;
            },
          },
          { ...settings, draws, needsStart, keepsStatic: composite },
        );
    report({ stage: 'encode', done: 1 });
    return new Conditions(made, text);
  }

  /**
   * Noise made into the latents of a clip, step by step: [1, F', C, h, w], the caller's. They stay on the device.
   * @param conditions of `condition` with the same options.
   * @throws as `generate`.
   */
  async sample(conditions: Conditions, options: GenerateOptions): Promise<Latents> {
    return (await this.#sample(conditions, options)).latents;
  }

  /** The latents, and which steps ran all blocks. */
  async #sample(
    { condition, start, text }: Conditions,
    options: GenerateOptions,
  ): Promise<{ latents: Latents; calculated: readonly boolean[] }> {
    const { settings, latent, count, draws, schedule, guidance, guidedSteps } = settle(this, options);
    const { seed, signal } = settings;
    const { device } = this;
    const report = options.onProgress ?? (() => {});
    const steps = schedule.steps.length;

    report({ stage: 'denoise', done: 0, step: 1, steps });
    const noise = this.#up(
      start
        ? (draws.start ?? normals(seed, STREAMS.start, count))
        : (draws.latents ?? normals(seed, STREAMS.latents, count)),
      latent,
    );
    const { x0, noise: sigma } = schedule.startNoise;
    const first = start
      ? add(mul(parameter(start), x0), mul(parameter(noise), sigma))
      : mul(parameter(noise), schedule.initNoiseSigma);
    const { latents } = await evaluate(device, { latents: first }).finally(() => noise.destroy());
    const run = new DeviceSteps(device, schedule, latents);
    const calls = schedule.steps.map(({ timestep, inputScale }, i) => ({
      ...{ timestep, inputScale, guidance: guidance[i] },
    }));
    const sizes = { latent, textLength: text.tokens };
    let denoiser: Denoiser | BlockDenoiser | undefined;
    let cache: StepCache | undefined;
    try {
      const { parameters } = this.#transformer;
      cache = await StepCache.create(device, this.network, parameters, schedule.timesteps, settings);
      let drawn = 0;
      for (const [i, recipe] of schedule.steps.entries()) {
        if (i === 0 || i === guidedSteps) {
          await denoiser?.destroy();
          denoiser = undefined;
          const guided = i < guidedSteps;
          if (i > 0) cache?.keepPositive();
          const rows = guided ? text.rows : text.rows.subarray(-text.tokens * this.network.textWidth);
          denoiser = await this.#denoiser({ ...sizes, guided }, condition, rows, calls, cache);
        }
        const prediction = await denoiser!.predict(run.sample, i, {
          signal,
          onProgress: (done) =>
            report({ stage: 'denoise', done: (i + Math.min(done, 0.99)) / steps, step: i + 1, steps }),
        });
        drawn += recipe.noiseDraws;
        const fresh = recipe.needsNoise
          ? (draws.steps?.[i] ?? normals(seed, STREAMS.steps + drawn, count))
          : undefined;
        await run.step(i, prediction, fresh);
        // Damaged weights show in the first step; the others are not waited for.
        if (i === 0) await this.#requireFiniteLatents(run.sample, 'the latents after the first step');
        report({ stage: 'denoise', done: (i + 1) / steps, step: i + 1, steps, preview: run.preview });
      }
      await this.#requireFiniteLatents(run.sample, 'the latents');
      return { latents: run.release(), calculated: cache?.calculated ?? schedule.steps.map(() => true) };
    } finally {
      await denoiser?.destroy();
      cache?.destroy();
      run.destroy();
    }
  }

  /**
   * The video of latents, the caller's, with as many frames as are decoded.
   * @param conditions of `condition`, needed for compositing.
   * @throws as `ClipCodec.decode`; DwmError where the video is not finite.
   */
  async decode(
    latents: Latents,
    options: Pick<GenerateOptions, 'tiling' | 'signal' | 'composite' | 'onWarning' | 'onProgress'>,
    conditions?: Conditions,
  ): Promise<DeviceVideo> {
    const settings = { ...this.family.defaults, ...this.settings, ...defined(options) };
    const { signal, composite, onWarning } = settings;
    const tiling = this.memory.decodeTiling ?? settings.tiling;
    const { vae } = this;
    options.onProgress?.({ stage: 'decode', done: 0 });
    const decodes = composite ? 2 : 1;
    const decode = (of: Latents, nth: number) =>
      decodeVideo(vae, of, {
        ...{ tiling, signal, onWarning },
        onProgress: (done) => options.onProgress?.({ stage: 'decode', done: (nth + done) / decodes }),
      });
    const video = await decode(latents, 0);
    try {
      await requireFiniteTensor(this.device, parameter(video), 'the decoded video', DAMAGED_VAE);
    } catch (error) {
      video.destroy();
      throw error;
    }
    if (!composite) return video;
    try {
      const { staticVideo, staticLatents } = conditions ?? {};
      if (!staticVideo || !staticLatents)
        throw new InvalidArgumentError('composite', 'needs conditions that were made with it');
      const scenery = await decode(staticLatents, 1);
      try {
        // An even number of latent frames decodes to 4 a latent frame, as the original has it: 13 become 16.
        return await compositeStatic(this.device, video, scenery, staticVideo, vae.shape.ratio / 2);
      } finally {
        scenery.destroy();
      }
    } finally {
      video.destroy();
    }
  }

  #up(values: Float32Array, size: LatentSize): Latents {
    return DeviceTensor.from(this.device, values, shapeOfLatents(size), 'f32', 'latents');
  }

  #requireFiniteLatents(latents: Latents, what: string): Promise<void> {
    return requireFiniteTensor(this.device, parameter(latents), what, DAMAGED_TRANSFORMER);
  }

  /** A condition that is given in place of the videos'. */
  #given(values: Float32Array, { frames, channels, height, width }: LatentSize): DeviceTensor {
    const shape = [1, frames, this.network.inputChannels - channels, height, width];
    const expected = shape.reduce((a, b) => a * b);
    if (values.length !== expected) {
      throw new InvalidArgumentError(
        'condition',
        `expected ${expected} values for the conditions of this model and size, got ${values.length}`,
      );
    }
    return DeviceTensor.from(this.device, values, shape, 'f32', 'condition latents');
  }

  destroy(): void {
    this.#live?.destroy().catch(() => {});
    this.#transformer.parameters.destroy();
    this.#transformer.stream?.destroy().catch(() => {});
    this.vae.destroy();
    this.#text?.destroy();
  }

  /** In one program where all of the transformer is on the device, else block by block. */
  async #denoiser(
    shape: DenoiserShape,
    condition: DeviceTensor,
    rows: Float32Array,
    calls: readonly DenoiserCall[],
    cache: StepCache | undefined,
  ): Promise<Denoiser | BlockDenoiser> {
    const { device, network, precision } = this;
    const { parameters: outer, stream } = this.#transformer;
    if (!stream && !cache) return Denoiser.create(device, network, shape, condition, rows, calls, precision);
    const { twoPasses } = this.memory;
    return BlockDenoiser.create(
      device,
      network,
      { outer, blocks: this.#blocks },
      { ...shape, twoPasses },
      condition,
      rows,
      calls,
      precision,
      cache,
    );
  }

  /** The transformer's blocks, wherever they are. */
  get #blocks(): Blocks {
    const { parameters, stream } = this.#transformer;
    return stream ?? blocksAtHand(parameters, this.network.blocks, this.network.blockPrefix);
  }

  /** Bytes of a step beside what is on the device already. */
  #planDenoise(
    shape: DenoiserShape & { readonly cache: CacheKind | undefined },
  ): Pick<MemoryEstimate, 'bytes' | 'plans'> {
    const { device, network, precision } = this;
    const { parameters, stream } = this.#transformer;
    if (!stream && !shape.cache) {
      const plan = Denoiser.plan(device, network, shape, precision);
      return { bytes: plan.memory.total - plan.memory.parameters, plans: [plan] };
    }
    const { twoPasses } = this.memory;
    const blocks = this.#blocks;
    const weights = blocks.specs(blocks.blocks - 1);
    const { bytes, plans } = planBlockDenoiser(
      device,
      network,
      parameters,
      weights,
      { ...shape, twoPasses },
      precision,
    );
    return { bytes: bytes + (stream?.slotBytes ?? 0), plans };
  }

  /** Rows that the transformer reads of embeddings of `tokens` rows, or of a prompt. */
  #textRows(tokens = this.maxPromptTokens): number {
    return this.family.padsText ? this.maxPromptTokens : tokens;
  }

  /** Rows of embeddings: [negative, positive], or the positive one alone. */
  async #embeds(prompt: string | PromptEmbeds, negative: string, guided: boolean): Promise<EmbeddedText> {
    if (typeof prompt === 'string') {
      const rows = await this.encodePrompts(guided ? [negative, prompt] : [prompt]);
      return { rows, tokens: this.maxPromptTokens };
    }
    const dim = this.network.textWidth;
    const { tokens } = prompt;
    if (prompt.prompt.length !== tokens * dim) {
      throw new InvalidArgumentError(
        'promptEmbeds',
        `prompt_embeds: expected [1, ${tokens}, ${dim}] for this model, got ${prompt.prompt.length} values`,
      );
    }
    const rowsOfText = this.#textRows(tokens);
    if (rowsOfText < tokens) {
      throw new InvalidArgumentError(
        'promptEmbeds',
        `prompt_embeds: this model reads ${rowsOfText} tokens at most, got ${tokens}`,
      );
    }
    /** With zeros beyond. */
    const padded = (...given: Float32Array[]) => {
      const all = new Float32Array(given.length * rowsOfText * dim);
      for (const [i, values] of given.entries()) all.set(values, i * rowsOfText * dim);
      return { rows: all, tokens: rowsOfText };
    };
    if (!guided) return padded(prompt.prompt);
    const low = prompt.negative ?? (this.#text ? await this.encodePrompts([negative]) : undefined);
    if (!low) {
      throw new InvalidArgumentError(
        'promptEmbeds',
        'negative_prompt_embeds is missing, which guidance above 1 needs; add it, or set `guidanceScale: 1`',
      );
    }
    // Encoded here they have all their rows already.
    if (!prompt.negative && this.family.padsText) return padded(low, prompt.prompt);
    if (low.length !== prompt.prompt.length) {
      throw new InvalidArgumentError(
        'promptEmbeds',
        `negative_prompt_embeds: expected ${prompt.prompt.length} values as in prompt_embeds, got ${low.length}`,
      );
    }
    return padded(low, prompt.prompt);
  }
}

/** Bytes on the device. */
export interface MemoryEstimate {
  readonly bytes: number;
  /** What each stage needs beside the weights. */
  readonly stages: Readonly<Record<'resize' | 'encode' | 'denoise' | 'decode', number>>;
  /** Of all that it runs but the text encoder, for `beforeUse.tune`. */
  readonly plans: readonly Plan[];
}
