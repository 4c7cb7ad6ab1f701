/**
 * Training as small programs over packed tensors: the gradient of one micro-batch, its average over micro-batches,
 * and the optimizer's step. The update exists twice, each reading what the other wrote, so nothing is copied
 * and a step that must not count is simply not taken. One readback a step: the losses and the gradient's norm.
 */
import {
  add,
  bytesOf,
  compile,
  concat,
  type Device,
  DeviceTensor,
  DwmError,
  elementCount,
  grad,
  type HostData,
  InvalidArgumentError,
  type KernelTarget,
  mul,
  type Plan,
  type Precision,
  type Program,
  planProgram,
  reshape,
  slice,
  spec,
  type Tensor,
  type TensorSpec,
  trace,
  where,
} from '@dwm/core-tensor';
import type { Tap } from '../transformer/index.ts';
import type { Weights } from '../weights/weights.ts';
import { clipped } from './adamw.ts';
import { LossScale } from './loss-scale.ts';
import type { Optimizer } from './optimizer.ts';
import { GradientSum, gatherNumbers, type Peers, type WireOptions } from './peers.ts';
import type { Trainable } from './trainable.ts';

/** A traced loss, one value, of named inputs, with the network's weights as they are being trained. */
export interface LossFunction<I extends Record<string, TensorSpec>> {
  readonly inputs: I;
  /** @param tap sees intermediates by name, where someone looks for a fault. */
  loss(weights: Weights, inputs: { [K in keyof I]: Tensor }, tap?: Tap): Tensor;
}

export interface TrainStepOptions {
  readonly optimizer: Optimizer;
  /** Largest norm of the gradient; Infinity leaves it alone. */
  readonly maxGradNorm: number;
  /** Elements from the start that the norm is of, and that are clipped; all if left out. */
  readonly clippedLength?: number;
  /** Processes that share the micro-batches of a step: rank r has the r-th of each `count` of them. */
  readonly peers?: Peers;
  /** How gradients go from one to the other. */
  readonly wire?: WireOptions;
  /** Micro-batches of a step, of all processes together; 1 if left out. */
  readonly microBatches?: number;
  /** Keeps a running average of the weights: average += (1 - decay) · (weights - average). */
  readonly emaDecay?: number;
  /** Products in f16 with a scaled loss, where the device can. */
  readonly halfPrecision?: boolean;
}

interface StepResult {
  /** Mean over the micro-batches. */
  readonly loss: number;
  /** Of the gradient before clipping. */
  readonly norm: number;
  /** The gradient overflowed in f16: the weights stay, and the loss is scaled less from now on. */
  readonly skipped: boolean;
  /** A process was asked to stop: all know it after the same step. */
  readonly stop: boolean;
}

type Specs = Record<string, TensorSpec>;
type Tensors = Record<string, Tensor>;
const STATS = 'stats';

/** A loss or a gradient that is NaN or infinite. The weights are still those before the step. */
export class NotFiniteError extends DwmError {
  /** The micro-batch that it came from; undefined where only the gradients' norm shows it. */
  readonly batch: number | undefined;

  constructor(step: number, what: string, batch?: number) {
    super('not-finite', `step ${step}: ${what} is not a finite number; the weights are as before this step`, {
      step,
      batch,
    });
    this.batch = batch;
  }
}

/**
 * Average of the weights after `updates` steps decays by this: slowly from nothing, so that the start is soon forgotten
 * (diffusers' EMAModel).
 */
export const emaDecayAt = (updates: number, decay: number): number =>
  Math.min(decay, (1 + updates) / (10 + updates));

/** The beginning of the gradient clipped, and its norm; the rest is left alone. */
function clippedPart(gradient: Tensor, length: number, most: number): { gradient: Tensor; norm: Tensor } {
  const all = gradient.shape[0];
  if (length === all) return clipped(gradient, most);
  const { gradient: first, norm } = clipped(slice(gradient, 0, 0, length), most);
  return { gradient: concat([first, slice(gradient, 0, length, all - length)], 0), norm };
}

/** One of a step's programs, before it is compiled. */
interface Traced<O extends Tensors = Tensors> {
  readonly inputs: Specs;
  readonly fn: (given: Tensors) => O;
  readonly precision: Precision;
}

/** What a step consists of. */
function programsOf<I extends Record<string, TensorSpec>>(
  trainable: Trainable,
  { inputs, loss }: LossFunction<I>,
  options: TrainStepOptions,
) {
  const { optimizer, maxGradNorm, microBatches = 1, emaDecay, halfPrecision = false, peers } = options;
  const { layout } = trainable;
  const { clippedLength = layout.length } = options;
  const flat = spec([layout.length]);
  const one = spec([1]);
  const losses = spec([microBatches]);
  const gradient: Traced<{ loss: Tensor; gradient: Tensor }> = {
    inputs: { ...inputs, theta: flat, ...(halfPrecision && { scale: one }) },
    fn: (given) => {
      const { weights, trained } = trainable.bind(given.theta);
      const value = loss(weights, given as { [K in keyof I]: Tensor });
      const gradients = grad(halfPrecision ? mul(value, given.scale) : value, [...trained.values()]);
      const byName = new Map([...trained.keys()].map((name, i) => [name, gradients[i]]));
      return { loss: reshape(value, [1]), gradient: layout.pack(byName) };
    },
    precision: halfPrecision ? 'f16' : 'f32',
  };
  const accumulate: Traced<{ sum: Tensor; losses: Tensor }> | undefined =
    microBatches > 1 && !peers
      ? {
          inputs: { sum: flat, gradient: flat, losses, loss: one, isFirst: one, place: losses },
          fn: (x) => ({
            sum: add(where(x.isFirst, 0, x.sum), mul(x.gradient, 1 / microBatches)),
            losses: where(x.place, x.loss, x.losses),
          }),
          precision: 'f32',
        }
      : undefined;
  const averaged: Specs = emaDecay === undefined ? {} : { ema: flat };
  const states = { theta: flat, ...optimizer.state, ...averaged };
  const update: Traced = {
    inputs: { ...states, gradient: flat, losses, scalars: spec([2 + optimizer.scalarCount]) },
    fn: ({ theta, ema, gradient: scaled, losses: all, scalars, ...state }) => {
      const unscaled = halfPrecision ? mul(scaled, slice(scalars, 0, 0, 1)) : scaled;
      const { gradient: g, norm } = clippedPart(unscaled, clippedLength, maxGradNorm);
      const own = slice(scalars, 0, 2, optimizer.scalarCount);
      const next = optimizer.update(theta, state, g, own);
      const results: Tensors = { theta: next.theta, ...next.state };
      if (ema) {
        const share = slice(scalars, 0, 1, 1);
        results.ema = add(mul(ema, add(mul(share, -1), 1)), mul(next.theta, share));
      }
      results[STATS] = concat([norm, all], 0);
      return results;
    },
    precision: 'f32',
  };
  /** What the step holds beside its programs: the batch, and the sums over micro-batches. */
  const held: readonly TensorSpec[] = [
    ...Object.values<TensorSpec>(inputs),
    ...(accumulate ? [flat, losses] : []),
  ];
  return { gradient, accumulate, update, flat, losses, held };
}

/** Bytes of a step's programs, by their plans, and of what it holds beside them. */
function stepBytes(plans: readonly Plan[], held: readonly TensorSpec[]): number {
  const own = plans.reduce((sum, { memory }) => sum + memory.total - memory.parameters - memory.inputs, 0);
  return own + held.reduce((sum, { shape, dtype }) => sum + elementCount(shape) * bytesOf(dtype), 0);
}

/** What a step takes: bytes beside the weights that stay frozen, and the FLOPs of all its micro-batches. */
export interface StepPlan {
  readonly bytes: number;
  readonly flops: number;
}

/**
 * Plans a step; nothing is allocated.
 * @throws PlanTooLargeError when the device's limits do not hold it.
 */
export function planTrainStep<I extends Record<string, TensorSpec>>(
  device: KernelTarget,
  trainable: Trainable,
  loss: LossFunction<I>,
  options: TrainStepOptions,
): StepPlan {
  const { gradient, accumulate, update, held } = programsOf(trainable, loss, options);
  const planned = ({ inputs, fn, precision }: Traced) => planProgram(trace(inputs, fn), device, precision);
  const [ofGradient, ofUpdate] = [planned(gradient), planned(update)];
  const plans = [ofGradient, ofUpdate, ofUpdate, ...(accumulate ? [planned(accumulate)] : [])];
  return {
    bytes: stepBytes(plans, held),
    flops: (options.microBatches ?? 1) * ofGradient.cost.flops + ofUpdate.cost.flops,
  };
}

export class TrainStep<I extends Record<string, TensorSpec>> {
  readonly trainable: Trainable;
  readonly #options: TrainStepOptions;
  readonly #scale: LossScale | undefined;
  readonly #gradient: Program<Specs, { loss: Tensor; gradient: Tensor }>;
  readonly #accumulate: Program<Specs, { sum: Tensor; losses: Tensor }> | undefined;
  readonly #updates: readonly [Program<Specs, Tensors>, Program<Specs, Tensors>];
  readonly #held: readonly TensorSpec[];
  readonly #average: { readonly sum: DeviceTensor; readonly losses: DeviceTensor } | undefined;
  /** Where several processes share a step. */
  readonly #shared: GradientSum | undefined;
  /** The update whose outputs are the weights and all that goes with them. */
  #current = 0;

  private constructor(parts: {
    trainable: Trainable;
    options: TrainStepOptions;
    scale: LossScale | undefined;
    gradient: Program<Specs, { loss: Tensor; gradient: Tensor }>;
    accumulate: Program<Specs, { sum: Tensor; losses: Tensor }> | undefined;
    held: readonly TensorSpec[];
    average: { sum: DeviceTensor; losses: DeviceTensor } | undefined;
    shared: GradientSum | undefined;
    updates: readonly [Program<Specs, Tensors>, Program<Specs, Tensors>];
  }) {
    this.trainable = parts.trainable;
    this.#options = parts.options;
    this.#scale = parts.scale;
    this.#gradient = parts.gradient;
    this.#accumulate = parts.accumulate;
    this.#held = parts.held;
    this.#average = parts.average;
    this.#shared = parts.shared;
    this.#updates = parts.updates;
  }

  static async create<I extends Record<string, TensorSpec>>(
    device: Device,
    trainable: Trainable,
    loss: LossFunction<I>,
    options: TrainStepOptions,
  ): Promise<TrainStep<I>> {
    const { microBatches = 1, emaDecay, halfPrecision = false, peers } = options;
    const traced = programsOf(trainable, loss, options);
    const { flat, losses, held } = traced;
    const compiled = <O extends Tensors>({ inputs, fn, precision }: Traced<O>) =>
      compile<Specs, O>(device, inputs, fn, precision);
    const scale = halfPrecision ? new LossScale() : undefined;
    const gradient = await compiled(traced.gradient);
    const accumulate = traced.accumulate && (await compiled(traced.accumulate));
    const updates = [await compiled(traced.update), await compiled(traced.update)] as const;
    const initial = await trainable.initial();
    updates[0].outputs.theta.write(initial);
    if (emaDecay !== undefined) updates[0].outputs.ema.write(initial);
    const average = accumulate
      ? {
          sum: new DeviceTensor(device, flat, 'gradient sum'),
          losses: new DeviceTensor(device, losses, 'losses'),
        }
      : undefined;
    const shared =
      peers && (await GradientSum.create(device, peers, trainable.layout.length, microBatches, options.wire));
    return new TrainStep({
      trainable,
      options,
      scale,
      gradient,
      accumulate,
      held,
      average,
      shared,
      updates,
    });
  }

  /** Memory of the gradient program, which dominates. */
  get plan() {
    return this.#gradient.plan;
  }

  /** Bytes that the device holds for training, by the programs' plans: all but weights that stay frozen. */
  get plannedBytes(): number {
    const programs = [this.#gradient, this.#accumulate, ...this.#updates];
    return stepBytes(
      programs.flatMap((program) => program?.plan ?? []),
      this.#held,
    );
  }

  /** Packed weights as they are trained. Another tensor after every step. */
  get theta(): DeviceTensor {
    return this.#updates[this.#current].outputs.theta;
  }

  /** Packed weights as they are used: their running average where there is one. */
  get weights(): DeviceTensor {
    return this.#updates[this.#current].outputs.ema ?? this.theta;
  }

  /**
   * One optimizer step over micro-batches of equal weight.
   * @param batches those of this process.
   * @param step counted from 1.
   * @param stop whether this process is asked to stop.
   * @throws NotFiniteError, before any weight has changed.
   */
  async run(
    batches: readonly { [K in keyof I]: Float32Array }[],
    step: number,
    learningRate: number,
    stop = false,
  ): Promise<StepResult> {
    const { optimizer, microBatches = 1, emaDecay, peers } = this.#options;
    const own = microBatches / (peers?.count ?? 1);
    if (batches.length !== own) {
      throw new InvalidArgumentError('batches', `expected ${own} micro-batches, got ${batches.length}`);
    }
    const lossesHere: number[] = [];
    const now = this.#updates[this.#current].outputs;
    const scale = this.#scale?.state.scale ?? 1;
    for (const [i, batch] of batches.entries()) {
      const scaled = this.#scale && { scale: Float32Array.of(scale) };
      const { loss, gradient } = await this.#gradient.run({ ...batch, ...scaled, theta: now.theta });
      if (this.#shared) {
        lossesHere.push(...((await loss.read()) as Float32Array));
        await this.#shared.add((await gradient.read()) as Float32Array);
      }
      if (!this.#accumulate || !this.#average) continue;
      const { sum, losses } = this.#average;
      const place = new Float32Array(batches.length);
      place[i] = 1;
      const isFirst = Float32Array.of(i === 0 ? 1 : 0);
      const next = await this.#accumulate.run({ sum, losses, gradient, loss, isFirst, place });
      sum.copyFrom(next.sum);
      losses.copyFrom(next.losses);
    }
    const { given, asked } = await this.#summed(lossesHere, stop);
    const updates = step - (this.#scale?.state.skipped ?? 0);
    const scalars = Float32Array.of(
      1 / scale,
      emaDecay === undefined ? 0 : 1 - emaDecayAt(updates, emaDecay),
      ...optimizer.scalars(updates, learningRate),
    );
    const { [STATS]: _, ...states } = now;
    const next = await this.#updates[1 - this.#current].run({ ...states, ...given, scalars });
    const [norm, ...losses] = await next[STATS].read();
    const bad = losses.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new NotFiniteError(step, `the loss of micro-batch ${bad}`, bad);
    const mean = losses.reduce((sum, value) => sum + value / losses.length, 0);
    if (!Number.isFinite(norm)) {
      if (this.#scale?.overflow()) return { loss: mean, norm, skipped: true, stop: asked };
      throw new NotFiniteError(step, 'the norm of the gradients');
    }
    this.#scale?.succeed();
    this.#current = 1 - this.#current;
    return { loss: mean, norm, skipped: false, stop: asked };
  }

  /** The mean gradient and the losses of all micro-batches, and whether a process is asked to stop. */
  async #summed(losses: readonly number[], stop: boolean) {
    const { peers } = this.#options;
    if (peers && this.#shared) {
      const gradient = await this.#shared.take();
      const numbers = await gatherNumbers(peers, [stop ? 1 : 0, ...losses]);
      const [stops, ...rounds] = numbers;
      return {
        given: { gradient, losses: Float32Array.from(rounds.flat()) },
        asked: stops.some((one) => one !== 0),
      };
    }
    const { loss, gradient } = this.#gradient.outputs;
    return {
      given: this.#average
        ? { gradient: this.#average.sum, losses: this.#average.losses }
        : { gradient, losses: loss },
      asked: stop,
    };
  }

  /** Host copies of the weights and all that the optimizer remembers, by name, and the loss scale. */
  async state(): Promise<TrainStepState> {
    const { [STATS]: _, ...tensors } = this.#updates[this.#current].outputs;
    const host: Record<string, HostData> = {};
    for (const [name, tensor] of Object.entries(tensors)) host[name] = await tensor.read();
    return { tensors: host, ...(this.#scale && { lossScale: this.#scale.state }) };
  }

  /** What `state` holds, by name. */
  get stateSpecs(): Readonly<Record<string, TensorSpec>> {
    const { [STATS]: _, ...tensors } = this.#updates[this.#current].outputs;
    return tensors;
  }

  /** Goes on from a state that `state` gave. */
  restore({ tensors, lossScale }: TrainStepState): void {
    const { outputs } = this.#updates[this.#current];
    for (const name of Object.keys(this.stateSpecs)) outputs[name].write(tensors[name]);
    if (lossScale) this.#scale?.restore(lossScale);
  }

  destroy(): void {
    for (const program of [this.#gradient, this.#accumulate, ...this.#updates]) program?.destroy();
    this.#average?.sum.destroy();
    this.#average?.losses.destroy();
    this.#shared?.destroy();
  }
}

export interface TrainStepState {
  readonly tensors: Readonly<Record<string, HostData>>;
  readonly lossScale?: LossScale['state'];
}
