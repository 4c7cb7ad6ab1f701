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
  broadcastTo,
  compile,
  concat,
  constant,
  type Device,
  DeviceTensor,
  mul,
  type Program,
  slice,
  spec,
  type Tensor,
  type TensorSpec,
} from '@dwm/core-tensor';
import type { CausalNetwork, DenoisingNetwork } from '../families/family.ts';
import { composited } from '../pipeline/composite.ts';
import { Scratch } from '../pipeline/scratch.ts';
import type { Schedule } from '../schedulers/index.ts';
import { DeviceSteps } from '../schedulers/on-device.ts';
import type { CausalMemory } from '../transformer/index.ts';
import type { StretchPrograms } from '../vae/clip-stream.ts';
import type { LatentSize } from '../vae/index.ts';
import { displayedBytes, unit } from '../video/transfer.ts';
import type { DeviceVideo, Latents, Video } from '../video/video.ts';

import type { LiveModel } from './model.ts';

type AnyProgram = Program<Record<string, TensorSpec>, Record<string, Tensor>>;

/** What a live run is made for. */
export interface LiveSettings {
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

/** Name of the program that makes bytes of so many frames, over a scene of so many. */
const finishName = (frames: number, scene: number | undefined): string => `finish ${frames} over ${scene}`;

/** See the file's head. */
export class LiveEngine {
  readonly device: Device;
  readonly causal: CausalNetwork;
  readonly settings: LiveSettings;
  /** Of a block. */
  readonly latent: LatentSize;
  readonly encoder: StretchPrograms;
  readonly decoder: StretchPrograms;
  readonly #network: DenoisingNetwork;
  readonly #scaling: number;
  readonly #pipeline: LiveModel;
  readonly #programs = new Map<string, AnyProgram>();
  readonly #own = new Scratch();
  /** Moments of the block's hands, and of the scene by its latent frames: programs read them where they are. */
  readonly #hands: DeviceTensor;
  readonly #moments = new Map<number, DeviceTensor>();
  readonly #steps: DeviceSteps;
  readonly #told: readonly Readonly<Record<string, DeviceTensor>>[];
  #last: Promise<unknown> = Promise.resolve();
  #runs = 1;

  constructor(pipeline: LiveModel, causal: CausalNetwork, settings: LiveSettings) {
    const { device, network, vae } = pipeline;
    const { height, width, schedule } = settings;
    this.device = device;
    this.causal = causal;
    this.settings = settings;
    this.#pipeline = pipeline;
    this.#network = network;
    this.#scaling = vae.shape.scalingFactor;
    const frames = 1 + (causal.blockFrames - 1) * vae.shape.temporalRatio;
    this.latent = vae.latentSize({ frames, height, width });
    this.encoder = vae.openStretches('encode');
    this.decoder = vae.openStretches('decode');
    const { channels, height: h, width: w } = this.latent;
    const blockOf = (of: number) => spec([1, causal.blockFrames, of, h, w]);
    this.#hands = this.#own.keep(new DeviceTensor(device, blockOf(2 * channels), 'moments of hands'));
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
    const { temporalRatio } = this.#pipeline.vae.shape;
    return temporalRatio * this.causal.blockFrames - (isFirst ? temporalRatio - 1 : 0);
  }

  /** `work` when all that was asked for before is submitted. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const made = this.#last.then(work);
    this.#last = made.catch(() => {});
    return made;
  }

  /** Bytes as a video on the device. */
  async up({ data, frames }: Video): Promise<DeviceVideo> {
    const { height, width } = this.settings;
    const shape = [1, frames, height, width, 3];
    const program = await this.#program(`up ${frames}`, { bytes: spec(shape, 'u8') }, ({ bytes }) => ({
      video: unit(bytes),
    }));
    const { video } = await program.run({ bytes: data });
    return video.clone('video');
  }

  /** An empty memory of a run. */
  emptyMemory(): CausalMemory {
    return this.causal.memory(this.device, { textLength: this.settings.textLength, ...this.#picture });
  }

  /** Makes a memory one of a run with this text [1, tokens, width]. */
  async tell(memory: CausalMemory, text: Float32Array): Promise<void> {
    const { causal } = this;
    const { ofs } = this.#told[0];
    const rows = spec([1, this.settings.textLength, this.#network.textWidth]);
    const inputs: Record<string, TensorSpec> = { text: rows, ...(ofs && { ofs: spec(ofs.shape) }) };
    const program = await this.#program('text', inputs, ({ text, ...told }) => causal.text(text, told));
    memory.rememberText(await program.run({ text, ...(ofs && { ofs }) }));
  }

  /** Scaled latents of static frames, from their moments [1, latent frames, 2 · channels, h, w]; one fills a block. */
  async staticLatents(moments: DeviceTensor): Promise<Latents> {
    const { channels, height, width } = this.latent;
    const { blockFrames } = this.causal;
    const [, frames] = moments.shape;
    let held = this.#moments.get(frames);
    if (!held) {
      held = this.#own.keep(new DeviceTensor(this.device, moments, 'moments of the scene'));
      this.#moments.set(frames, held);
    }
    const kept = held;
    kept.copyFrom(moments);
    const { vae } = this.#pipeline;
    const program = await this.#program(`static ${frames}`, {}, () => ({
      latents: mul(
        broadcastTo(vae.posterior(kept).mode(), [1, blockFrames, channels, height, width]),
        this.#scaling,
      ),
    }));
    return (await program.run({})).latents.clone('static latents');
  }

  /** The first `frames` of latents of a block, as the VAE takes them; the next call overwrites them. */
  async plain(latents: Latents, frames = this.causal.blockFrames): Promise<DeviceTensor> {
    const program = await this.#program(`plain ${frames}`, { latents: spec(latents.shape) }, (given) => ({
      plain: mul(slice(given.latents, 1, 0, frames), 1 / this.#scaling),
    }));
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
    const sigma = this.#pipeline.vae.shape.ratio / 2;
    const beside = own && decoded ? { own, decoded } : undefined;
    const specs = (of: Record<string, DeviceTensor>) =>
      Object.fromEntries(Object.entries(of).map(([name, { shape }]) => [name, spec(shape)]));
    const given: Record<string, DeviceTensor> = { video, ...beside };
    const name = finishName(video.shape[1], own?.shape[1]);
    const program = await this.#program(name, specs(given), (x) => ({
      bytes: displayedBytes(beside ? composited(x.video, x.decoded, x.own, sigma) : x.video),
    }));
    return (await program.run(given)).bytes;
  }

  /** Work of a block after the first, the static scene at rest; known once such a block was made. */
  cost(): BlockCost {
    const { height: h, width: w, channels } = this.latent;
    const { height, width, schedule, composite } = this.settings;
    const { blockFrames } = this.causal;
    const passage = (programs: StretchPrograms, first: readonly number[], next: readonly number[]) =>
      programs.plan(next, programs.plan(first)).plan.cost;
    const of = (name: string) => this.#programs.get(name)!.plan.cost;
    const [first, frames] = [this.framesOf(true), this.framesOf(false)];
    const latents = [1, blockFrames, channels, h, w];
    const parts = [
      passage(this.encoder, [1, first, height, width, 3], [1, frames, height, width, 3]),
      passage(this.decoder, latents, latents),
      ...[`up ${frames}`, `plain ${blockFrames}`, finishName(frames, composite ? 1 : undefined)].map(of),
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
    const program = await this.#block();
    return program.run({
      ...memory.tensors,
      ...Object.fromEntries(Object.entries(tables).map(([name, { data }]) => [name, data])),
      ...this.#told[call],
      sample: this.#steps.sample,
      static: latents,
      mask: memory.mask(index),
    });
  }

  /** The transformer on one block. */
  #block(): Promise<AnyProgram> {
    const network = this.#network;
    const { latent, causal, settings } = this;
    const { vae } = this.#pipeline;
    const { channels, height, width } = latent;
    const size = { ...this.#picture, textLength: settings.textLength };
    const memory = causal.memorySpecs(size);
    const tables = Object.entries(causal.positions(this.#picture, 0));
    const latents = spec([1, causal.blockFrames, channels, height, width]);
    const inputs: Record<string, TensorSpec> = {
      ...{ sample: latents, static: latents, inputScale: spec([1]), ...network.told, ...memory },
      mask: spec([1, memory.k0.shape[1]], 'u32'),
      ...Object.fromEntries(tables.map(([name, { shape }]) => [name, spec(shape)])),
    };
    return this.#program('block', inputs, ({ sample, static: scene, inputScale, ...given }) => {
      const told = Object.fromEntries(Object.keys(network.told).map((name) => [name, given[name]]));
      const hands = mul(vae.posterior(this.#hands).mode(), this.#scaling);
      const all = constant(Float32Array.of(this.#scaling), [1]);
      const mask = broadcastTo(all, [1, causal.blockFrames, 1, height, width]);
      return causal.block(concat([mul(sample, inputScale), mask, scene, hands], 2), told, given);
    });
  }

  async #program(
    name: string,
    inputs: Record<string, TensorSpec>,
    fn: (given: Record<string, Tensor>) => Record<string, Tensor>,
  ): Promise<AnyProgram> {
    let program = this.#programs.get(name);
    if (!program) {
      program = await compile(this.device, inputs, fn, this.#pipeline.precision);
      this.#programs.set(name, program);
    }
    return program;
  }
}
