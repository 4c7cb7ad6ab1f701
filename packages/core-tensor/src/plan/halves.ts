/**
 * Halves between steps. Products in f16 make scaled halves of their left operand first. Where several read one tensor,
 * that is done once; where nobody else reads it, the kernel that computes it stores halves at once, if it can.
 */
import { type Dispatch, elementCount, type HalfRows, type Lowering } from '@dwm/kernels-wgsl';
import type { Tensor } from '../tensor.ts';
import type { Step } from './steps.ts';

/** A step and what it became. */
interface StepWork {
  readonly step: Step;
  readonly lowering: Lowering;
  /** How its first result is stored as scaled halves, whose scales come after the outputs. */
  readonly halfRows?: HalfRows;
}

/** Halves of one tensor by this name are the same. */
export const halvesKey = ({ id }: Tensor, { length, top }: HalfRows): string => `${id} ${length} ${top}`;

/** The tensor that `dispatch` makes halves of, all of it, and how. Its scratch is nobody else's. */
export function halvesOf(
  { step, lowering }: StepWork,
  { halves, operands }: Dispatch,
): { tensor: Tensor; rows: HalfRows } | undefined {
  if (!halves) return undefined;
  const { tensor, byteOffset } = step.inputs[operands[0].index];
  const whole = byteOffset === 0 && halves.rows * halves.length === elementCount(tensor.shape);
  const writers = lowering.dispatches.filter((other) =>
    other.operands.some(
      ({ source, access, index }) =>
        source === 'scratch' && access === 'read_write' && index === operands[1].index,
    ),
  );
  return whole && writers.length === 1 ? { tensor, rows: halves } : undefined;
}

/**
 * The same work, where results that are only read as halves are stored so.
 * @param lower lowers a step once more, with `halfRows`.
 */
export function withHalfResults(
  work: readonly StepWork[],
  kept: (tensor: Tensor) => boolean,
  lower: (step: Step, halfRows: HalfRows) => Lowering,
): readonly StepWork[] {
  /** How what is only read as halves is read; undefined where something else is read. */
  const wishes = new Map<Tensor, HalfRows | undefined>();
  for (const each of work) {
    for (const dispatch of each.lowering.dispatches) {
      const rows = halvesOf(each, dispatch)?.rows;
      for (const { source, index } of dispatch.operands) {
        if (source !== 'input') continue;
        const { tensor } = each.step.inputs[index];
        const before = wishes.has(tensor) ? wishes.get(tensor) : rows;
        const same = rows && before && halvesKey(tensor, rows) === halvesKey(tensor, before);
        wishes.set(tensor, same ? rows : undefined);
      }
    }
  }
  return work.map((each) => {
    const { step } = each;
    const [output] = step.outputs;
    const halfRows = wishes.get(output);
    if (!halfRows || !step.takesHalfRows || kept(output)) return each;
    const lowering = lower(step, halfRows);
    return lowering.halved ? { step, lowering, halfRows } : each;
  });
}
