/**
 * The programs of live runs, compiled once for a model, a size and a prompt's length. Any number of runs share them,
 * one block at a time. A block goes up as bytes, and its frames come down as bytes:
 *
 *     hands -> VAE encoder -----------------------+
 *     static scene -> VAE encoder (when it moves) +-> transformer x steps -> VAE decoder -> composite -> frames
 *     noise of the block -------------------------+        | (once more, clean)
 *                                                          +-> keys and values
 */
import {
  compile,
  type Device,
  DeviceTensor,
  type Program,
  spec,
  type Tensor,
  type TensorSpec,
  Turns,
} from '@dwm/core-tensor';
import type { CausalNetwork } from '../families/family.ts';
import { Scratch } from '../pipeline/scratch.ts';
import type { Schedule } from '../schedulers/index.ts';
import { DeviceSteps } from '../schedulers/on-device.ts';
import type { CausalMemory } from '../transformer/index.ts';
import type { StretchPrograms } from '../vae/clip-stream.ts';
import type { LatentSize } from '../vae/index.ts';
import type { DeviceVideo, Latents, Video } from '../video/video.ts';
import type { LiveModel } from './model.ts';
import { blockFramesOf, blockLatents, type LiveProgram, type LiveShape, livePrograms } from './programs.ts';

type AnyProgram = Program<Record<string, TensorSpec>, Record<string, Tensor>>;

/** What a live run is made for. */
interface LiveSettings {
  readonly height: number;
  readonly width: number;
  readonly composite: boolean;
  readonly textLength: number;
  readonly schedule: Schedule;
}

/** Work of one block. */
export interface BlockCost {
  readonly flops: number;
  readonly bytes: number;
}

/** The static scene beside a block. */
export interface Scenery {
  /** Scaled latents [1, blockFrames, channels, h, w]. */
  readonly latents: Latents;
  /** As it is, and as the VAE gives it back, where the block is composited; of one frame, or as many as the block's. */
  readonly own?: DeviceVideo;
  readonly decoded?: DeviceVideo;
}

/** See the file's head. */
export class LiveEngine {
  readonly device: Device;
  readonly causal: CausalNetwork;
  readonly settings: LiveSettings;
  /** Of a block. */
  readonly latent: LatentSize;
  readonly encoder: StretchPrograms;
  readonly decoder: StretchPrograms;
  /** Work of runs that share the engine is submitted one after the other. */
  readonly turns = new Turns();
  readonly #shape: LiveShape;
  readonly #graphs: ReturnType<typeof livePrograms>;
  readonly #block: LiveProgram;
  readonly #pipeline: LiveModel;
  readonly #programs = new Map<string, AnyProgram>();
  readonly #own = new Scratch();
  /** Moments of the block's hands, and of the scene by its latent frames: programs read them where they are. */
  readonly #hands: DeviceTensor;
  readonly #moments = new Map<number, DeviceTensor>();
  readonly #steps: DeviceSteps;
  readonly #told: readonly Readonly<Record<string, DeviceTensor>>[];
  #runs = 1;

  constructor(pipeline: LiveModel, causal: CausalNetwork, settings: LiveSettings) {
    const { device, network, vae } = pipeline;
    const { height, width, textLength, schedule } = settings;
    this.device = device;
    this.causal = causal;
    this.settings = settings;
    this.#pipeline = pipeline;
    this.#shape = { network, causal, vae, height, width, textLength };
    this.#graphs = livePrograms(this.#shape);
    this.latent = blockLatents(this.#shape);
    this.encoder = vae.openStretches('encode');
    this.decoder = vae.openStretches('decode');
    const { channels, height: h, width: w } = this.latent;
    const blockOf = (of: number) => spec([1, causal.blockFrames, of, h, w]);
    this.#hands = this.#own.keep(new DeviceTensor(device, blockOf(2 * channels), 'moments of hands'));
    this.#block = this.#graphs.block(this.#hands);
    this.#steps = new DeviceSteps(device, schedule, new DeviceTensor(device, blockOf(channels), 'latents'));
    // The last row is that of a block that is remembered: clean.
    this.#told = [...schedule.steps, { timestep: 0, inputScale: 1 }].map(({ timestep, inputScale }) => {
      const told = { ...network.tell(timestep), inputScale: Float32Array.of(inputScale) };
      return Object.fromEntries(
        Object.entries(told).map(([name, values]) => {
          const shape = network.told[name]?.shape ?? [1];
          return [name, this.#own.keep(DeviceTensor.from(device, values, shape, 'f32', name))];
        }),
      );
    });
  }

  /** Frames of a run's first block, and of those that follow. */
  framesOf(isFirst: boolean): number {
    return blockFramesOf(this.#shape, isFirst);
  }

  /** Bytes as a video on the device. */
  async up({ data, frames }: Video): Promise<DeviceVideo> {
    const program = await this.#program(this.#graphs.up(frames));
    const { video } = await program.run({ bytes: data });
    return video.clone('video');
  }

  /** An empty memory of a run. */
  emptyMemory(): CausalMemory {
    return this.causal.memory(this.device, { textLength: this.settings.textLength, ...this.#picture });
  }

  /** Makes a memory one of a run with this text [1, tokens, width]. */
  async tell(memory: CausalMemory, text: Float32Array): Promise<void> {
    const { ofs } = this.#told[0];
    const program = await this.#program(this.#graphs.text());
    memory.rememberText(await program.run({ text, ...(ofs && { ofs }) }));
  }

  /** Scaled latents of static frames, from their moments [1, latent frames, 2 · channels, h, w]; one fills a block. */
  async staticLatents(moments: DeviceTensor): Promise<Latents> {
    const [, frames] = moments.shape;
    let held = this.#moments.get(frames);
    if (!held) {
      held = this.#own.keep(new DeviceTensor(this.device, moments, 'moments of the scene'));
      this.#moments.set(frames, held);
    }
    held.copyFrom(moments);
    const program = await this.#program(this.#graphs.scene(held));
    return (await program.run({})).latents.clone('static latents');
  }

  /** The first `frames` of latents of a block, as the VAE takes them; the next call overwrites them. */
  async plain(latents: Latents, frames = this.causal.blockFrames): Promise<DeviceTensor> {
    const program = await this.#program(this.#graphs.plain(frames));
    return (await program.run({ latents })).plain;
  }

  /**
   * The clean latents of block `index`; the next block overwrites them.
   * @param moments of its hands.
   * @param noise standard normals of the block: what it begins with, and what enters step `i` of those that need some.
   */
  async denoise(
    index: number,
    memory: CausalMemory,
    moments: DeviceTensor,
    scenery: Scenery,
    noise: (draw: number) => Float32Array,
  ): Promise<Latents> {
    this.#hands.copyFrom(moments);
    const { steps, initNoiseSigma } = this.settings.schedule;
    this.#steps.restart(noise(0).map((value) => value * initNoiseSigma));
    for (const [i, { needsNoise }] of steps.entries()) {
      const { prediction } = await this.#runBlock(index, memory, scenery, i);
      await this.#steps.step(i, prediction, needsNoise ? noise(1 + i) : undefined);
    }
    return this.#steps.sample;
  }

  /** Remembers the block that `denoise` made last, where any other will see it. */
  async remember(index: number, memory: CausalMemory, scenery: Scenery): Promise<void> {
    if (!memory.keeps(index)) return;
    const { prediction: _, ...own } = await this.#runBlock(
      index,
      memory,
      scenery,
      this.settings.schedule.steps.length,
    );
    memory.remember(index, own);
  }

  /** Displayed bytes of a decoded video, composited over its scene; the next call overwrites them. */
  async finish(video: DeviceVideo, { own, decoded }: Scenery): Promise<DeviceTensor> {
    const beside = own && decoded ? { own, decoded } : undefined;
    const program = await this.#program(this.#graphs.finish(video.shape[1], beside?.own.shape[1]));
    return (await program.run({ video, ...beside })).bytes;
  }

  /** Work of a block after the first, the static scene at rest; known once such a block was made. */
  cost(): BlockCost {
    const { height: h, width: w, channels } = this.latent;
    const { height, width, schedule, composite } = this.settings;
    const { blockFrames } = this.causal;
    const passage = (programs: StretchPrograms, first: readonly number[], next: readonly number[]) =>
      programs.plan(next, programs.plan(first)).plan.cost;
    const graphs = this.#graphs;
    const of = (name: string) => this.#programs.get(name)!.plan.cost;
    const [first, frames] = [this.framesOf(true), this.framesOf(false)];
    const latents = [1, blockFrames, channels, h, w];
    const parts = [
      passage(this.encoder, [1, first, height, width, 3], [1, frames, height, width, 3]),
      passage(this.decoder, latents, latents),
      ...[graphs.up(frames), graphs.plain(blockFrames), graphs.finish(frames, composite ? 1 : undefined)].map(
        ({ name }) => of(name),
      ),
      // Once more for the memory.
      ...Array.from({ length: schedule.steps.length + 1 }, () => of('block')),
    ];
    const sum = (what: keyof BlockCost) => parts.reduce((total, part) => total + part[what], 0);
    return { flops: sum('flops'), bytes: sum('bytes') };
  }

  /** One more run uses the engine. */
  share(): this {
    this.#runs++;
    return this;
  }

  /** One run less; the last takes the programs with it. */
  release(): void {
    if (--this.#runs > 0) return;
    for (const program of this.#programs.values()) program.destroy();
    this.encoder.destroy();
    this.decoder.destroy();
    this.#steps.destroy();
    this.#own.destroy();
  }

  get #picture() {
    const { height, width } = this.latent;
    return { height, width };
  }

  async #runBlock(index: number, memory: CausalMemory, { latents }: Scenery, call: number) {
    const tables = this.causal.positions(this.#picture, index * this.causal.blockFrames);
    const program = await this.#program(this.#block);
    return program.run({
      ...memory.tensors,
      ...Object.fromEntries(Object.entries(tables).map(([name, { data }]) => [name, data])),
      ...this.#told[call],
      sample: this.#steps.sample,
      static: latents,
      mask: memory.mask(index),
    });
  }

  async #program({ name, inputs, run }: LiveProgram): Promise<AnyProgram> {
    let program = this.#programs.get(name);
    if (!program) {
      program = await compile(this.device, inputs, run, this.#pipeline.precision);
      this.#programs.set(name, program);
    }
    return program;
  }
}
