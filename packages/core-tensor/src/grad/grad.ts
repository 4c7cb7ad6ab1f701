/**
 * Reverse-mode differentiation as a graph transform: it goes through the nodes behind a loss from the last to
 * the first, and records for each the nodes that compute its inputs' gradients. Only what lies on a path from
 * a wanted tensor to the loss is touched, so frozen weights and what comes before the first trainable one cost
 * nothing. New nodes are recorded in the order in which they will run.
 */
import { elementCount } from '@dwm/kernels-wgsl';
import { smoothOperands } from '@dwm/kernels-wgsl/pointwise';
import { InvalidArgumentError } from '../errors.ts';
import { broadcastTo } from '../ops/views.ts';
import { constant, type Node, type Tensor } from '../tensor.ts';
import { Gradients, identity } from './accumulate.ts';
import { type Region, regionOf } from './checkpoint.ts';
import { pointwiseGradients } from './pointwise.ts';
import { viewGradient } from './views.ts';

/**
 * Gradients of `loss` with respect to `wrt`: inputs, parameters or intermediates, each gradient f32 in the
 * shape of its tensor. Zeros where a change of the tensor cannot reach the loss. Equal arguments of a minimum
 * or maximum share the gradient; rounding to another float dtype has slope 1; integers have no gradient.
 * @param loss one f32 value, of any rank.
 * @throws when the loss has more elements, an op on the way has no gradient, or a tensor of `wrt` lies inside
 * a checkpoint.
 */
export function grad(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (elementCount(loss.shape) !== 1 || loss.dtype !== 'f32') {
    throw new InvalidArgumentError(
      'grad',
      `the loss must be one f32 value, got ${loss.dtype} [${loss.shape}]; sum or average it`,
    );
  }
  const integer = wrt.find((tensor) => !isFloat(tensor));
  if (integer)
    throw new InvalidArgumentError('grad', `no gradient with respect to ${integer.dtype} [${integer.shape}]`);
  const backward = new Backward(wrt);
  backward.run([loss], [constant(new Float32Array([1]), loss.shape)]);
  return wrt.map(
    (tensor) =>
      backward.gradients.get(tensor) ?? broadcastTo(constant(new Float32Array(1), [1]), tensor.shape),
  );
}

/** The loss `fn` makes of named tensors, and its gradients by the same names. See `grad`. */
export function valueAndGrad<P extends Readonly<Record<string, Tensor>>>(
  fn: (parameters: P) => Tensor,
  parameters: P,
): { value: Tensor; gradients: { [K in keyof P]: Tensor } } {
  const value = fn(parameters);
  const gradients = grad(value, Object.values(parameters));
  const named = Object.keys(parameters).map((name, k) => [name, gradients[k]]);
  return { value, gradients: Object.fromEntries(named) as { [K in keyof P]: Tensor } };
}

const isFloat = ({ dtype }: Tensor) => dtype !== 'i32' && dtype !== 'u32';

class Backward {
  readonly gradients = new Gradients();
  readonly #wrt: readonly Tensor[];
  readonly #wanted: ReadonlySet<object>;
  /** For every node met: which inputs' gradients are wanted. */
  readonly #needed = new Map<Node, readonly boolean[]>();
  readonly #retraced = new Set<Region>();

  constructor(wrt: readonly Tensor[]) {
    this.#wrt = wrt;
    this.#wanted = new Set(wrt.map(identity));
  }

  /** Goes back from `roots`, whose gradients are given, through every node that was not met before. */
  run(roots: readonly Tensor[], gradients: readonly (Tensor | undefined)[]): void {
    const nodes = this.#meet(roots);
    for (const [k, gradient] of gradients.entries()) if (gradient) this.gradients.add(roots[k], gradient);
    for (const node of nodes.reverse()) {
      if (this.#needed.get(node)!.includes(true)) this.#back(node);
    }
  }

  #back(node: Node): void {
    const region = regionOf(node);
    if (region) {
      if (!this.#retraced.has(region)) this.#retrace(region);
      return;
    }
    const { op, inputs, outputs } = node;
    const needed = this.#needed.get(node)!;
    const gradients = outputs.map((output) => this.gradients.get(output));
    const [gradient] = gradients;
    if (gradients.every((g) => !g)) return;
    let results: readonly (Tensor | undefined)[];
    if (op.kind === 'pointwise') results = pointwiseGradients(op, inputs, gradient!, needed);
    else if (op.kind === 'kernel') {
      if (!op.vjp)
        throw new InvalidArgumentError('grad', `${op.name} has no gradient; use stopGradient on its result`);
      results = op.vjp({ inputs, outputs, gradients, needed });
    } else if (op.map.kind === 'slice') {
      this.gradients.addSlice(inputs[0], op.map.dim, op.map.start, gradient!);
      return;
    } else if (op.map.kind === 'stopGradient') return;
    else results = [viewGradient(op.map, inputs[0].shape, gradient!)];
    for (const [k, result] of results.entries())
      if (result && needed[k]) this.gradients.add(inputs[k], result);
  }

  /** All gradients of a region's outputs are there: its marks come after all that is in it, before all readers. */
  #retrace(region: Region): void {
    this.#retraced.add(region);
    const { outputs, firstId } = region;
    if (this.#wrt.some(({ id, source }) => source.kind === 'node' && id >= firstId && id < outputs[0].id)) {
      throw new InvalidArgumentError(
        'grad',
        'a tensor made inside a checkpoint has no gradient; return it from the checkpoint',
      );
    }
    const gradients = outputs.map((output) => this.gradients.get(output));
    if (gradients.some((g) => g)) this.run(region.retrace(), gradients);
  }

  /** The nodes behind `roots` that were not met before, in order of creation, with what they need. */
  #meet(roots: readonly Tensor[]): Node[] {
    const found = new Set<Node>();
    const stack = [...roots];
    while (stack.length > 0) {
      const { source } = stack.pop()!;
      if (source.kind !== 'node' || found.has(source.node) || this.#needed.has(source.node)) continue;
      found.add(source.node);
      stack.push(...source.node.inputs);
    }
    const nodes = [...found].sort((a, b) => a.outputs[0].id - b.outputs[0].id);
    for (const node of nodes) {
      const passes = passesGradient(node);
      this.#needed.set(
        node,
        node.inputs.map((input, k) => passes[k] && this.#isOnPath(input)),
      );
    }
    return nodes;
  }

  #isOnPath(tensor: Tensor): boolean {
    if (this.#wanted.has(identity(tensor))) return true;
    return tensor.source.kind === 'node' && this.#needed.get(tensor.source.node)!.includes(true);
  }
}

/** For each input of a node, whether a small change of it can change an output. */
function passesGradient({ op, inputs, outputs }: Node): boolean[] {
  const floats = (input: Tensor) => isFloat(input) && outputs.some(isFloat);
  if (op.kind === 'pointwise') {
    const smooth = smoothOperands(op.expression);
    return inputs.map((input, k) => floats(input) && smooth.has(k));
  }
  return inputs.map((input) => floats(input) && !(op.kind === 'view' && op.map.kind === 'stopGradient'));
}
