/**
 * From a graph to steps: what will really run, in order. Views disappear into the strides of their readers;
 * a pointwise node swallows the pointwise nodes that only it reads, and is swallowed as an epilogue by the
 * kernel that only it reads, or as a prologue by a reduction that is its only reader; what is left needs dense
 * inputs and gets a copy where a view is not dense.
 */
import {
  type Access,
  accumulator,
  byteLength,
  bytesOf,
  type DeviceCaps,
  type Expression,
  elementCount,
  type FusedOperand,
  type Fusion,
  isDense,
  type Lowering,
  lowerPointwise,
  offsetAlignment,
  operand as operandLeaf,
  storesSingly,
  substitute,
  valueType,
} from '@dwm/kernels-wgsl';
import { type Cost, type KernelOp, type Node, record, type Target, type Tensor } from '../tensor.ts';
import { broadcast, denseBase, denseWindow, reshapeAccess, resolve } from './views.ts';

/** What an op reads: `bytes` from `byteOffset` on of the tensor that holds them. */
export interface StepInput {
  readonly tensor: Tensor;
  readonly byteOffset: number;
  readonly bytes: number;
}

/** One op that runs: it lowers to dispatches over `inputs` and `outputs`, which all hold bytes. */
export interface Step {
  readonly name: string;
  readonly inputs: readonly StepInput[];
  readonly outputs: readonly Tensor[];
  readonly cost: Cost;
  lower(target: Target): Lowering;
}

/** An elementwise expression under construction: operand k reads `tensors[k]`. */
interface Draft {
  readonly shape: readonly number[];
  readonly expression: Expression;
  readonly tensors: readonly Tensor[];
  readonly accesses: readonly Access[];
}

interface Pending {
  kernel?: {
    op: KernelOp;
    inputs: readonly StepInput[];
    outputs: readonly Tensor[];
    /** What the kernel reads instead of its input; `inputs` are its tensors. */
    prologue?: Draft;
  };
  draft?: Draft;
  readonly output: Tensor;
}

const bytes = (tensor: Tensor) => elementCount(tensor.shape) * bytesOf(tensor.dtype);

const whole = (tensor: Tensor): StepInput => ({
  tensor,
  byteOffset: 0,
  bytes: byteLength(elementCount(tensor.shape), tensor.dtype),
});

/** Nodes that the outputs need, in creation order. */
function reachable(outputs: readonly Tensor[]): Node[] {
  const seen = new Set<Node>();
  const stack = [...outputs];
  while (stack.length > 0) {
    const { source } = stack.pop()!;
    if (source.kind !== 'node' || seen.has(source.node)) continue;
    seen.add(source.node);
    stack.push(...source.node.inputs);
  }
  return [...seen].sort((a, b) => a.outputs[0].id - b.outputs[0].id);
}

/** How many nodes (and program outputs) read each tensor that holds bytes. */
function countReaders(nodes: readonly Node[], outputs: readonly Tensor[]): Map<Tensor, number> {
  const readers = new Map<Tensor, number>();
  const count = (tensors: Iterable<Tensor>) => {
    for (const tensor of new Set(tensors)) readers.set(tensor, (readers.get(tensor) ?? 0) + 1);
  };
  for (const node of nodes) {
    if (node.op.kind === 'view') {
      // A view that strides cannot express becomes a copy, which is a reader.
      if (resolve(node.outputs[0]).base === node.outputs[0]) count([resolve(node.inputs[0]).base]);
    } else count(node.inputs.map((tensor) => resolve(tensor).base));
  }
  for (const tensor of outputs) count([resolve(tensor).base]);
  return readers;
}

/** `draft` read at the flat index of `shape`; undefined when an operand's strides cannot be re-expressed. */
function reshapeDraft(draft: Draft, shape: readonly number[]): Draft | undefined {
  if (draft.shape.length === shape.length && draft.shape.every((size, d) => size === shape[d])) return draft;
  const accesses: Access[] = [];
  for (const access of draft.accesses) {
    const reshaped = reshapeAccess(access, draft.shape, shape);
    if (!reshaped) return undefined;
    accesses.push(reshaped);
  }
  let usesCoordinates = false;
  substitute(draft.expression, (leaf) => {
    if (leaf.kind === 'coordinate') usesCoordinates = true;
    return undefined;
  });
  return usesCoordinates ? undefined : { ...draft, shape, accesses };
}

const sameAccess = (a: Access, b: Access) =>
  a.offset === b.offset &&
  a.dims.every(
    (dim, d) =>
      dim.stride === b.dims[d].stride && dim.shift === b.dims[d].shift && dim.divisor === b.dims[d].divisor,
  );

/** Replaces operand `k` of `outer` by the expression `inner` (over the same shape), sharing equal operands. */
function inline(outer: Draft, k: number, inner: Draft): Draft {
  const tensors: Tensor[] = [];
  const accesses: Access[] = [];
  const place = (tensor: Tensor, access: Access): Expression => {
    let at = tensors.findIndex((other, i) => other === tensor && sameAccess(accesses[i], access));
    if (at < 0) at = tensors.push(tensor) - 1;
    accesses[at] = access;
    return operandLeaf(at);
  };
  const innerLeaves = inner.tensors.map((tensor, i) => place(tensor, inner.accesses[i]));
  const innerExpression = substitute(inner.expression, (leaf) =>
    leaf.kind === 'operand' ? innerLeaves[leaf.index] : undefined,
  );
  const outerLeaves = outer.tensors.map((tensor, i) =>
    i === k ? innerExpression : place(tensor, outer.accesses[i]),
  );
  return {
    shape: outer.shape,
    tensors,
    accesses,
    expression: substitute(outer.expression, (leaf) =>
      leaf.kind === 'operand' ? outerLeaves[leaf.index] : undefined,
    ),
  };
}

/**
 * @param requested tensors that must end up dense in buffers of their own.
 * @returns the steps in order, and for every output the tensor that holds its bytes.
 */
export function buildSteps(
  requested: readonly Tensor[],
  caps: DeviceCaps,
): { steps: Step[]; holders: Tensor[] } {
  const outputs = ownOutputs(requested);
  const nodes = reachable(outputs);
  const readers = countReaders(nodes, outputs);
  const kept = new Set(outputs.map((tensor) => denseBase(tensor)));
  const requestedViews = new Set(outputs);
  const pending = new Map<Tensor, Pending>();
  const maxBindings = caps.limits.maxStorageBuffersPerShaderStage;

  const emit = (item: Pending) => {
    pending.delete(item.output);
    pending.set(item.output, item);
  };

  const copy = (output: Tensor, shape: readonly number[], from: { base: Tensor; access: Access }) =>
    emit({
      output,
      draft: { shape, expression: operandLeaf(0), tensors: [from.base], accesses: [from.access] },
    });

  /** A tensor with the dense bytes of `tensor`: itself, what it views, or a copy. */
  const dense = (tensor: Tensor): Tensor => {
    const base = denseBase(tensor);
    if (base) return base;
    if (!pending.has(tensor)) copy(tensor, tensor.shape, resolve(tensor));
    return tensor;
  };

  /** The same for a kernel's input, which may also be an aligned part of a larger tensor. */
  const kernelInput = (tensor: Tensor): StepInput => {
    const found = denseWindow(tensor);
    const byteOffset = (found?.offset ?? 0) * bytesOf(tensor.dtype);
    if (!found || byteOffset % offsetAlignment(caps) !== 0) return whole(dense(tensor));
    return { ...whole(tensor), tensor: found.base, byteOffset };
  };

  const pointwise = (expression: Expression, inputs: readonly Tensor[], output: Tensor) => {
    let draft: Draft = {
      shape: output.shape,
      expression,
      tensors: [],
      accesses: [],
    };
    const leaves: Expression[] = [];
    for (const tensor of inputs) {
      const under = resolve(tensor);
      const access = broadcast(under.access, tensor.shape, output.shape);
      let at = draft.tensors.findIndex(
        (other, i) => other === under.base && sameAccess(draft.accesses[i], access),
      );
      if (at < 0) {
        at = draft.tensors.length;
        draft = {
          ...draft,
          tensors: [...draft.tensors, under.base],
          accesses: [...draft.accesses, access],
        };
      }
      leaves.push(operandLeaf(at));
    }
    draft = {
      ...draft,
      expression: substitute(expression, (leaf) =>
        leaf.kind === 'operand' ? leaves[leaf.index] : undefined,
      ),
    };

    const absorbable = (k: number): Pending | undefined => {
      const base = draft.tensors[k];
      const producer = pending.get(base);
      if (!producer || readers.get(base) !== 1 || kept.has(base)) return undefined;
      if (draft.tensors.filter((tensor) => tensor === base).length > 1) return undefined;
      if (elementCount(base.shape) !== elementCount(output.shape)) return undefined;
      const floats = producer.output.dtype === 'f32' && valueType(output.dtype) === 'f32';
      return floats && isDense(draft.accesses[k], output.shape) ? producer : undefined;
    };

    for (let k = 0; k < draft.tensors.length; ) {
      const producer = absorbable(k);
      const inner =
        producer?.draft && !producer.kernel ? reshapeDraft(producer.draft, output.shape) : undefined;
      const merged = inner && inline(draft, k, inner);
      if (producer && merged && merged.tensors.length + 1 <= maxBindings) {
        pending.delete(producer.output);
        draft = merged;
        k = 0;
      } else k++;
    }

    for (let k = draft.tensors.length - 1; k >= 0 && storesSingly(output.dtype, caps); k--) {
      const producer = absorbable(k);
      if (!producer?.kernel?.op.epilogue || producer.kernel.outputs.length > 1) continue;
      const inner = producer.draft
        ? reshapeDraft(producer.draft, output.shape)
        : { shape: output.shape, expression: accumulator, tensors: [], accesses: [] };
      if (!inner) continue;
      const merged = inline(draft, k, inner);
      if (merged.tensors.length + producer.kernel.op.bindings > maxBindings) continue;
      pending.delete(producer.output);
      emit({
        output,
        kernel: { ...producer.kernel, outputs: [output, ...producer.kernel.outputs.slice(1)] },
        draft: merged,
      });
      return;
    }
    emit({ output, draft });
  };

  /** The elementwise work behind `input`, taken off the list, if only `op` reads it and can do it itself. */
  const swallowed = ({ tensor: input, bytes: used }: StepInput, op: KernelOp): Draft | undefined => {
    const producer = pending.get(input);
    if (!producer?.draft || producer.kernel || input.dtype !== 'f32' || used < bytes(input)) return undefined;
    // A copy of a view is not counted: it is made again for another reader.
    if ((readers.get(input) ?? 1) > 1 || kept.has(input) || requestedViews.has(input)) return undefined;
    const { tensors } = producer.draft;
    const bindable = tensors.every((tensor) => bytes(tensor) <= caps.limits.maxStorageBufferBindingSize);
    if (!bindable || tensors.length - 1 + op.bindings > maxBindings) return undefined;
    pending.delete(input);
    return producer.draft;
  };

  for (const node of nodes) {
    if (node.op.kind === 'view') {
      const [output] = node.outputs;
      const [viewed] = node.inputs;
      // Strides cannot say it, which only happens to a reshape: copy densely in the input's own shape.
      if (resolve(output).base === output) copy(output, viewed.shape, resolve(viewed));
      // A strided program output is copied here and not at the end, so that its base need not live on.
      else if (requestedViews.has(output)) dense(output);
    } else if (node.op.kind === 'pointwise') {
      pointwise(node.op.expression, node.inputs, node.outputs[0]);
    } else {
      const { op, outputs } = node;
      const inputs = node.inputs.map(kernelInput);
      const prologue = op.prologue ? swallowed(inputs[0], op) : undefined;
      emit({
        output: outputs[0],
        kernel: prologue
          ? { op, inputs: prologue.tensors.map(whole), outputs, prologue }
          : { op, inputs, outputs },
      });
    }
  }
  const holders = outputs.map(dense);
  return { steps: [...pending.values()].map(toStep), holders };
}

/**
 * Program outputs as tensors that some node of their own computes: what is passed through unchanged, or
 * handed out twice, is copied.
 */
function ownOutputs(outputs: readonly Tensor[]): Tensor[] {
  const taken = new Set<Tensor>();
  return outputs.map((tensor) => {
    const base = denseBase(tensor) ?? tensor;
    const own =
      base.source.kind === 'node' && !taken.has(base)
        ? base
        : record({ kind: 'pointwise', name: 'copy', expression: operandLeaf(0) }, [tensor], [tensor])[0];
    taken.add(own);
    return own === base ? tensor : own;
  });
}

function fusionOf(draft: Draft): Fusion {
  const operands = draft.tensors.map((tensor, k): FusedOperand => {
    return { dtype: tensor.dtype, access: draft.accesses[k], count: elementCount(tensor.shape) };
  });
  return { shape: draft.shape, expression: draft.expression, operands };
}

function toStep(item: Pending): Step {
  const { kernel, draft, output } = item;
  const fusion = draft && fusionOf(draft);
  const fusedBytes = draft?.tensors.reduce((sum, tensor) => sum + bytes(tensor), 0) ?? 0;
  if (kernel) {
    const { op, inputs, outputs } = kernel;
    const prologue = kernel.prologue && fusionOf(kernel.prologue);
    return {
      name: `${prologue ? '+' : ''}${op.name}${fusion ? '+' : ''}`,
      inputs: [...inputs, ...(draft?.tensors ?? []).map(whole)],
      outputs,
      cost: { flops: op.cost.flops, bytes: op.cost.bytes + fusedBytes },
      lower: (target) => op.lower(target, fusion && { fusion, dtype: output.dtype }, prologue),
    };
  }
  const elements = elementCount(output.shape);
  return {
    name: 'pointwise',
    inputs: draft!.tensors.map(whole),
    outputs: [output],
    cost: { flops: elements, bytes: fusedBytes + bytes(output) },
    lower: ({ caps }) => lowerPointwise({ ...fusion!, dtype: output.dtype }, caps),
  };
}
