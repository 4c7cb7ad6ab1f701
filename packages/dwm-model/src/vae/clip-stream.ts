/**
 * Encoder or decoder for clips that come a stretch at a time and have no end. Between stretches only the convolutions'
 * caches stay, so that memory does not grow, and the numbers are those of `ClipNetwork` for the same stretches.
 */
import {
  type Device,
  type DeviceTensor,
  type Plan,
  Program,
  type Tensor,
  type TensorSpec,
  Turns,
} from '@dwm/core-tensor';
import { beforeUse } from '@dwm/core-tensor/tune';
import { cloneAll } from '../pipeline/scratch.ts';
import { type ClipNetwork, keepCaches, type PlannedStretch } from './clip-network.ts';

type Caches = Readonly<Record<string, DeviceTensor>>;
type StretchProgram = Program<Record<string, TensorSpec>, Record<string, Tensor>>;

/** The programs of a network's stretches, which any number of streams share. */
export class StretchPrograms {
  readonly #device: Device;
  readonly #network: ClipNetwork;
  readonly #programs = new Map<Plan, StretchProgram>();
  /** The stretch under way: a program's outputs are overwritten by its next run. */
  readonly #turns = new Turns();

  constructor(device: Device, network: ClipNetwork) {
    this.#device = device;
    this.#network = network;
  }

  /** Plan of a stretch [1, frames, …]: of a clip's first, or of one after `before`. */
  plan(shape: readonly number[], before?: PlannedStretch): PlannedStretch {
    return this.#network.planStretch(shape, before?.caches);
  }

  async #program(planned: PlannedStretch): Promise<StretchProgram> {
    const { plan, inputs } = planned;
    let program = this.#programs.get(plan);
    if (!program) {
      await beforeUse.prove(this.#device, () => [plan]);
      program = await Program.create<Record<string, TensorSpec>, Record<string, Tensor>>(
        this.#device,
        plan,
        inputs,
      );
      this.#programs.set(plan, program);
    }
    return program;
  }

  /**
   * Runs a stretch.
   * @param take is given the program's outputs, before anything else runs it.
   */
  run(
    planned: PlannedStretch,
    inputs: Caches,
    take: (outputs: Caches) => DeviceTensor,
    signal?: AbortSignal,
  ): Promise<DeviceTensor> {
    return this.#turns.take(async () => take(await (await this.#program(planned)).run(inputs, { signal })));
  }

  /** A clip of its own. */
  open(): ClipStream {
    return new ClipStream(this);
  }

  destroy(): void {
    for (const program of this.#programs.values()) program.destroy();
    this.#programs.clear();
  }
}

/** One clip on its way through a network. */
export class ClipStream {
  readonly #programs: StretchPrograms;
  /** Of the stretch that was last, with what it left. */
  #before: PlannedStretch | undefined;
  #caches: Record<string, DeviceTensor> = {};

  constructor(programs: StretchPrograms) {
    this.#programs = programs;
  }

  /**
   * The next stretch.
   * @param x [1, frames, …], which stays the caller's. A clip's first stretch has the odd frame of its codec, and those
   *   that follow have not.
   * @returns what comes out [1, frames, …], the caller's.
   * @throws PlanTooLargeError; the signal's reason when aborted, and then the stream is as it was.
   */
  async push(x: DeviceTensor, signal?: AbortSignal): Promise<DeviceTensor> {
    const planned = this.#programs.plan(x.shape, this.#before);
    return this.#programs.run(
      planned,
      { ...this.#caches, clip: x },
      ({ clip, ...next }) => {
        keepCaches(this.#caches, next);
        this.#before = planned;
        return clip.clone('stretch');
      },
      signal,
    );
  }

  /** Begins a new clip. */
  reset(): void {
    for (const cache of Object.values(this.#caches)) cache.destroy();
    this.#caches = {};
    this.#before = undefined;
  }

  /** A stream that goes on from here on its own. */
  fork(): ClipStream {
    const copy = new ClipStream(this.#programs);
    copy.#before = this.#before;
    copy.#caches = cloneAll(this.#caches);
    return copy;
  }

  destroy(): void {
    this.reset();
  }
}
