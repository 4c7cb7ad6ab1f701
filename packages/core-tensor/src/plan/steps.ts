/**
 * From a graph to steps: what will really run, in order. Views disappear into the strides of their readers, and
 * elementwise nodes into each other and into the kernels beside them (`fused-ops.ts`).
 */
import { bytesOf, type DeviceCaps, elementCount, type HalfRows, type Lowering } from '@dwm/kernels-wgsl';
import { identity, lowerPointwise, operand as operandLeaf } from '@dwm/kernels-wgsl/pointwise';
import { type Cost, type Node, record, type Target, type Tensor } from '../tensor.ts';
import { fusionOf } from './drafts.ts';
import { type FusedOp, FusedOps, type StepInput, whole } from './fused-ops.ts';
import { denseBase, resolve } from './views.ts';

/** One op that runs: it lowers to dispatches over `inputs` and `outputs`, which all hold bytes. */
export interface Step {
  readonly name: string;
  readonly inputs: readonly StepInput[];
  readonly outputs: readonly Tensor[];
  readonly cost: Cost;
  /** @param halfRows see `Epilogue`; of steps that take it. */
  lower(target: Target, halfRows?: HalfRows): Lowering;
  readonly takesHalfRows: boolean;
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
  const ops = new FusedOps(caps, outputs, countReaders(nodes, outputs));
  for (const { op, inputs, outputs: made } of nodes) {
    if (op.kind === 'view') ops.view(inputs[0], made[0]);
    else if (op.kind === 'pointwise') ops.pointwise(op.expression, inputs, made[0]);
    else ops.kernel(op, inputs, made);
  }
  const holders = outputs.map((tensor) => ops.dense(tensor));
  return { steps: ops.inOrder.map(toStep), holders };
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

/** Of the values alone, without what a buffer is rounded up by. */
const valueBytes = ({ shape, dtype }: Tensor) => elementCount(shape) * bytesOf(dtype);

function toStep({ kernel, draft, output }: FusedOp): Step {
  const fusion = draft && fusionOf(draft);
  const fusedBytes = draft?.tensors.reduce((sum, tensor) => sum + valueBytes(tensor), 0) ?? 0;
  if (kernel) {
    const { op, inputs, outputs } = kernel;
    const prologue = kernel.prologue && fusionOf(kernel.prologue);
    return {
      name: `${prologue ? '+' : ''}${op.name}${fusion ? '+' : ''}`,
      inputs: [...inputs, ...(draft?.tensors ?? []).map(whole)],
      outputs,
      cost: { flops: op.cost.flops, bytes: op.cost.bytes + fusedBytes },
      takesHalfRows: (op.epilogue ? outputs.length === 1 : op.halfRows === true) && output.dtype === 'f32',
      lower(target, halfRows) {
        const stored = fusion ?? (halfRows ? identity([elementCount(output.shape)]) : undefined);
        return op.lower(target, stored && { fusion: stored, dtype: output.dtype, halfRows }, prologue);
      },
    };
  }
  const elements = elementCount(output.shape);
  return {
    name: 'pointwise',
    inputs: draft!.tensors.map(whole),
    outputs: [output],
    cost: { flops: elements, bytes: fusedBytes + valueBytes(output) },
    takesHalfRows: false,
    lower: (target) => lowerPointwise({ ...fusion!, dtype: output.dtype }, target),
  };
}
