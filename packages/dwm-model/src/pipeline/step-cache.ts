/**
 * Leaves the blocks of a step out where they would answer much as in the step before, and adds what they added then.
 * TeaCache knows from the timesteps; the first-block cache runs the first block, and looks at what that adds.
 */
import {
  abs,
  add,
  type Device,
  DeviceTensor,
  div,
  evaluate,
  InvalidArgumentError,
  mean,
  parameter,
  sub,
  type Tensor,
} from '@dwm/core-tensor';
import type { DenoisingNetwork } from '../families/family.ts';
import type { LoopState } from '../weights/block-loop.ts';
import type { Weights } from '../weights/weights.ts';
import type { GenerateOptions } from './options.ts';
import { Scratch } from './scratch.ts';
import { calculatedSteps, settleTeaCache, timeChanges } from './teacache.ts';

type CacheOptions = Pick<GenerateOptions, 'teaCache' | 'firstBlockCache'>;

/** A way to skip work of steps that change little. */
export type CacheKind = 'teacache' | 'first-block';

/** Tensors as large as a pass's residual stream that are there beside it while blocks run. */
export const CACHE_TENSORS: Readonly<Record<CacheKind, number>> = { teacache: 1, 'first-block': 3 };

/**
 * Which cache is at work, if any: a threshold of 0 is none.
 * @throws InvalidArgumentError where both are asked for, or a threshold is none.
 */
export function cacheKind({ teaCache, firstBlockCache }: CacheOptions): CacheKind | undefined {
  if (teaCache && firstBlockCache)
    throw new InvalidArgumentError('firstBlockCache.threshold', 'goes without TeaCache; choose one');
  const threshold = firstBlockCache?.threshold ?? 0;
  if (!Number.isFinite(threshold) || threshold < 0) {
    throw new InvalidArgumentError(
      'firstBlockCache.threshold',
      `expected a number from 0 up, got ${threshold}`,
    );
  }
  if (threshold > 0) return 'first-block';
  return teaCache && teaCache.relL1Thresh !== 0 ? 'teacache' : undefined;
}

/**
 * As `cacheKind`, for a run of a network.
 * @throws InvalidArgumentError also for what does not go with the network, or with so many steps.
 */
export function checkCache(
  network: DenoisingNetwork,
  steps: number,
  options: CacheOptions,
): CacheKind | undefined {
  const kind = cacheKind(options);
  if (kind === 'teacache') settleTeaCache(options.teaCache!, network, steps);
  if (kind === 'first-block' && network.blocks < 2) {
    throw new InvalidArgumentError(
      'firstBlockCache.threshold',
      `needs blocks behind the first, and this model has ${network.blocks}; leave it out`,
    );
  }
  return kind;
}

/** Whether step `call` is calculated. @param heads what the first block added, of each pass. */
type Decision = (call: number, heads: readonly DeviceTensor[]) => Promise<boolean>;

const meanOf = (tensors: readonly Tensor[]): Tensor =>
  tensors.map((x) => mean(abs(x), [0, 1, 2])).reduce((sum, one) => add(sum, one));

/** What a run keeps of the steps before. */
export class StepCache {
  /** Whether each step so far was calculated. */
  readonly calculated: boolean[] = [];
  readonly #device: Device;
  /** Blocks that every step runs. */
  readonly #head: 0 | 1;
  readonly #decide: Decision;
  /** What the blocks behind the head added, of each pass, in the last step that was calculated. */
  #residuals: DeviceTensor[] = [];
  /** What the head added then. */
  #heads: DeviceTensor[] = [];

  /**
   * @param weights those that belong to no block.
   * @returns undefined where every step is calculated.
   * @throws InvalidArgumentError naming the option that is out of range.
   */
  static async create(
    device: Device,
    network: DenoisingNetwork,
    weights: Weights,
    timesteps: readonly number[],
    options: CacheOptions,
  ): Promise<StepCache | undefined> {
    const kind = checkCache(network, timesteps.length, options);
    if (kind === undefined) return undefined;
    if (kind === 'first-block') {
      const { threshold } = options.firstBlockCache!;
      return new StepCache(device, threshold);
    }
    const tea = settleTeaCache(options.teaCache!, network, timesteps.length);
    const steps = calculatedSteps(await timeChanges(device, network, weights, timesteps), tea);
    return new StepCache(device, steps);
  }

  private constructor(device: Device, rule: number | readonly boolean[]) {
    this.#device = device;
    this.#head = typeof rule === 'number' ? 1 : 0;
    this.#decide =
      typeof rule === 'number'
        ? async (_, heads) => this.#heads.length === 0 || (await this.#change(heads)) > rule
        : async (call) => rule[call];
  }

  /**
   * A step: all blocks, or the head alone.
   * @param states one for each pass; their `x` becomes what the last block hands on.
   * @param run runs the states through blocks from the first number up to the second.
   */
  async step(
    call: number,
    states: readonly LoopState[],
    blocks: number,
    run: (from: number, to: number) => Promise<void>,
  ): Promise<void> {
    const head = this.#head;
    const own = new Scratch();
    const subtract = async (starts: readonly DeviceTensor[]) => {
      const made: DeviceTensor[] = [];
      for (const [i, { x }] of states.entries()) {
        const { residual } = await evaluate(this.#device, {
          residual: sub(parameter(x), parameter(starts[i])),
        });
        made.push(own.keep(residual));
      }
      return made;
    };
    try {
      let heads: DeviceTensor[] = [];
      const starts = states.map(({ x }) => own.keep(x.clone('start')));
      if (head > 0) {
        await run(0, head);
        heads = await subtract(starts);
        for (const [i, { x }] of states.entries()) starts[i].copyFrom(x);
      }
      const calculates = await this.#decide(call, heads);
      this.calculated.push(calculates);
      if (!calculates) {
        for (const [i, { x }] of states.entries()) {
          const sum = add(parameter(x), parameter(this.#residuals[i]));
          const made = await evaluate(this.#device, { sum });
          x.copyFrom(own.keep(made.sum));
        }
        return;
      }
      this.destroy();
      this.#heads = heads.map((tensor) => own.give(tensor));
      await run(head, blocks);
      this.#residuals = (await subtract(starts)).map((tensor) => own.give(tensor));
    } finally {
      own.destroy();
    }
  }

  /** Guidance ends: what was kept of [negative, positive] becomes that of the positive alone. */
  keepPositive(): void {
    for (const kept of [this.#residuals, this.#heads]) {
      const last = kept.pop();
      for (const negative of kept.splice(0)) negative.destroy();
      if (last) kept.push(positiveOf(last));
    }
  }

  destroy(): void {
    for (const tensor of [...this.#residuals, ...this.#heads]) tensor.destroy();
    this.#residuals = [];
    this.#heads = [];
  }

  /** Of what the head adds, since the last step that was calculated. The one number that a step reads back. */
  async #change(heads: readonly DeviceTensor[]): Promise<number> {
    const before = this.#heads.map((tensor) => parameter(tensor));
    const differences = heads.map((now, i) => sub(parameter(now), before[i]));
    const { change } = await evaluate(this.#device, { change: div(meanOf(differences), meanOf(before)) });
    const [value] = (await change.read()) as Float32Array;
    change.destroy();
    return value;
  }
}

/** The second of a batch of two; a batch of one as it is. */
function positiveOf(tensor: DeviceTensor): DeviceTensor {
  const [batch, ...rest] = tensor.shape;
  if (batch === 1) return tensor;
  const { device, dtype } = tensor;
  const positive = new DeviceTensor(device, { shape: [1, ...rest], dtype }, 'residual');
  positive.copyFrom(tensor, { from: positive.elementCount, count: positive.elementCount });
  tensor.destroy();
  return positive;
}
