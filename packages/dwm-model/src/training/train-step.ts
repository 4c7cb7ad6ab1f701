/**
 * Training as three small programs over packed tensors: the gradient of one micro-batch, its average over
 * micro-batches, and the optimizer's step. Nothing but the loss and the gradient's norm leaves the device.
 */
import {
  add,
  compile,
  type Device,
  DeviceTensor,
  DwmError,
  grad,
  mul,
  type Program,
  spec,
  type Tensor,
  type TensorSpec,
} from '@dwm/core-tensor';
import type { Tap } from '../transformer/index.ts';
import type { Weights } from '../weights/weights.ts';
import { type AdamWOptions, adamw, adamwScalars } from './adamw.ts';
import type { Trainable } from './trainable.ts';

/** A traced loss [1] of named inputs, with the network's weights as they are being trained. */
export interface LossFunction<I extends Record<string, TensorSpec>> {
  readonly inputs: I;
  /** @param tap sees intermediates by name, where someone looks for a fault. */
  loss(weights: Weights, inputs: { [K in keyof I]: Tensor }, tap?: Tap): Tensor;
}

type Gradient = { loss: Tensor; gradient: Tensor };
type Update = { theta: Tensor; m: Tensor; v: Tensor; norm: Tensor };

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

export class TrainStep<I extends Record<string, TensorSpec>> {
  readonly trainable: Trainable;
  /** Packed weights, first and second moments. */
  readonly theta: DeviceTensor;
  readonly m: DeviceTensor;
  readonly v: DeviceTensor;
  readonly #options: AdamWOptions;
  readonly #sum: DeviceTensor;
  readonly #gradient: Program<I & { theta: TensorSpec }, Gradient>;
  readonly #accumulate: Program<Record<'sum' | 'gradient' | 'share', TensorSpec>, { sum: Tensor }>;
  readonly #update: Program<Record<'theta' | 'm' | 'v' | 'gradient' | 'scalars', TensorSpec>, Update>;

  private constructor(parts: {
    trainable: Trainable;
    options: AdamWOptions;
    state: Record<'theta' | 'm' | 'v' | 'sum', DeviceTensor>;
    gradient: Program<I & { theta: TensorSpec }, Gradient>;
    accumulate: Program<Record<'sum' | 'gradient' | 'share', TensorSpec>, { sum: Tensor }>;
    update: Program<Record<'theta' | 'm' | 'v' | 'gradient' | 'scalars', TensorSpec>, Update>;
  }) {
    this.trainable = parts.trainable;
    this.#options = parts.options;
    ({ theta: this.theta, m: this.m, v: this.v, sum: this.#sum } = parts.state);
    this.#gradient = parts.gradient;
    this.#accumulate = parts.accumulate;
    this.#update = parts.update;
  }

  static async create<I extends Record<string, TensorSpec>>(
    device: Device,
    trainable: Trainable,
    { inputs, loss }: LossFunction<I>,
    options: AdamWOptions,
  ): Promise<TrainStep<I>> {
    const flat = spec([trainable.layout.length]);
    const gradient = await compile(device, { ...inputs, theta: flat }, (given) => {
      const { weights, trained } = trainable.bind(given.theta);
      const value = loss(weights, given);
      const gradients = grad(value, [...trained.values()]);
      const byName = new Map([...trained.keys()].map((name, i) => [name, gradients[i]]));
      return { loss: value, gradient: trainable.layout.pack(byName) };
    });
    const accumulate = await compile(device, { sum: flat, gradient: flat, share: spec([1]) }, (x) => ({
      sum: add(x.sum, mul(x.gradient, x.share)),
    }));
    const update = await compile(
      device,
      { theta: flat, m: flat, v: flat, gradient: flat, scalars: spec([3]) },
      ({ gradient: g, scalars, ...state }): Update => ({ ...adamw(state, g, scalars, options) }),
    );
    const tensor = (label: string) => new DeviceTensor(device, flat, label);
    const state = { theta: tensor('weights'), m: tensor('m'), v: tensor('v'), sum: tensor('gradient sum') };
    state.theta.write(await trainable.initial());
    return new TrainStep({ trainable, options, state, gradient, accumulate, update });
  }

  /** Memory of the gradient program, which dominates. */
  get plan() {
    return this.#gradient.plan;
  }

  /**
   * One optimizer step over micro-batches of equal weight.
   * @param step counted from 1.
   * @returns the mean loss, and the gradient's norm before clipping.
   * @throws NotFiniteError, before any weight has changed.
   */
  async run(
    batches: readonly { [K in keyof I]: Float32Array }[],
    step: number,
    learningRate: number,
  ): Promise<{ loss: number; norm: number }> {
    const flat = this.theta.elementCount;
    this.#sum.write(new Float32Array(flat));
    let loss = 0;
    for (const [i, batch] of batches.entries()) {
      await this.#gradient.run({ ...batch, theta: this.theta } as never);
      const [value] = await this.#gradient.outputs.loss.read();
      if (!Number.isFinite(value)) throw new NotFiniteError(step, `the loss of micro-batch ${i}`, i);
      loss += value / batches.length;
      const share = Float32Array.of(1 / batches.length);
      await this.#accumulate.run({ sum: this.#sum, gradient: this.#gradient.outputs.gradient, share });
      this.#sum.copyFrom(this.#accumulate.outputs.sum);
    }
    const scalars = adamwScalars(step, learningRate, this.#options);
    const { theta, m, v } = this;
    const next = await this.#update.run({ theta, m, v, gradient: this.#sum, scalars });
    const [norm] = await next.norm.read();
    if (!Number.isFinite(norm)) throw new NotFiniteError(step, 'the norm of the gradients');
    theta.copyFrom(next.theta);
    m.copyFrom(next.m);
    v.copyFrom(next.v);
    return { loss, norm };
  }

  /** Host copies of the optimizer's tensors. */
  async state(): Promise<Record<'theta' | 'm' | 'v', Float32Array>> {
    const read = async (tensor: DeviceTensor) => (await tensor.read()) as Float32Array;
    return { theta: await read(this.theta), m: await read(this.m), v: await read(this.v) };
  }

  /** Goes on from a state that `state` gave. */
  restore({ theta, m, v }: Record<'theta' | 'm' | 'v', Float32Array>): void {
    this.theta.write(theta);
    this.m.write(m);
    this.v.write(v);
  }

  destroy(): void {
    for (const program of [this.#gradient, this.#accumulate, this.#update]) program.destroy();
    for (const tensor of [this.theta, this.m, this.v, this.#sum]) tensor.destroy();
  }
}
