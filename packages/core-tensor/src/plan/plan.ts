/**
 * The plan of a program: every dispatch with the bytes it binds, every intermediate with its place in the
 * arena. A plan is data; it knows FLOPs, bytes and peak memory before anything is allocated.
 */
import {
  byteLength,
  type DeviceCaps,
  type Dispatch,
  elementCount,
  type HalfRows,
  type KernelTarget,
  type Lowering,
  type Receipt,
  TooLargeError,
  UnsupportedError,
} from '@dwm/kernels-wgsl';
import { offsetAlignment } from '@dwm/kernels-wgsl/pointwise';
import { DwmError, InvalidArgumentError } from '../errors.ts';
import type { Cost, Precision, Target, Tensor, TensorSpec } from '../tensor.ts';
import { type Interval, placeIntervals } from './arena.ts';
import { tensorBytes } from './fused-ops.ts';
import { halvesKey, halvesOf, withHalfResults } from './halves.ts';
import { buildSteps, type Step } from './steps.ts';

/** Where a bound range of bytes lives. */
type Location =
  | { readonly kind: 'slab'; readonly slab: number; readonly offset: number }
  | { readonly kind: 'external'; readonly tensor: Tensor }
  | { readonly kind: 'output'; readonly index: number };

/** A storage binding of a dispatch: where its bytes lie. */
interface PlannedBinding {
  readonly location: Location;
  readonly access: 'read' | 'read_write';
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** A dispatch with its operands in their places. */
export interface PlannedDispatch extends Pick<Dispatch, 'label' | 'wgsl' | 'uniforms' | 'workgroups'> {
  readonly bindings: readonly PlannedBinding[];
  /** FLOPs, and bytes that pass between memory and the caches; an equal share of the step's where no kernel says. */
  readonly cost: Cost;
  /** Which variant this is and why; undefined where the family has one kernel. */
  readonly receipt: Receipt | undefined;
}

/** Device memory of a program, in bytes. */
export interface PlanMemory {
  /** Weights bound from outside; they exist before the program does. */
  readonly parameters: number;
  readonly constants: number;
  readonly inputs: number;
  readonly outputs: number;
  /** Peak of all intermediates together. */
  readonly arena: number;
  readonly uniforms: number;
  readonly total: number;
}

/** A graph as dispatches over an arena: everything is known before it runs. */
export interface Plan {
  /** What was lowered, and by which choice of kernels. */
  readonly steps: readonly LoweredStep[];
  readonly dispatches: readonly PlannedDispatch[];
  readonly slabs: readonly number[];
  readonly outputs: ReadonlyMap<string, TensorSpec>;
  /** Inputs, parameters and constants that some dispatch binds. */
  readonly externals: readonly Tensor[];
  readonly memory: PlanMemory;
  readonly cost: Cost;
}

/** A program that the device cannot hold, found before anything was allocated. */
export class PlanTooLargeError extends DwmError {
  constructor(message: string, details: Record<string, unknown>) {
    super('plan-too-large', message, details);
  }
}

/** Uniform slots start at multiples of this. */
export const uniformStride = (caps: DeviceCaps, words: number): number => {
  const alignment = caps.limits.minUniformBufferOffsetAlignment;
  return Math.ceil(Math.max(16, words * 4) / alignment) * alignment;
};

/** A step as it is lowered, with the choice that its lowering made, where there was one. */
export interface LoweredStep {
  readonly step: Step;
  readonly target: Target;
  readonly receipt: Receipt | undefined;
}

/**
 * @throws PlanTooLargeError naming the step, where its kernels do not fit in the limits of the device;
 *   InvalidArgumentError where there is no kernel for it.
 */
function lowerStep(step: Step, target: Target, halfRows?: HalfRows): Lowering {
  try {
    const lowering = step.lower(target, halfRows);
    const limit = target.caps.limits.maxComputeWorkgroupsPerDimension;
    const wide = lowering.dispatches.find(({ workgroups }) => Math.max(...workgroups) > limit);
    if (wide) {
      const grid = wide.workgroups.join(' x ');
      throw new TooLargeError(
        `${wide.label} has ${grid} workgroups, but this device runs ${limit} a dimension`,
      );
    }
    return lowering;
  } catch (error) {
    const shapes = step.outputs.map(({ shape }) => `[${shape}]`).join(' and ');
    if (error instanceof UnsupportedError)
      throw new InvalidArgumentError(step.name, `${error.message}, for a result of shape ${shapes}`);
    if (!(error instanceof TooLargeError)) throw error;
    throw new PlanTooLargeError(
      `${step.name} of shape ${shapes}: ${error.message}; use tiling or a smaller size`,
      { needed: error.needed, limit: error.limit },
    );
  }
}

/**
 * The plan of a graph: dispatches, memory and cost. Nothing is allocated.
 * @param device its capabilities, and what is decided of its kernels.
 */
export function planProgram(
  outputs: Readonly<Record<string, Tensor>>,
  { caps, decisions }: KernelTarget,
  precision: Precision = 'f32',
): Plan {
  const names = Object.keys(outputs);
  const { steps, holders } = buildSteps(Object.values(outputs), caps);
  const outputIndex = new Map(holders.map((tensor, index) => [tensor, index]));

  const { limits } = caps;
  const target: Target = { caps, decisions, precision };
  for (const { name, outputs: tensors } of steps) {
    for (const tensor of tensors) {
      if (tensorBytes(tensor) <= limits.maxBufferSize) continue;
      throw new PlanTooLargeError(
        `${name}: a tensor of shape [${tensor.shape}] needs ${tensorBytes(tensor)} bytes, but a buffer of this device holds at most ${limits.maxBufferSize}; use tiling or a smaller size`,
        { neededBytes: tensorBytes(tensor), limitBytes: limits.maxBufferSize },
      );
    }
  }

  const items: { bytes: number; start: number; end: number }[] = [];
  const itemOf = new Map<Tensor, number>();
  const externals = new Set<Tensor>();
  const apart = new Map<number, Set<number>>();
  const separate = (a: number, b: number) => {
    if (!apart.has(a)) apart.set(a, new Set());
    if (!apart.has(b)) apart.set(b, new Set());
    apart.get(a)!.add(b);
    apart.get(b)!.add(a);
  };

  // Bytes are in use from the first dispatch that binds them to the last: a step of several frees what it has read.
  let time = 0;
  const add = (bytes: number) =>
    items.push({ bytes, start: Number.POSITIVE_INFINITY, end: Number.NEGATIVE_INFINITY }) - 1;
  /** Scaled halves and their scales, by what they are halves of. */
  const halves = new Map<string, readonly [halves: number, scales: number]>();
  const work = withHalfResults(
    steps.map((step) => ({ step, lowering: lowerStep(step, target) })),
    (tensor) => outputIndex.has(tensor),
    (step, halfRows) => lowerStep(step, target, halfRows),
  );
  const lowered = work.map((each) => {
    const { step, lowering, halfRows } = each;
    const outputItems = step.outputs.map((tensor) => {
      if (outputIndex.has(tensor)) return undefined;
      const halved = halfRows && tensor === step.outputs[0];
      const item = add(halved ? byteLength(elementCount(tensor.shape), 'f16') : tensorBytes(tensor));
      itemOf.set(tensor, item);
      return item;
    });
    if (halfRows) {
      const [output] = step.outputs;
      const scales = add(byteLength(elementCount(output.shape) / halfRows.length, 'f32'));
      outputItems.push(scales);
      halves.set(halvesKey(output, halfRows), [outputItems[0]!, scales]);
    }
    for (const { tensor } of step.inputs) {
      if (!itemOf.has(tensor) && !outputIndex.has(tensor)) externals.add(tensor);
    }
    const scratchItems: number[] = [];
    const scratchItem = (index: number) => (scratchItems[index] ??= add(lowering.scratch[index]));
    const place = (operand: Dispatch['operands'][number]) => {
      if (operand.source === 'scratch') {
        const item = scratchItem(operand.index);
        return { item, tensor: undefined, start: 0, bytes: items[item].bytes };
      }
      if (operand.source === 'input') {
        const { tensor, byteOffset, bytes } = step.inputs[operand.index];
        return { item: itemOf.get(tensor), tensor, start: byteOffset, bytes };
      }
      const item = outputItems[operand.index];
      const tensor = step.outputs[operand.index];
      return { item, tensor, start: 0, bytes: item === undefined ? tensorBytes(tensor) : items[item].bytes };
    };
    const dispatches = lowering.dispatches.filter((dispatch) => {
      const of = halvesOf(each, dispatch);
      if (!of || !itemOf.has(of.tensor)) return true;
      const key = halvesKey(of.tensor, of.rows);
      const [, ...made] = dispatch.operands.map(({ index }) => index);
      const before = halves.get(key);
      for (const [i, index] of made.entries()) if (before) scratchItems[index] = before[i];
      if (!before) halves.set(key, [scratchItem(made[0]), scratchItem(made[1])]);
      return !before;
    });
    const placed = dispatches.map(({ operands }) => operands.map(place));
    for (const [i, { operands }] of dispatches.entries()) {
      const [reads, writes]: number[][] = [[], []];
      for (const [k, { item }] of placed[i].entries()) {
        if (item === undefined) continue;
        items[item].start = Math.min(items[item].start, time);
        items[item].end = Math.max(items[item].end, time);
        (operands[k].access === 'read' ? reads : writes).push(item);
      }
      time++;
      for (const a of reads) for (const b of writes) separate(a, b);
    }
    return { step, receipt: lowering.receipt, dispatches, placed };
  });

  const arena = placeIntervals(items as Interval[], apart, offsetAlignment(caps), limits.maxBufferSize);

  let uniforms = 0;
  const dispatches = lowered.flatMap(({ step, receipt, dispatches: own, placed }) => {
    const equal = { flops: step.cost.flops / own.length, bytes: step.cost.bytes / own.length };
    return own.map((dispatch, i): PlannedDispatch => {
      if (dispatch.uniforms.length > 0) uniforms += uniformStride(caps, dispatch.uniforms.length);
      const bindings = dispatch.operands.map((operand, k): PlannedBinding => {
        const { item, tensor, start, bytes } = placed[i][k];
        const within = operand.byteOffset ?? 0;
        const length = operand.byteLength ?? bytes - within;
        if (length > limits.maxStorageBufferBindingSize) {
          throw new PlanTooLargeError(
            `${step.name}: ${dispatch.label} binds ${length} bytes, but this device binds at most ${limits.maxStorageBufferBindingSize} at once`,
            { neededBytes: length, limitBytes: limits.maxStorageBufferBindingSize },
          );
        }
        const location: Location =
          item !== undefined
            ? { kind: 'slab', ...arena.placements[item] }
            : outputIndex.has(tensor!)
              ? { kind: 'output', index: outputIndex.get(tensor!)! }
              : { kind: 'external', tensor: tensor! };
        return { location, access: operand.access, byteOffset: start + within, byteLength: length };
      });
      const { label, uniforms: words, workgroups, work: cost = equal } = dispatch;
      const name = `${step.name}: ${label}`;
      return {
        ...{ label: name, uniforms: words, workgroups, bindings, cost, receipt },
        get wgsl() {
          return dispatch.wgsl;
        },
      };
    });
  });

  const sum = (kind: Tensor['source']['kind']) =>
    [...externals].filter((t) => t.source.kind === kind).reduce((total, t) => total + tensorBytes(t), 0);
  const parts = {
    parameters: sum('parameter'),
    constants: sum('constant'),
    inputs: sum('input'),
    outputs: holders.reduce((total, tensor) => total + tensorBytes(tensor), 0),
    arena: arena.slabs.reduce((a, b) => a + b, 0),
    uniforms,
  };
  return {
    steps: lowered.map(({ step, receipt }) => ({ step, target, receipt })),
    dispatches,
    slabs: arena.slabs,
    outputs: new Map(names.map((name) => [name, outputs[name]])),
    externals: [...externals],
    memory: { ...parts, total: Object.values(parts).reduce((a, b) => a + b, 0) },
    cost: steps.reduce(
      (total, { cost }) => ({ flops: total.flops + cost.flops, bytes: total.bytes + cost.bytes }),
      { flops: 0, bytes: 0 },
    ),
  };
}
