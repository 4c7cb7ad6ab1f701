/**
 * Halves between steps. Products in f16 make scaled halves of their left operand first. Where several read one tensor,
 * that is done once; where nobody else reads it, the kernel that computes it stores halves at once, if it can.
 */
import { type Dispatch, elementCount, type Lowering } from '@dwm/kernels-wgsl';
import type { Tensor } from '../tensor.ts';
import type { Step } from './steps.ts';

/** A step and what it became. */
interface StepWork {
  readonly step: Step;
  readonly lowering: Lowering;
  /** Length of the rows that its result is stored as in scaled halves; their scales follow it among the outputs. */
  readonly halfRows?: number;
}

/** The tensor that `dispatch` makes halves of, all of it, and the length of its rows. Its scratch is nobody else's. */
export function halvesOf(
  { step, lowering }: StepWork,
  { halves, operands }: Dispatch,
): { tensor: Tensor; length: number } | undefined {
  if (!halves) return undefined;
  const { tensor, byteOffset } = step.inputs[operands[0].index];
  const whole = byteOffset === 0 && halves.rows * halves.length === elementCount(tensor.shape);
  const writers = lowering.dispatches.filter((other) =>
    other.operands.some(
      ({ source, access, index }) =>
        source === 'scratch' && access === 'read_write' && index === operands[1].index,
    ),
  );
  return whole && writers.length === 1 ? { tensor, length: halves.length } : undefined;
}

/**
 * The same work, where results that are only read as halves are stored so.
 * @param lower lowers a step once more, with `halfRows`.
 */
export function withHalfResults(
  work: readonly StepWork[],
  kept: (tensor: Tensor) => boolean,
  lower: (step: Step, halfRows: number) => Lowering,
): readonly StepWork[] {
  /** Lengths of rows of what is only read as halves; 0 where something else is read. */
  const lengths = new Map<Tensor, number>();
  for (const each of work) {
    for (const dispatch of each.lowering.dispatches) {
      const length = halvesOf(each, dispatch)?.length ?? 0;
      for (const { source, index } of dispatch.operands) {
        if (source !== 'input') continue;
        const { tensor } = each.step.inputs[index];
        lengths.set(tensor, (lengths.get(tensor) ?? length) === length ? length : 0);
      }
    }
  }
  return work.map((each) => {
    const { step } = each;
    const [output] = step.outputs;
    const halfRows = lengths.get(output);
    if (!halfRows || !step.takesHalfRows || kept(output)) return each;
    const lowering = lower(step, halfRows);
    return lowering.halved ? { step, lowering, halfRows } : each;
  });
}
