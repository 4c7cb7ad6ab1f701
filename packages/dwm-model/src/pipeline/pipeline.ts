/**
 * The whole of inference: two conditioning videos and a prompt in, the interaction video out.
 *
 *     text -> T5 -> embeddings ----------------------------+
 *     static, hands -> VAE encoder -> condition latents ---+-> denoiser x steps -> VAE decoder -> video
 *     seed -> latents -------------------------------------+
 */
import {
  type Device,
  DwmError,
  InvalidArgumentError,
  InvalidFileError,
  type ModelFolder,
  type Precision,
  subfolder,
} from '@dwm/core-tensor';
import {
  applyRecipe,
  fromConfig,
  type Scheduler,
  type SchedulerName,
  type Slot,
} from '../schedulers/index.ts';
import { T5Encoder } from '../text-encoder/index.ts';
import { T5Tokenizer } from '../tokenizer/index.ts';
import type { TransformerConfig } from '../transformer/index.ts';
import { CogVideoXVae, latentSize, spatialRatio, type VaeConfig } from '../vae/index.ts';
import { readJson } from '../weights/config.ts';
import type { MergedLora } from '../weights/lora.ts';
import type { Parameters } from '../weights/parameters.ts';

import { checkOptions, checkSize, videoRemarks } from './check-run.ts';
import { type Clip, type ClipSize, checkClip, prepareClip, resizeBytes } from './clip.ts';
import { compositeStatic } from './composite.ts';

import { makeConditioning, swapFrames } from './conditioning.ts';
import { Denoiser } from './denoiser.ts';
import { dynamicGuidanceScale } from './guidance.ts';
import { type LoadedTransformer, loadTransformer } from './load-transformer.ts';
import { normals, STREAMS } from './noise.ts';
import { DEFAULTS, type Generated, type GenerateOptions, type PromptEmbeds } from './options.ts';

export interface LoadOptions {
  /** Folder of DWM's fine-tuned weights, merged into the base. */
  readonly lora?: ModelFolder;
  /** A transformer that is on the device already, in place of the folder's: one that is being trained. */
  readonly transformer?: LoadedTransformer;
  /** Scheduler to read the model's scheduler_config.json as, in place of the class it names. */
  readonly scheduler?: SchedulerName;
  /** `f16` multiplies in f16 where the adapter can; sums, norms and softmax stay in f32. */
  readonly precision?: Precision;
  readonly onProgress?: (part: string, doneBytes: number, totalBytes: number) => void;
}

export class DwmPipeline {
  readonly device: Device;
  readonly scheduler: Scheduler;
  readonly vae: CogVideoXVae;
  readonly transformerConfig: TransformerConfig;
  readonly precision: Precision;
  /** What was merged, where there was a LoRA. */
  readonly lora: MergedLora | undefined;
  readonly #transformer: Parameters;
  readonly #text: { encoder: T5Encoder; tokenizer: T5Tokenizer } | undefined;

  private constructor(parts: {
    device: Device;
    scheduler: Scheduler;
    vae: CogVideoXVae;
    config: TransformerConfig;
    transformer: Parameters;
    text: { encoder: T5Encoder; tokenizer: T5Tokenizer } | undefined;
    precision: Precision;
    lora: MergedLora | undefined;
  }) {
    this.device = parts.device;
    this.scheduler = parts.scheduler;
    this.vae = parts.vae;
    this.transformerConfig = parts.config;
    this.precision = parts.precision;
    this.lora = parts.lora;
    this.#transformer = parts.transformer;
    this.#text = parts.text;
  }

  /**
   * Loads a model folder in diffusers' layout: `transformer/`, `vae/`, `scheduler/` and, if there,
   * `text_encoder/` with `tokenizer/`.
   * @throws InvalidFileError naming file, field and what was expected.
   */
  static async load(device: Device, folder: ModelFolder, options: LoadOptions = {}): Promise<DwmPipeline> {
    const precision = options.precision ?? 'f32';
    const report = (part: string) => (done: number, total: number) => options.onProgress?.(part, done, total);
    const schedulerFile = await readJson(folder, 'scheduler/scheduler_config.json');
    const scheduler = fromConfig(schedulerFile.json, schedulerFile.file, options.scheduler);
    const loaded: { destroy(): void }[] = [];
    try {
      const text = await loadText(device, folder, report('text encoder'));
      if (text) loaded.push(text.encoder);
      const vae = await CogVideoXVae.load(device, subfolder(folder, 'vae'), {
        precision,
        onProgress: report('vae'),
      });
      loaded.push(vae);
      const transformer =
        options.transformer ?? (await loadTransformer(device, folder, options.lora, report('transformer')));
      const { config, parameters, lora } = transformer;
      if (!options.transformer) loaded.push(parameters);
      checkParts(folder.name, config, vae.config, text?.encoder.config.width);
      return new DwmPipeline({
        device,
        scheduler,
        vae,
        config,
        transformer: parameters,
        text,
        precision,
        lora,
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
    return this.transformerConfig.max_text_seq_length;
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
    const { encoder, tokenizer } = this.#text;
    const tokens = this.maxPromptTokens;
    const ids = prompts.map((prompt) => tokenizer.encode(prompt, { maxLength: tokens }).ids);
    const out = await encoder.encode(ids, [prompts.length, tokens], { precision: this.precision });
    try {
      return (await out.read()) as Float32Array;
    } finally {
      out.destroy();
    }
  }

  /** Tokens of a prompt before it is cut, for a warning when it is too long. */
  countTokens(prompt: string): number | undefined {
    return this.#text?.tokenizer.encode(prompt, { maxLength: this.maxPromptTokens }).tokenCount;
  }

  /**
   * Device memory of a run before it begins, weights included: that of its greediest stage.
   * @param options what `generate` will be given, as far as sizes depend on it.
   * @throws as `generate`, and PlanTooLargeError when the device cannot hold a stage at all.
   */
  estimate(options: Omit<GenerateOptions, 'draws' | 'signal' | 'onWarning' | 'onProgress'>): MemoryEstimate {
    const { numFrames, height, width, guidanceScale, tiling } = {
      ...DEFAULTS,
      tiling: true,
      ...defined(options),
    };
    const size = { frames: numFrames, height, width };
    checkSize(size, this.vae.config, this.transformerConfig);
    const { staticVideo, handVideo, prompt } = options;
    const latent = latentSize(this.vae.config, size);
    const textLength = typeof prompt === 'string' ? this.maxPromptTokens : prompt.tokens;
    const shape = { latent, textLength, guided: guidanceScale > 1 };
    const { memory } = Denoiser.plan(
      this.device,
      this.transformerConfig,
      this.#transformer,
      shape,
      this.precision,
    );
    const latents = [1, latent.channels, latent.frames, latent.height, latent.width];
    const stages = {
      resize: Math.max(...[staticVideo, handVideo].map((clip) => resizeBytes(this.device, clip, size))),
      encode: this.vae.estimateEncode([1, 3, numFrames, height, width], { tiling }).bytes,
      denoise: memory.total - memory.parameters,
      decode: this.vae.estimateDecode(latents, { tiling }).bytes,
    };
    return { bytes: this.device.memory.allocated + Math.max(...Object.values(stages)), stages };
  }

  /**
   * Latents of a static video for `staticLatents` of several runs: [C, F', h, w], not scaled.
   * @throws InvalidArgumentError naming the size that is out of range.
   */
  async encodeStatic(clip: Clip, size: ClipSize, signal?: AbortSignal): Promise<Float32Array> {
    checkSize(size, this.vae.config, this.transformerConfig);
    checkClip('static', clip);
    const video = await prepareClip(this.device, clip, size);
    const shape = [1, 3, size.frames, size.height, size.width];
    return (await this.vae.encode(video, shape, { tiling: true, signal })).mean;
  }

  /**
   * Generates one clip.
   * @throws InvalidArgumentError naming the option that is out of range; the signal's reason when aborted.
   */
  async generate(options: GenerateOptions): Promise<Generated> {
    const settings = {
      ...DEFAULTS,
      dynamicGuidance: false,
      tiling: true,
      composite: false,
      mask: 'zeros' as const,
      ...defined(options),
    };
    const { numFrames, height, width, seed, strength, signal } = settings;
    const draws = options.draws ?? {};
    const report = options.onProgress ?? (() => {});
    const size = { frames: numFrames, height, width };
    checkSize(size, this.vae.config, this.transformerConfig);
    checkOptions(settings);
    const latent = latentSize(this.vae.config, size);
    const scaling = this.vae.config.scaling_factor;
    const count = latent.frames * latent.channels * latent.height * latent.width;
    checkDraws(draws, count);
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
    if (settings.composite && settings.mask !== 'zeros')
      throw new InvalidArgumentError('composite', 'goes with mask "zeros" only');
    const schedule = this.scheduler.schedule(settings.numInferenceSteps, { strength });
    const guided = settings.guidanceScale > 1;
    const onWarning = onceEach(options.onWarning ?? ((line) => console.warn(line)));
    for (const line of videoRemarks(options.staticVideo, options.handVideo, numFrames)) onWarning(line);

    report({ stage: 'text', done: 0 });
    const embeds = await this.#embeds(options.prompt, options.negativePrompt ?? '', guided);
    signal?.throwIfAborted();

    report({ stage: 'encode', done: 0 });
    const needsStart = strength < 1 && !draws.latents;
    const encodes = staticLatents ? 1 : needsStart || typeof settings.mask !== 'string' ? 3 : 2;
    let encoded = 0;
    const { condition, start, ...scene } = await makeConditioning(
      this.device,
      async (video) => {
        const posterior = await this.vae.encode(video, [1, 3, numFrames, height, width], {
          tiling: settings.tiling,
          signal,
          onWarning,
          onProgress: (done) => report({ stage: 'encode', done: Math.min(1, (encoded + done) / encodes) }),
        });
        encoded++;
        return posterior;
      },
      { ...settings, draws, needsStart },
      size,
      latent,
      scaling,
    );
    report({ stage: 'encode', done: 1 });

    const steps = schedule.steps.length;
    let sample = draws.latents ?? normals(seed, STREAMS.latents, count);
    if (start) {
      const noise = draws.start ?? normals(seed, STREAMS.start, count);
      const { x0, noise: sigma } = schedule.startNoise;
      sample = start.map((value, i) => x0 * value + sigma * noise[i]);
    } else sample = sample.map((value) => value * schedule.initNoiseSigma);

    report({ stage: 'denoise', done: 0, step: 1, steps });
    const shape = { latent, textLength: embeds.tokens, guided };
    const denoiser = await Denoiser.create(
      this.device,
      this.transformerConfig,
      this.#transformer,
      shape,
      condition,
      embeds.rows,
      this.precision,
    );
    const guidance = schedule.timesteps.map((t) =>
      settings.dynamicGuidance
        ? dynamicGuidanceScale(settings.guidanceScale, steps, t)
        : settings.guidanceScale,
    );
    try {
      const slots: Partial<Record<Slot, Float32Array>> = { sample };
      let drawn = 0;
      for (const [i, recipe] of schedule.steps.entries()) {
        const current = slots.sample!;
        const seen = recipe.inputScale === 1 ? current : current.map((value) => value * recipe.inputScale);
        slots.modelOutput = await denoiser.predict(seen, recipe.timestep, guidance[i], {
          signal,
          onProgress: (done) =>
            report({ stage: 'denoise', done: (i + Math.min(done, 0.99)) / steps, step: i + 1, steps }),
        });
        drawn += recipe.noiseDraws;
        if (recipe.needsNoise) {
          slots.noise = draws.steps?.[i] ?? normals(seed, STREAMS.steps + drawn, count);
        }
        applyRecipe(recipe, slots);
        slots.sample = slots.next;
        slots.next = undefined;
        const preview = slots.x0 ?? slots.sample;
        report({ stage: 'denoise', done: (i + 1) / steps, step: i + 1, steps, preview });
      }
      sample = slots.sample!;
    } finally {
      denoiser.destroy();
    }
    checkFinite(sample);

    report({ stage: 'decode', done: 0 });
    const unscaled = swapFrames(sample, latent.frames, latent.channels, 1 / scaling);
    const latentShape = [1, latent.channels, latent.frames, latent.height, latent.width];
    const decodes = settings.composite ? 2 : 1;
    const decode = (latents: Float32Array, nth: number) =>
      this.vae.decode(latents, latentShape, {
        tiling: settings.tiling,
        signal,
        onWarning,
        onProgress: (done) => report({ stage: 'decode', done: (nth + done) / decodes }),
      });
    const decoded = await decode(unscaled, 0);
    if (settings.composite) {
      const { data: scenery } = await decode(scene.staticLatents!, 1);
      compositeStatic(decoded.data, scenery, scene.staticVideo, size, spatialRatio(this.vae.config) / 2);
    }
    // An even number of latent frames decodes to 4 a latent frame, as the original has it: 13 become 16.
    const [, , frames] = decoded.shape;
    return {
      video: toFrames(decoded.data, frames, height * width),
      frames,
      height,
      width,
      latents: sample,
      latentShape: [1, latent.frames, latent.channels, latent.height, latent.width],
      timesteps: schedule.timesteps,
      guidance,
    };
  }

  destroy(): void {
    this.#transformer.destroy();
    this.vae.destroy();
    this.#text?.encoder.destroy();
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
    const dim = this.transformerConfig.text_embed_dim;
    const { tokens } = prompt;
    if (prompt.prompt.length !== tokens * dim) {
      throw new InvalidArgumentError(
        'prompt-embeds',
        `prompt_embeds: expected [1, ${tokens}, ${dim}] for this model, got ${prompt.prompt.length} values`,
      );
    }
    if (!guided) return { rows: prompt.prompt, tokens };
    const low = prompt.negative ?? (this.#text ? await this.encodePrompts([negative]) : undefined);
    if (!low) {
      throw new InvalidArgumentError(
        'prompt-embeds',
        'negative_prompt_embeds is missing, which guidance above 1 needs; add it or pass --guidance-scale 1',
      );
    }
    if (low.length !== prompt.prompt.length) {
      throw new InvalidArgumentError(
        'prompt-embeds',
        `negative_prompt_embeds: expected ${prompt.prompt.length} values as in prompt_embeds, got ${low.length}`,
      );
    }
    const rows = new Float32Array(2 * low.length);
    rows.set(low);
    rows.set(prompt.prompt, low.length);
    return { rows, tokens };
  }
}

/** Bytes on the device. */
export interface MemoryEstimate {
  readonly bytes: number;
  /** What each stage needs beside the weights. */
  readonly stages: Readonly<Record<'resize' | 'encode' | 'denoise' | 'decode', number>>;
}

/** Encoders of two videos and the decoder may say the same. */
function onceEach(warn: (line: string) => void): (line: string) => void {
  const said = new Set<string>();
  return (line) => {
    if (said.has(line)) return;
    said.add(line);
    warn(line);
  };
}

/** The options that were really given. */
function defined<T extends object>(options: T): Partial<T> & T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/** @throws InvalidFileError when the parts of a model folder do not belong together. */
function checkParts(
  folder: string,
  { text_embed_dim, out_channels, temporal_compression_ratio }: TransformerConfig,
  vae: VaeConfig,
  textWidth: number | undefined,
): void {
  const expected: [part: string, field: string, expected: number, actual: number][] = [
    ['vae', 'latent_channels', out_channels, vae.latent_channels],
    ['vae', 'temporal_compression_ratio', temporal_compression_ratio, vae.temporal_compression_ratio],
    ['text_encoder', 'd_model', text_embed_dim, textWidth ?? text_embed_dim],
  ];
  for (const [part, field, want, got] of expected) {
    if (want === got) continue;
    const file = `${folder}/${part}/config.json`;
    throw new InvalidFileError(file, `${field}: this transformer goes with ${want}, got ${got}`, { field });
  }
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

function checkFinite(sample: Float32Array): void {
  if (sample.every(Number.isFinite)) return;
  throw new DwmError(
    'not-finite',
    'the latents are no longer finite numbers; the weights or the scheduler are damaged, or belong to another model',
  );
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

async function loadText(
  device: Device,
  folder: ModelFolder,
  onProgress: (done: number, total: number) => void,
): Promise<{ encoder: T5Encoder; tokenizer: T5Tokenizer } | undefined> {
  if (!(await folder.exists('text_encoder/config.json'))) return undefined;
  const readAll = async (path: string) => {
    const source = await folder.open(path);
    const bytes = await source.read(0, source.size);
    await source.close?.();
    return { bytes, file: source.name };
  };
  let tokenizer: T5Tokenizer;
  if (await folder.exists('tokenizer/spiece.model')) {
    const { bytes, file } = await readAll('tokenizer/spiece.model');
    tokenizer = T5Tokenizer.fromSpieceModel(bytes, file);
  } else {
    const { bytes, file } = await readAll('tokenizer/tokenizer.json');
    tokenizer = T5Tokenizer.fromTokenizerJson(new TextDecoder().decode(bytes), file);
  }
  return {
    encoder: await T5Encoder.load(device, subfolder(folder, 'text_encoder'), { onProgress }),
    tokenizer,
  };
}
