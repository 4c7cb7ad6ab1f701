/**
 * Gradients under construction. What several readers send back is added in order of arrival, as soon as it
 * arrives, so that only one sum is alive. Gradients of slices wait until all are there: slices that do not
 * overlap are laid side by side in one pass, instead of being padded with zeros and added one by one.
 */
import { InvalidArgumentError } from '../errors.ts';
import { type JoinedSegment, joinSegments } from '../ops/concat.ts';
import { add } from '../ops/pointwise.ts';
import type { Tensor } from '../tensor.ts';

interface Part {
  readonly start: number;
  readonly gradient: Tensor;
}

interface Sum {
  whole?: Tensor;
  /** By dimension. */
  readonly slices: Map<number, Part[]>;
}

/** A parameter is its device tensor: a model may make a new symbol for it each time it is read. */
export const identity = (tensor: Tensor): object =>
  tensor.source.kind === 'parameter' ? tensor.source.tensor : tensor;

export class Gradients {
  readonly #sums = new Map<object, Sum>();

  add(tensor: Tensor, gradient: Tensor): void {
    if (gradient.shape.join() !== tensor.shape.join()) {
      throw new InvalidArgumentError(
        'grad',
        `a gradient of shape [${gradient.shape}] for a tensor of [${tensor.shape}]`,
      );
    }
    const sum = this.#sumOf(tensor);
    sum.whole = sum.whole ? add(sum.whole, gradient) : gradient;
  }

  /** The gradient of elements from `start` on along dimension `dim` of `tensor`. */
  addSlice(tensor: Tensor, dim: number, start: number, gradient: Tensor): void {
    const { slices } = this.#sumOf(tensor);
    slices.set(dim, [...(slices.get(dim) ?? []), { start, gradient }]);
  }

  /** The sum so far; undefined where nothing has arrived. */
  get(tensor: Tensor): Tensor | undefined {
    const sum = this.#sums.get(identity(tensor));
    if (!sum) return undefined;
    const slices = [...sum.slices];
    sum.slices.clear();
    for (const [dim, parts] of slices) {
      for (const layer of layers(parts, dim)) {
        this.add(tensor, joinSegments('slice gradient', withZeros(layer, dim, tensor), like(tensor), dim));
      }
    }
    return sum.whole;
  }

  #sumOf(tensor: Tensor): Sum {
    const key = identity(tensor);
    let sum = this.#sums.get(key);
    if (!sum) {
      sum = { slices: new Map() };
      this.#sums.set(key, sum);
    }
    return sum;
  }
}

const like = ({ shape }: Tensor) => ({ shape, dtype: 'f32' as const });

/** The parts sorted into lists that each run along the dimension without overlap. */
function layers(parts: readonly Part[], dim: number): Part[][] {
  const found: Part[][] = [];
  for (const part of [...parts].sort((a, b) => a.start - b.start)) {
    const free = found.find((layer) => {
      const { start, gradient } = layer[layer.length - 1];
      return start + gradient.shape[dim] <= part.start;
    });
    if (free) free.push(part);
    else found.push([part]);
  }
  return found;
}

/** The parts, and zeros in the gaps between them. */
function withZeros(parts: readonly Part[], dim: number, tensor: Tensor): JoinedSegment[] {
  const segments: JoinedSegment[] = [];
  let at = 0;
  const fillTo = (end: number) => {
    if (end > at) segments.push({ size: end - at, value: 0 });
    at = end;
  };
  for (const { start, gradient } of parts) {
    fillTo(start);
    segments.push({ size: gradient.shape[dim], tensor: gradient });
    at += gradient.shape[dim];
  }
  fillTo(tensor.shape[dim]);
  return segments;
}
