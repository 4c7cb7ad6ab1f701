/**
 * The whole of inference: two conditioning videos and a prompt in, the interaction video out.
 *
 *     text -> text encoder -> embeddings ------------------+
 *     static, hands -> VAE encoder -> condition latents ---+-> denoiser x steps -> VAE decoder -> video
 *     seed -> latents -------------------------------------+
 */
import {
  type Device,
  DeviceTensor,
  InvalidArgumentError,
  type ModelFolder,
  type Precision,
} from '@dwm/core-tensor';
import type {
  DenoisingNetwork,
  DistilledLora,
  LoadedTransformer,
  ModelFamily,
  NetworkOptions,
  TextReader,
  UnknownOption,
} from '../families/family.ts';
import { familyOf } from '../families/index.ts';
import { ALL_RESIDENT, type MemoryChoice } from '../memory/choice.ts';
import type { Scheduler, SchedulerName } from '../schedulers/index.ts';
import { DeviceSteps } from '../schedulers/on-device.ts';
import type { ClipCodec } from '../vae/index.ts';
import type { MergedLora } from '../weights/lora.ts';
import { BlockDenoiser, planBlockDenoiser } from './block-denoiser.ts';
import { checkOptions, checkSize, videoRemarks } from './check-run.ts';
import { type Clip, type ClipSize, checkClip, prepareClip, resizeBytes } from './clip.ts';
import { compositeStatic } from './composite.ts';
import { swapFrames } from './conditioning.ts';
import { Denoiser, type DenoiserCall, type DenoiserShape } from './denoiser.ts';
import { requireFinite, UndecodedError } from './finite.ts';
import { dynamicGuidanceScale } from './guidance.ts';
import { normals, STREAMS } from './noise.ts';
import { onceEach } from './once-each.ts';
import type { Generated, GenerateOptions, PromptEmbeds } from './options.ts';

/** Options of `DwmPipeline.load`. */
export interface LoadOptions {
  /** Folder of DWM's fine-tuned weights, merged into the base. */
  readonly lora?: ModelFolder;
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
  readonly scheduler: Scheduler;
  readonly vae: ClipCodec;
  readonly transformer: LoadedTransformer;
  readonly text: TextReader | undefined;
  readonly precision: Precision;
  readonly distilled: MergedLora | undefined;
  readonly networkOptions: NetworkOptions | undefined;
  readonly memory: MemoryChoice;
}

/** A loaded model: static video, hands and prompt to video. */
export class DwmPipeline {
  readonly device: Device;
  readonly family: ModelFamily;
  readonly scheduler: Scheduler;
  readonly vae: ClipCodec;
  /** The transformer as the denoiser sees it. */
  readonly network: DenoisingNetwork;
  readonly precision: Precision;
  /** What was merged, where there was a LoRA. */
  readonly lora: MergedLora | undefined;
  /** What was merged of a LoRA for fewer steps, where there was one. */
  readonly distilled: MergedLora | undefined;
  readonly #transformer: LoadedTransformer;
  readonly #memory: MemoryChoice;
  readonly #text: TextReader | undefined;

  private constructor(parts: Parts) {
    const { device, family, scheduler, vae, transformer, text, precision, distilled } = parts;
    this.device = device;
    this.family = family;
    this.scheduler = scheduler;
    this.vae = vae;
    const { feedForwardParts } = parts.memory;
    this.network = family.network(transformer, { feedForwardParts, ...parts.networkOptions });
    this.#memory = parts.memory;
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
          throw new InvalidArgumentError('lightx2v-lora-path', `there is no such LoRA for ${family.name}`);
        distilled = await family.mergeDistilled(device, transformer, options.distilled);
      }
      const networkOptions = options.network;
      return new DwmPipeline({
        ...{ device, family, scheduler, vae, transformer, text, precision, distilled, networkOptions },
        memory,
      });
    } catch (error) {
      for (const part of loaded) part.destroy();
      throw error;
    }
  }

  get hasTextEncoder(): boolean {
    return this.#text !== undefined;
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
        'this model folder has no text_encoder; pass prompt embeddings instead (--prompt-embeds)',
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
    const { numFrames, height, width, guidanceScale, tiling } = {
      ...this.family.defaults,
      ...defined(options),
    };
    const size = { frames: numFrames, height, width };
    checkSize(size, this.vae.shape, this.network);
    const { staticVideo, handVideo, prompt } = options;
    const latent = this.vae.latentSize(size);
    const textLength = this.#textRows(typeof prompt === 'string' ? undefined : prompt.tokens);
    const shape = { latent, textLength, guided: guidanceScale > 1 };
    const latents = [1, latent.channels, latent.frames, latent.height, latent.width];
    const stages = {
      resize: Math.max(...[staticVideo, handVideo].map((clip) => resizeBytes(this.device, clip, size))),
      encode: this.vae.estimateEncode([1, 3, numFrames, height, width], {
        tiling: this.#memory.encodeTiling ?? tiling,
      }).bytes,
      denoise: this.#denoiseBytes(shape),
      decode: this.vae.estimateDecode(latents, { tiling: this.#memory.decodeTiling ?? tiling }).bytes,
    };
    return { bytes: this.device.memory.allocated + Math.max(...Object.values(stages)), stages };
  }

  /**
   * Latents of a static video for `staticLatents` of several runs: [C, F', h, w], not scaled.
   * @throws InvalidArgumentError naming the size that is out of range.
   */
  async encodeStatic(clip: Clip, size: ClipSize, signal?: AbortSignal): Promise<Float32Array> {
    checkSize(size, this.vae.shape, this.network);
    checkClip('static', clip);
    const video = await prepareClip(this.device, clip, size);
    const shape = [1, 3, size.frames, size.height, size.width];
    const tiling = this.#memory.encodeTiling ?? this.family.defaults.tiling;
    return (await this.vae.encode(video, shape, { tiling, signal })).mean;
  }

  /**
   * Generates one clip.
   * @throws InvalidArgumentError naming the option that is out of range; the signal's reason when aborted.
   */
  async generate(options: GenerateOptions): Promise<Generated> {
    const settings = {
      ...this.family.defaults,
      strength: 1,
      dynamicGuidance: false,
      guidedShare: 1,
      composite: false,
      mask: 'zeros' as const,
      ...defined(options),
    };
    const { numFrames, height, width, seed, strength, signal } = settings;
    const draws = options.draws ?? {};
    const report = options.onProgress ?? (() => {});
    const size = { frames: numFrames, height, width };
    checkSize(size, this.vae.shape, this.network);
    checkOptions(settings);
    const latent = this.vae.latentSize(size);
    const scaling = this.vae.shape.scalingFactor;
    const count = latent.frames * latent.channels * latent.height * latent.width;
    checkDraws(draws, count);
    this.#refuse('strength', strength < 1);
    this.#refuse('dynamicGuidance', settings.dynamicGuidance);
    this.#refuse('mask none', settings.mask === 'none');
    const { staticLatents } = settings;
    if (staticLatents && (strength < 1 || settings.mask !== 'zeros')) {
      throw new InvalidArgumentError('staticLatents', 'go with mask "zeros" and strength 1 only');
    }
    if (staticLatents && staticLatents.length !== count) {
      throw new InvalidArgumentError(
        'staticLatents',
        `expected ${count} values, got ${staticLatents.length}`,
      );
    }
    if (options.condition && (settings.composite || strength < 1))
      throw new InvalidArgumentError('condition', 'goes without composite and with strength 1 only');
    if (settings.composite && settings.mask !== 'zeros')
      throw new InvalidArgumentError('composite', 'goes with mask "zeros" only');
    const shift = settings.shift ?? this.family.runShift?.(this.scheduler.className);
    const schedule = this.scheduler.schedule(settings.numInferenceSteps, {
      strength,
      ...(shift !== undefined && { shift }),
    });
    const guided = settings.guidanceScale > 1;
    const onWarning = onceEach(options.onWarning ?? ((line) => console.warn(line)));
    for (const line of videoRemarks(options.staticVideo, options.handVideo, numFrames)) onWarning(line);

    report({ stage: 'text', done: 0 });
    const { denoised } = settings;
    if (denoised && denoised.length !== count)
      throw new InvalidArgumentError(
        'resume',
        `expected ${count} latents of this size, got ${denoised.length}`,
      );
    const embeds = denoised
      ? { rows: new Float32Array(0), tokens: 0 }
      : await this.#embeds(options.prompt, settings.negativePrompt, guided);
    requireFinite(embeds.rows, 'the text embeddings', "the text encoder's weights or the file are damaged");
    signal?.throwIfAborted();

    report({ stage: 'encode', done: 0 });
    const needsStart = strength < 1 && !draws.latents;
    const encodes = staticLatents ? 1 : needsStart || typeof settings.mask !== 'string' ? 3 : 2;
    let encoded = 0;
    const encode = async (video: Float32Array) => {
      const posterior = await this.vae.encode(video, [1, 3, numFrames, height, width], {
        tiling: this.#memory.encodeTiling ?? settings.tiling,
        signal,
        onWarning,
        onProgress: (done) => report({ stage: 'encode', done: Math.min(1, (encoded + done) / encodes) }),
      });
      encoded++;
      requireFinite(posterior.mean, 'an encoded video', DAMAGED_VAE);
      return posterior;
    };
    const made =
      options.condition || (denoised && !settings.composite)
        ? undefined
        : await this.family.condition(
            this.device,
            encode,
            { ...settings, draws, needsStart },
            size,
            latent,
            scaling,
          );
    const conditions = options.condition ?? made?.condition ?? new Float32Array(0);
    const expected = (count / latent.channels) * (this.network.inputChannels - latent.channels);
    if (!denoised && conditions.length !== expected) {
      throw new InvalidArgumentError(
        'condition',
        `expected ${expected} values for the conditions of this model and size, got ${conditions.length}`,
      );
    }
    report({ stage: 'encode', done: 1 });

    const guidance = schedule.timesteps.map((t, i) =>
      i >= schedule.steps.length * settings.guidedShare
        ? 1
        : settings.dynamicGuidance
          ? dynamicGuidanceScale(settings.guidanceScale, schedule.steps.length, t)
          : settings.guidanceScale,
    );
    const denoise = async (): Promise<Float32Array> => {
      const steps = schedule.steps.length;
      let first = draws.latents ?? normals(seed, STREAMS.latents, count);
      const start = made?.start;
      if (start) {
        const noise = draws.start ?? normals(seed, STREAMS.start, count);
        const { x0, noise: sigma } = schedule.startNoise;
        first = start.map((value, i) => x0 * value + sigma * noise[i]);
      } else first = first.map((value) => value * schedule.initNoiseSigma);

      report({ stage: 'denoise', done: 0, step: 1, steps });
      const calls = schedule.steps.map(({ timestep, inputScale }, i) => ({
        ...{ timestep, inputScale, guidance: guidance[i] },
      }));
      const shape = { latent, textLength: embeds.tokens, guided };
      const { channels, frames: latentFrames } = latent;
      const sized = (c: number) => [1, latentFrames, c, latent.height, latent.width];
      const { device, network } = this;
      const others = network.inputChannels - channels;
      const condition = DeviceTensor.from(device, conditions, sized(others), 'f32', 'condition latents');
      const noisy = DeviceTensor.from(device, first, sized(channels), 'f32', 'latents');
      const run = new DeviceSteps(device, schedule, noisy);
      let denoiser: Denoiser | BlockDenoiser | undefined;
      try {
        denoiser = await this.#denoiser(shape, condition, embeds.rows, calls);
        let drawn = 0;
        for (const [i, recipe] of schedule.steps.entries()) {
          const prediction = await denoiser.predict(run.sample, i, {
            signal,
            onProgress: (done) =>
              report({ stage: 'denoise', done: (i + Math.min(done, 0.99)) / steps, step: i + 1, steps }),
          });
          drawn += recipe.noiseDraws;
          const noise = recipe.needsNoise
            ? (draws.steps?.[i] ?? normals(seed, STREAMS.steps + drawn, count))
            : undefined;
          await run.step(i, prediction, noise);
          if (i === 0) {
            const after = (await run.sample.read()) as Float32Array;
            requireFinite(after, 'the latents after the first step', DAMAGED_TRANSFORMER);
          }
          report({ stage: 'denoise', done: (i + 1) / steps, step: i + 1, steps, preview: run.preview });
        }
        return (await run.sample.read()) as Float32Array;
      } finally {
        await denoiser?.destroy();
        condition.destroy();
        run.destroy();
      }
    };
    const sample = denoised ?? (await denoise());
    requireFinite(sample, 'the latents', DAMAGED_TRANSFORMER);

    report({ stage: 'decode', done: 0 });
    const unscaled = swapFrames(sample, latent.frames, latent.channels, 1 / scaling);
    const latentShape = [1, latent.channels, latent.frames, latent.height, latent.width];
    const decodes = settings.composite ? 2 : 1;
    const decode = (latents: Float32Array, nth: number) =>
      this.vae.decode(latents, latentShape, {
        tiling: this.#memory.decodeTiling ?? settings.tiling,
        signal,
        onWarning,
        onProgress: (done) => report({ stage: 'decode', done: (nth + done) / decodes }),
      });
    const finalShape = [1, latent.frames, latent.channels, latent.height, latent.width];
    const whole = async () => {
      const decoded = await decode(unscaled, 0);
      if (settings.composite) {
        const { data: scenery } = await decode(made!.staticLatents!, 1);
        compositeStatic(decoded.data, scenery, made!.staticVideo, size, this.vae.shape.ratio / 2);
      }
      requireFinite(decoded.data, 'the decoded video', DAMAGED_VAE);
      return decoded;
    };
    const decoded = await whole().catch((error: Error) => {
      throw signal?.aborted ? error : new UndecodedError(error, sample, finalShape);
    });
    // An even number of latent frames decodes to 4 a latent frame, as the original has it: 13 become 16.
    const [, , frames] = decoded.shape;
    return {
      video: toFrames(decoded.data, frames, height * width),
      frames,
      height,
      width,
      latents: sample,
      latentShape: finalShape,
      timesteps: schedule.timesteps,
      guidance,
    };
  }

  destroy(): void {
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
  ): Promise<Denoiser | BlockDenoiser> {
    const { device, network, precision } = this;
    const { parameters, stream } = this.#transformer;
    if (!stream) return Denoiser.create(device, network, shape, condition, rows, calls, precision);
    const { twoPasses } = this.#memory;
    const blocks = { outer: parameters, stream };
    return BlockDenoiser.create(
      device,
      network,
      blocks,
      { ...shape, twoPasses },
      condition,
      rows,
      calls,
      precision,
    );
  }

  /** Bytes of a step beside what is on the device already. */
  #denoiseBytes(shape: DenoiserShape): number {
    const { device, network, precision } = this;
    const { parameters, stream } = this.#transformer;
    if (!stream) {
      const { memory } = Denoiser.plan(device, network, shape, precision);
      return memory.total - memory.parameters;
    }
    const { twoPasses } = this.#memory;
    const weights = stream.specs(stream.blocks - 1);
    const { bytes } = planBlockDenoiser(
      device,
      network,
      parameters,
      weights,
      { ...shape, twoPasses },
      precision,
    );
    return bytes + stream.slotBytes;
  }

  /** @throws InvalidArgumentError where an option is asked for that this family has no meaning for. */
  #refuse(option: UnknownOption, isAsked: boolean): void {
    const why = this.family.lacks[option];
    if (isAsked && why !== undefined) throw new InvalidArgumentError(option.split(' ')[0], why);
  }

  /** Rows that the transformer reads of embeddings of `tokens` rows, or of a prompt. */
  #textRows(tokens = this.maxPromptTokens): number {
    return this.family.padsText ? this.maxPromptTokens : tokens;
  }

  /** Rows of embeddings: [negative, positive], or the positive one alone. */
  async #embeds(
    prompt: string | PromptEmbeds,
    negative: string,
    guided: boolean,
  ): Promise<{ rows: Float32Array; tokens: number }> {
    if (typeof prompt === 'string') {
      const rows = await this.encodePrompts(guided ? [negative, prompt] : [prompt]);
      return { rows, tokens: this.maxPromptTokens };
    }
    const dim = this.network.textWidth;
    const { tokens } = prompt;
    if (prompt.prompt.length !== tokens * dim) {
      throw new InvalidArgumentError(
        'prompt-embeds',
        `prompt_embeds: expected [1, ${tokens}, ${dim}] for this model, got ${prompt.prompt.length} values`,
      );
    }
    const rowsOfText = this.#textRows(tokens);
    if (rowsOfText < tokens) {
      throw new InvalidArgumentError(
        'prompt-embeds',
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
        'prompt-embeds',
        'negative_prompt_embeds is missing, which guidance above 1 needs; add it or pass --guidance-scale 1',
      );
    }
    // Encoded here they have all their rows already.
    if (!prompt.negative && this.family.padsText) return padded(low, prompt.prompt);
    if (low.length !== prompt.prompt.length) {
      throw new InvalidArgumentError(
        'prompt-embeds',
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
}

/** The options that were really given. */
function defined<T extends object>(options: T): Partial<T> & T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

function checkDraws(draws: NonNullable<GenerateOptions['draws']>, count: number): void {
  const named: [string, unknown][] = [
    ['latents', draws.latents],
    ['start', draws.start],
    ['staticStart', draws.staticStart],
    ['static', draws.static],
    ['hand', draws.hand],
    ...(draws.steps ?? []).map((x, i): [string, unknown] => [`steps[${i}]`, x]),
  ];
  for (const [name, value] of named) {
    if (value instanceof Float32Array && value.length !== count) {
      throw new InvalidArgumentError(
        name,
        `expected ${count} values for the latents of this size, got ${value.length}`,
      );
    }
  }
}

/** Decoded [3, frames, pixels] in [-1, 1] as [frames, pixels, 3] in [0, 1]. */
function toFrames(decoded: Float32Array, frames: number, pixels: number): Float32Array {
  const video = new Float32Array(decoded.length);
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < frames * pixels; i++) {
      video[i * 3 + c] = Math.min(1, Math.max(0, decoded[c * frames * pixels + i] / 2 + 0.5));
    }
  }
  return video;
}
