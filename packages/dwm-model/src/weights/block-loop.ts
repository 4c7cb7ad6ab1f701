/**
 * Runs a network's blocks one after the other as one program that is given each block's weights: whether they stay on
 * the device or come from the file, the same kernels see the same bits.
 */
import {
  type Device,
  type DeviceTensor,
  InvalidArgumentError,
  type KernelTarget,
  type Plan,
  type Precision,
  Program,
  planProgram,
  type RunOptions,
  type Tensor,
  type TensorSpec,
  trace,
} from '@dwm/core-tensor';
import type { Blocks } from './blocks.ts';
import type { Weights } from './weights.ts';

/** `x` is what the blocks hand on; the rest stays. */
export type LoopState = Readonly<Record<string, DeviceTensor>> & { readonly x: DeviceTensor };

/** A block as a function of its weights, which it knows by their full names in block 0. */
export type BlockFunction = (
  weights: Weights,
  state: Readonly<Record<string, Tensor>> & { x: Tensor },
) => Tensor;

const STATE = 'state.';

interface PlannedBlock {
  readonly inputs: Record<string, TensorSpec>;
  readonly plan: Plan;
}

/** @param weights shape and dtype by name within the block. @param prefix of block 0. */
export function planBlock(
  device: KernelTarget,
  block: BlockFunction,
  prefix: string,
  weights: Readonly<Record<string, TensorSpec>>,
  state: Readonly<Record<string, TensorSpec>>,
  precision: Precision,
): PlannedBlock {
  const inputs = {
    ...weights,
    ...Object.fromEntries(Object.entries(state).map(([name, spec]) => [STATE + name, spec])),
  };
  const outputs = trace<Record<string, TensorSpec>, Record<string, Tensor>>(inputs, (given) => {
    const own: Weights = {
      get(name) {
        const found = given[name.slice(prefix.length)];
        if (!found) throw new InvalidArgumentError('name', `there is no parameter ${name}`);
        return found;
      },
      has: (name) => name.slice(prefix.length) in weights,
    };
    const states = Object.fromEntries(Object.keys(state).map((name) => [name, given[STATE + name]]));
    return { x: block(own, states as Record<string, Tensor> & { x: Tensor }) };
  });
  return { inputs, plan: planProgram(outputs, device, precision) };
}

/** Bytes that a program allocates itself: what it is given are others'. */
export const ownBytes = ({ memory }: Plan): number =>
  memory.constants + memory.outputs + memory.arena + memory.uniforms;

interface LoopOptions extends RunOptions {
  /** Is told before each block. */
  readonly beforeBlock?: (index: number) => void;
  /** The blocks that are run, from the first number up to the second; all unless told. */
  readonly only?: readonly [from: number, to: number];
}

/**
 * @param states each goes through every block; `x` is overwritten.
 * @throws the signal's reason when aborted; what reading the weights throws.
 */
export async function runBlocks(
  device: Device,
  stream: Blocks,
  block: BlockFunction,
  prefix: string,
  states: readonly LoopState[],
  precision: Precision,
  { signal, onProgress, beforeBlock, only: [from, to] = [0, stream.blocks] }: LoopOptions = {},
): Promise<void> {
  type Block = Program<Record<string, TensorSpec>, Record<string, Tensor>>;
  let program: Block | undefined;
  let signature = '';
  try {
    stream.expect(from);
    for (let i = from; i < to; i++) {
      signal?.throwIfAborted();
      beforeBlock?.(i);
      const weights = stream.specs(i);
      const own = JSON.stringify(
        Object.entries(weights).map(([name, { dtype, shape }]) => [name, dtype, shape]),
      );
      if (own !== signature) {
        program?.destroy();
        program = undefined;
        const { plan, inputs } = planBlock(device, block, prefix, weights, states[0], precision);
        program = await Program.create(device, plan, inputs);
        signature = own;
      }
      const tensors = await stream.block(i);
      stream.expect(i + 1);
      for (const [k, state] of states.entries()) {
        const given = Object.fromEntries(Object.entries(state).map(([name, x]) => [STATE + name, x]));
        const { x } = await program!.run(
          { ...tensors, ...given },
          {
            signal,
            ...(onProgress && {
              onProgress: (done) => onProgress((i + (k + done) / states.length) / stream.blocks),
            }),
          },
        );
        state.x.copyFrom(x);
      }
      // What is read of the file waits in the queue behind the work of this block: no more than one block's.
      await device.done();
    }
  } finally {
    program?.destroy();
  }
}
