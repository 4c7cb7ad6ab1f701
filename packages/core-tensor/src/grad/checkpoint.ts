/**
 * Recomputing instead of keeping (gradient checkpointing, Chen et al. 2016). The outputs of a checkpointed
 * function are marked; where the backward pass meets a mark it traces the function once more and goes back
 * through the fresh nodes, so that nothing inside the first trace outlives the forward pass.
 */
import { reshape } from '../ops/views.ts';
import { type Node, type Tensor, tensorsCreated } from '../tensor.ts';

export interface Region {
  /** The marked results, in order. */
  readonly outputs: readonly Tensor[];
  /** First tensor id inside the region. */
  readonly firstId: number;
  /** The results once more, from fresh nodes. */
  retrace(): readonly Tensor[];
}

const regions = new WeakMap<Node, Region>();

/** The region that a node marks an output of. */
export const regionOf = (node: Node): Region | undefined => regions.get(node);

/**
 * `fn(...inputs)`, whose intermediates are computed again in the backward pass instead of being kept. `fn` may
 * use other tensors too, such as weights, and they get gradients as well. It must be a pure function: traced
 * twice, the same graph.
 */
export function checkpoint<I extends readonly Tensor[], O extends Tensor | readonly Tensor[]>(
  fn: (...inputs: I) => O,
  inputs: I,
): O {
  const firstId = tensorsCreated();
  const first = fn(...inputs);
  const outputs = asList(first).map((tensor) => reshape(tensor, tensor.shape));
  const region = { outputs, firstId, retrace: () => asList(fn(...inputs)) };
  for (const { source } of outputs) if (source.kind === 'node') regions.set(source.node, region);
  return (Array.isArray(first) ? outputs : outputs[0]) as O;
}

const asList = (value: Tensor | readonly Tensor[]): readonly Tensor[] =>
  'source' in value ? [value] : value;
