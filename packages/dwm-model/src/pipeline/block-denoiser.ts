/**
 * A denoising call block by block: for devices that do not hold the whole transformer, or not both halves of guidance
 * at once, and for runs that leave blocks out. What comes before and after the blocks is there only while it runs.
 */
import {
  type Device,
  DeviceTensor,
  type KernelTarget,
  type Plan,
  type Precision,
  Program,
  planProgram,
  spec,
  type Tensor,
  type TensorSpec,
  trace,
} from '@dwm/core-tensor';
import { beforeUse } from '@dwm/core-tensor/tune';
import type { DenoisingNetwork, NetworkState } from '../families/family.ts';
import { type BlockFunction, type LoopState, ownBytes, planBlock, runBlocks } from '../weights/block-loop.ts';
import { specBytes } from '../weights/block-stream.ts';
import type { Blocks } from '../weights/blocks.ts';
import type { Weights } from '../weights/weights.ts';
import { type DenoiserCall, type DenoiserShape, guide, guideBatch, hiddenOf, runInputs } from './denoiser.ts';
import { CACHE_TENSORS, type CacheKind, type StepCache } from './step-cache.ts';

/** What is fixed of a denoiser that goes block by block. */
interface BlockDenoiserShape extends DenoiserShape {
  /** Guidance as two passes of a batch of one, in place of one of two. */
  readonly twoPasses: boolean;
  /** Leaves blocks out in some steps. */
  readonly cache?: CacheKind | undefined;
}

type Named<T> = Record<string, T>;

interface Part {
  readonly inputs: Named<TensorSpec>;
  readonly plan: Plan;
}

export interface BlockDenoiserPlan {
  readonly begin: Part;
  readonly block: Part;
  readonly end: Part;
  /** Of two passes. */
  readonly combine: Part | undefined;
  /** Of all of them. */
  readonly plans: readonly Plan[];
  readonly state: Named<TensorSpec>;
  /** A block as `runBlocks` takes it. */
  readonly run: BlockFunction;
  /** Passes of a step. */
  readonly passes: number;
  /** Bytes on the device beside all weights, at the most. */
  readonly bytes: number;
  /** Of a step. */
  readonly flops: number;
}

/**
 * @param outer what `begin` and `end` read their weights through.
 * @param weights of a block, by their name in it.
 */
export function planBlockDenoiser(
  device: KernelTarget,
  network: DenoisingNetwork,
  outer: Weights,
  weights: Readonly<Named<TensorSpec>>,
  { latent, textLength, guided, twoPasses, cache }: BlockDenoiserShape,
  precision: Precision,
): BlockDenoiserPlan {
  const passes = guided && twoPasses ? 2 : 1;
  const batch = guided && !twoPasses ? 2 : 1;
  const { frames, height, width } = latent;
  const parts = network.parts([batch, frames, network.inputChannels, height, width], textLength);
  const { sample: answer, ...fixed } = runInputs(network, { latent, textLength }, batch);
  const uploads = { ...network.told, inputScale: spec([1]) };
  const toPart = (inputs: Named<TensorSpec>, run: (given: Named<Tensor>) => Named<Tensor>): Part => ({
    inputs,
    plan: planProgram(trace(inputs, run), device, precision),
  });

  const begin = toPart(
    { ...uploads, sample: answer, ...fixed },
    ({ sample, inputScale, condition, text, ...told }) =>
      parts.begin(outer, hiddenOf(sample, inputScale, condition, batch), text, told),
  );
  const state = Object.fromEntries(
    [...begin.plan.outputs].map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
  );
  const run: BlockFunction = (own, x) => parts.block(own, 0, x);
  const block = planBlock(device, run, network.blockPrefix(0), weights, state, precision);
  const end = toPart({ ...state, guidance: spec([1]) }, ({ guidance, ...given }) => ({
    prediction: guideBatch(parts.end(outer, given as NetworkState), guidance),
  }));
  const combine =
    passes === 2
      ? toPart({ negative: answer, positive: answer, guidance: spec([1]) }, (given) => ({
          prediction: guide(given.negative, given.positive, given.guidance),
        }))
      : undefined;
  const stateBytes = passes * specBytes(state);
  const streamBytes = specBytes({ x: state.x });
  const cacheBytes = cache ? passes * CACHE_TENSORS[cache] * streamBytes : 0;
  const own = Math.max(
    ownBytes(begin.plan) + specBytes(uploads),
    ownBytes(block.plan),
    ownBytes(end.plan) + 16,
    // A residual, or the sum with one, beside what is kept.
    cache ? (passes + 1) * streamBytes : 0,
  );
  // The latents, and the answers of the passes, or the one that is handed out.
  const answers = (1 + passes) * specBytes({ answer });
  return {
    ...{ begin, block, end, combine, state, run, passes },
    plans: [begin, block, end, ...(combine ? [combine] : [])].map(({ plan }) => plan),
    bytes:
      specBytes(fixed) +
      (passes - 1) * specBytes({ text: fixed.text }) +
      answers +
      stateBytes +
      cacheBytes +
      own,
    flops: passes * (begin.plan.cost.flops + network.blocks * block.plan.cost.flops + end.plan.cost.flops),
  };
}

/** A transformer's prediction, as `Denoiser` gives it. */
export class BlockDenoiser {
  readonly #device: Device;
  readonly #network: DenoisingNetwork;
  readonly #blocks: Blocks;
  readonly #precision: Precision;
  readonly #planned: BlockDenoiserPlan;
  readonly #condition: DeviceTensor;
  readonly #texts: readonly DeviceTensor[];
  readonly #calls: readonly DenoiserCall[];
  readonly #cache: StepCache | undefined;
  #prediction: DeviceTensor | undefined;

  /**
   * @param blocks what comes before and after the blocks reads its weights through `outer`.
   * @param condition and @param text as for `Denoiser.create`.
   * @param cache the caller's.
   */
  static async create(
    device: Device,
    network: DenoisingNetwork,
    { outer, blocks }: { readonly outer: Weights; readonly blocks: Blocks },
    shape: BlockDenoiserShape,
    condition: DeviceTensor,
    text: Float32Array,
    calls: readonly DenoiserCall[],
    precision: Precision,
    cache?: StepCache,
  ): Promise<BlockDenoiser> {
    const plan = () =>
      planBlockDenoiser(device, network, outer, blocks.specs(blocks.blocks - 1), shape, precision);
    await beforeUse.tune(device, () => plan().plans);
    return new BlockDenoiser(device, network, blocks, plan(), condition, text, calls, precision, cache);
  }

  private constructor(
    device: Device,
    network: DenoisingNetwork,
    blocks: Blocks,
    planned: BlockDenoiserPlan,
    condition: DeviceTensor,
    text: Float32Array,
    calls: readonly DenoiserCall[],
    precision: Precision,
    cache: StepCache | undefined,
  ) {
    this.#device = device;
    this.#network = network;
    this.#blocks = blocks;
    this.#cache = cache;
    this.#precision = precision;
    this.#planned = planned;
    this.#condition = condition;
    this.#calls = calls;
    const one = text.length / planned.passes;
    this.#texts = Array.from({ length: planned.passes }, (_, i) => {
      const rows = text.subarray(i * one, (i + 1) * one);
      return DeviceTensor.from(device, rows, planned.begin.inputs.text.shape, 'f32', 'text embeddings');
    });
  }

  /** As `Denoiser.predict`. */
  async predict(
    sample: DeviceTensor,
    call: number,
    options: { signal?: AbortSignal; onProgress?: (done: number) => void } = {},
  ): Promise<DeviceTensor> {
    const { begin, end, combine, run } = this.#planned;
    const { timestep, guidance: scale, inputScale } = this.#calls[call];
    const guidance = Float32Array.of(scale);
    const signal = options.signal && { signal: options.signal };
    const states: LoopState[] = [];
    const answers: DeviceTensor[] = [];
    try {
      await this.#withProgram(begin, async (program) => {
        for (const text of this.#texts) {
          const told = { ...this.#network.tell(timestep), inputScale: Float32Array.of(inputScale) };
          const made = await program.run({ sample, condition: this.#condition, text, ...told }, signal);
          const copies = Object.entries(made).map(([name, tensor]) => [name, tensor.clone(name)]);
          states.push(Object.fromEntries(copies) as LoopState);
        }
      });
      const prefix = this.#network.blockPrefix(0);
      const blocks = this.#blocks;
      const through = (from: number, to: number) =>
        runBlocks(this.#device, blocks, run, prefix, states, this.#precision, {
          ...options,
          only: [from, to],
        });
      if (this.#cache) await this.#cache.step(call, states, blocks.blocks, through);
      else await through(0, blocks.blocks);
      await this.#withProgram(end, async (program) => {
        for (const state of states)
          answers.push((await program.run({ ...state, guidance }, signal)).prediction.clone('prediction'));
      });
      this.#prediction?.destroy();
      this.#prediction = undefined;
      if (combine) {
        const [negative, positive] = answers;
        await this.#withProgram(combine, async (program) => {
          const out = await program.run({ negative, positive, guidance }, signal);
          this.#prediction = out.prediction.clone('prediction');
        });
      } else this.#prediction = answers.pop();
      return this.#prediction!;
    } finally {
      for (const tensor of [...states.flatMap((state) => Object.values(state)), ...answers]) tensor.destroy();
    }
  }

  /** Frees what was streamed, too. */
  async destroy(): Promise<void> {
    this.#prediction?.destroy();
    for (const text of this.#texts) text.destroy();
    await this.#blocks.release();
  }

  async #withProgram(
    { plan, inputs }: Part,
    use: (program: Program<Named<TensorSpec>, Named<Tensor>>) => Promise<void>,
  ): Promise<void> {
    const program = await Program.create<Named<TensorSpec>, Named<Tensor>>(this.#device, plan, inputs);
    try {
      await use(program);
    } finally {
      program.destroy();
    }
  }
}
