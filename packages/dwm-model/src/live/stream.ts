/**
 * A model that answers while the hands move: frames of hands go in, and frames of what they do come out, without end.
 * Each block of frames is made from the scene, the hands, and what the model remembers of the blocks before, so that
 * time and memory of a block are the same however long the run.
 */
import { InvalidArgumentError, parameter } from '@dwm/core-tensor';
import { checkSize } from '../pipeline/check-run.ts';
import { requireFiniteTensor } from '../pipeline/finite.ts';
import { normals, STREAMS } from '../pipeline/noise.ts';
import type { PromptEmbeds } from '../pipeline/options.ts';
import { cloneAll, Scratch } from '../pipeline/scratch.ts';
import type { CausalMemory } from '../transformer/index.ts';
import type { ClipStream } from '../vae/clip-stream.ts';
import { checkVideo, type Video } from '../video/video.ts';
import { type BlockCost, LiveEngine, type Scenery } from './engine.ts';
import { IN_FLIGHT, LiveBusyError, LiveStoppedError, NotCausalError, requireNoGuidance } from './errors.ts';
import type { LiveModel } from './model.ts';
import { freeScenery, lastFrame, sceneAtRest, sceneryOf } from './scenery.ts';

/** What a run begins with. */
export interface LiveStart {
  /** The static scene: its last frame is what the camera sees until it moves. */
  readonly scene?: Video;
  readonly prompt?: string | PromptEmbeds;
  /** Default 42. The same seed, scene and hands give the same frames. */
  readonly seed?: number;
}

/** Options of `DwmStream.open`; what is left out is as the model's own settings say. */
export interface LiveOptions extends LiveStart {
  readonly scene: Video;
  readonly prompt: string | PromptEmbeds;
  readonly numInferenceSteps?: number;
  /** Above 1 is refused: a live model makes do without guidance. */
  readonly guidanceScale?: number;
  /** Puts the scene's own pixels where nothing has changed. */
  readonly composite?: boolean;
}

/** What a block of frames is made from; both videos have `nextFrames` frames of the scene's size. */
export interface LiveChunk {
  /** Hands on black. */
  readonly hands: Video;
  /** The static scene, where the camera moves; left out, it stands where it was last. */
  readonly static?: Video;
}

/** Noise streams of a block: that it begins with, and one for each step. */
const DRAWS = 1024;

/** What a run goes on from. */
interface State {
  /** Block that comes next. */
  index: number;
  seed: number;
  scenery: Scenery;
  readonly memory: CausalMemory;
  readonly hands: ClipStream;
  readonly decoder: ClipStream;
  /** The static scene on its way through encoder and decoder; both begin anew with a frame at rest. */
  readonly scene: ClipStream;
  readonly sceneDecoder: ClipStream;
}

/** A world that goes on frame by frame, as hands come. */
export class DwmStream {
  readonly #pipeline: LiveModel;
  readonly #engine: LiveEngine;
  readonly #state: State;
  /** The scene that the run began with. */
  #scene: Video;
  /** Last static frame where the camera moved in the block before. */
  #rest: Video | undefined;
  /** Frames that were asked for: pushes count, whether they are made or not. */
  #pushed: number;
  #inFlight = 0;
  #failure: unknown;
  #destroyed = false;
  #waiting: (() => void)[] = [];

  private constructor(pipeline: LiveModel, engine: LiveEngine, state: State, scene: Video, rest?: Video) {
    this.#pipeline = pipeline;
    this.#engine = engine;
    this.#state = state;
    this.#scene = scene;
    this.#rest = rest;
    this.#pushed = state.index;
  }

  /**
   * @throws NotCausalError where the model looks both ways; InvalidArgumentError naming the option out of range.
   */
  static async open(pipeline: LiveModel, options: LiveOptions): Promise<DwmStream> {
    const { network, settings: usual, vae } = pipeline;
    if (!network.causal) throw new NotCausalError(pipeline.family.name);
    if (!pipeline.weightsStay)
      throw new InvalidArgumentError('memory', 'a live run needs all of the transformer on the device');
    const { scene, prompt, seed = 42 } = options;
    checkVideo('scene', scene);
    checkSize({ ...scene, frames: 1 }, vae.shape, { ...network, framePatch: 1 });
    if (!Number.isSafeInteger(seed) || seed < 0)
      throw new InvalidArgumentError('seed', `expected a whole number from 0 to 2^53 - 1, got ${seed}`);
    requireNoGuidance(options.guidanceScale ?? usual.guidanceScale);
    const { rows, textLength } = await textOf(pipeline, prompt);
    const { height, width } = scene;
    const engine = new LiveEngine(pipeline, network.causal, {
      ...{ height, width, textLength },
      composite: options.composite ?? usual.composite,
      schedule: pipeline.scheduler.schedule(options.numInferenceSteps ?? usual.numInferenceSteps),
    });
    const own = new Scratch();
    let stream: DwmStream;
    try {
      const memory = own.keep(engine.emptyMemory());
      await engine.tell(memory, rows);
      const [scenes, sceneDecoder] = [own.keep(engine.encoder.open()), own.keep(engine.decoder.open())];
      const scenery = await sceneAtRest(engine, scenes, sceneDecoder, scene);
      const [hands, decoder] = [engine.encoder.open(), engine.decoder.open()];
      const state = { index: 0, seed, memory, scenery, hands, decoder, scene: scenes, sceneDecoder };
      stream = new DwmStream(pipeline, engine, state, scene);
    } catch (error) {
      own.destroy();
      engine.release();
      throw error;
    }
    try {
      return await stream.#warmedUp();
    } catch (error) {
      await stream.destroy();
      throw error;
    }
  }

  /** Two blocks without hands compile all that blocks need; the run begins after them. */
  async #warmedUp(): Promise<this> {
    const { height, width } = this.#scene;
    for (let block = 0; block < 2; block++) {
      const frames = this.nextFrames;
      await this.push({
        hands: { data: new Uint8Array(frames * height * width * 3), frames, height, width },
      });
    }
    await this.reset();
    return this;
  }

  /** Frames of a run's first push, and of each that follows. */
  get blockFrames(): { readonly first: number; readonly next: number } {
    return { first: this.#engine.framesOf(true), next: this.#engine.framesOf(false) };
  }

  /** Frames of the next push. */
  get nextFrames(): number {
    return this.#engine.framesOf(this.#pushed === 0);
  }

  /** Work of a block after the first, while the camera stands. */
  get cost(): BlockCost {
    return this.#engine.cost();
  }

  /** Resolves when another push is welcome. */
  get ready(): Promise<void> {
    if (this.#inFlight < IN_FLIGHT) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /**
   * The frames that `chunk` leads to. A push may follow before the one before has given its frames, two at a time.
   * @throws InvalidArgumentError for videos of another size, LiveBusyError for a third push, and nothing has changed
   *   then; LiveStoppedError after one that failed; the signal's reason when aborted.
   */
  async push(chunk: LiveChunk, signal?: AbortSignal): Promise<Video> {
    this.#requireRunning();
    this.#check('hands', chunk.hands);
    if (chunk.static) this.#check('static', chunk.static);
    if (this.#inFlight >= IN_FLIGHT) throw new LiveBusyError();
    signal?.throwIfAborted();
    this.#inFlight++;
    this.#pushed++;
    try {
      // The next block is submitted while these bytes come down.
      const { read } = await this.#engine.turns.take(() => this.#next(chunk, signal));
      return await read;
    } catch (error) {
      this.#failure ??= error;
      throw error;
    } finally {
      this.#inFlight--;
      this.#waiting.shift()?.();
    }
  }

  /**
   * Begins a run anew, without compiling anything; pushes under way still end.
   * @param options what is left out stays as it was: the scene is of the run's size, the prompt as long as its own.
   * @throws InvalidArgumentError naming the option that does not fit, and nothing has changed then.
   */
  async reset({ scene, prompt, seed }: LiveStart = {}): Promise<void> {
    if (this.#destroyed) throw destroyed();
    const { height, width, textLength } = this.#engine.settings;
    if (scene) checkVideo('scene', scene);
    if (scene && (scene.height !== height || scene.width !== width))
      throw new InvalidArgumentError(
        'scene',
        `expected ${width}x${height}, as the run has it, got ${scene.width}x${scene.height}`,
      );
    const text = prompt === undefined ? undefined : await textOf(this.#pipeline, prompt);
    if (text && text.textLength !== textLength)
      throw new InvalidArgumentError(
        'promptEmbeds',
        `expected ${textLength} rows, as the run has them, got ${text.textLength}`,
      );
    // The next push, even one before this is done, is of the new run.
    this.#pushed = 0;
    await this.#engine.turns.take(async () => {
      const state = this.#state;
      state.index = 0;
      state.seed = seed ?? state.seed;
      for (const clip of [state.hands, state.decoder]) clip.reset();
      if (text) await this.#engine.tell(state.memory, text.rows);
      this.#scene = scene ?? this.#scene;
      await this.#stand(this.#scene);
      this.#failure = undefined;
    });
  }

  /**
   * A run of its own that goes on from here: what was pushed so far is as if it were pushed there too.
   * @param seed of its noise; that of this run if left out.
   */
  async fork({ seed }: { readonly seed?: number } = {}): Promise<DwmStream> {
    this.#requireRunning();
    return this.#engine.turns.take(async () => {
      // A push before it may have failed since the call.
      if (this.#failure !== undefined) throw new LiveStoppedError(this.#failure);
      const { index, memory, scenery, hands, decoder, scene, sceneDecoder, ...before } = this.#state;
      const own = new Scratch();
      try {
        const state: State = {
          ...{ index, seed: seed ?? before.seed, memory: own.keep(memory.clone()) },
          ...{ hands: own.keep(hands.fork()), decoder: own.keep(decoder.fork()) },
          ...{ scene: own.keep(scene.fork()), sceneDecoder: own.keep(sceneDecoder.fork()) },
          scenery: cloneAll(scenery),
        };
        return new DwmStream(this.#pipeline, this.#engine.share(), state, this.#scene, this.#rest);
      } catch (error) {
        own.destroy();
        throw error;
      }
    });
  }

  /** Frees what the run holds on the device, when pushes under way have ended. */
  async destroy(): Promise<void> {
    if (this.#destroyed) return;
    this.#destroyed = true;
    await this.#engine.turns.take(async () => {
      const { memory, scenery, hands, decoder, scene, sceneDecoder } = this.#state;
      for (const held of [memory, hands, decoder, scene, sceneDecoder]) held.destroy();
      freeScenery(scenery);
      this.#engine.release();
    });
  }

  #requireRunning(): void {
    if (this.#failure !== undefined) throw new LiveStoppedError(this.#failure);
    if (this.#destroyed) throw destroyed();
  }

  /** Submits a block, unless one before failed. @returns the frames on their way down. */
  async #next(chunk: LiveChunk, signal?: AbortSignal): Promise<{ read: Promise<Video> }> {
    this.#requireRunning();
    try {
      signal?.throwIfAborted();
      return await this.#make(chunk);
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  async #make({ hands, static: moving }: LiveChunk): Promise<{ read: Promise<Video> }> {
    const engine = this.#engine;
    const state = this.#state;
    const { index, memory, seed } = state;
    if (moving) await this.#move(moving);
    else if (this.#rest) await this.#stand(this.#rest);
    const { scenery } = state;

    const handVideo = await engine.up(hands);
    const moments = await state.hands.push(handVideo).finally(() => handVideo.destroy());
    const { channels, height, width } = engine.latent;
    const count = engine.causal.blockFrames * channels * height * width;
    const noise = (draw: number) => normals(seed, STREAMS.live + DRAWS * index + draw, count);
    const latents = await engine
      .denoise(index, memory, moments, scenery, noise)
      .finally(() => moments.destroy());
    // Damaged weights show in the first block.
    if (index === 0) {
      const cause = 'the weights or the scheduler are damaged, or belong to another model';
      await requireFiniteTensor(engine.device, parameter(latents), 'the latents of the first block', cause);
    }
    const video = await state.decoder.push(await engine.plain(latents));
    const bytes = await engine.finish(video, scenery).finally(() => video.destroy());
    const [, frames, ...size] = video.shape;
    const read = bytes
      .read()
      .then((data) => ({ data: data as Uint8Array, frames, height: size[0], width: size[1] }));
    read.catch(() => {});
    // After the frames, which need not wait for it.
    await engine.remember(index, memory, scenery);
    state.index++;
    return { read };
  }

  /** The camera moves: the scene's frames go through the VAE after those before them. */
  async #move(frames: Video): Promise<void> {
    const { scene, sceneDecoder, index } = this.#state;
    if (index === 0) for (const clip of [scene, sceneDecoder]) clip.reset();
    this.#setScenery(await sceneryOf(this.#engine, scene, sceneDecoder, frames));
    this.#rest = lastFrame(frames);
  }

  /** The camera stands at a frame, as it has always done. */
  async #stand(frame: Video): Promise<void> {
    const { scene, sceneDecoder } = this.#state;
    this.#setScenery(await sceneAtRest(this.#engine, scene, sceneDecoder, frame));
    this.#rest = undefined;
  }

  #setScenery(scenery: Scenery): void {
    freeScenery(this.#state.scenery);
    this.#state.scenery = scenery;
  }

  #check(field: string, video: Video): void {
    checkVideo(field, video);
    const { height, width } = this.#scene;
    const want = [this.nextFrames, height, width];
    const got = [video.frames, video.height, video.width];
    if (want.join() === got.join()) return;
    const [of, is] = [want, got].map(([frames, h, w]) => `${frames} frames of ${w}x${h}`);
    throw new InvalidArgumentError(field, `expected ${of} for this block, got ${is}`, {
      expected: want,
      actual: got,
    });
  }
}

/** Embeddings [1, rows, width]. @throws InvalidArgumentError where they are no rows of this model. */
async function textOf(
  pipeline: LiveModel,
  prompt: string | PromptEmbeds,
): Promise<{ readonly rows: Float32Array; readonly textLength: number }> {
  const { textWidth } = pipeline.network;
  const rows = typeof prompt === 'string' ? await pipeline.encodePrompts([prompt]) : prompt.prompt;
  const textLength = rows.length / textWidth;
  if (!Number.isInteger(textLength) || textLength < 1)
    throw new InvalidArgumentError(
      'promptEmbeds',
      `expected rows of ${textWidth}, got ${rows.length} values`,
    );
  return { rows, textLength };
}

const destroyed = () => new LiveStoppedError(new Error('it was destroyed'));
