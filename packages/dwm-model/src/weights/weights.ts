/** What a network reads its weights through: loaded parameters, or weights that are being trained. */
import type { Tensor } from '@dwm/core-tensor';

/** A low-rank update beside a frozen weight: y = W x + scale · B (A x). */
export interface Adapter {
  /** [rank, inputs] */
  readonly a: Tensor;
  /** [outputs, rank] */
  readonly b: Tensor;
  /** A number, or [1]. */
  readonly scale: number | Tensor;
}

export interface Weights {
  get(name: string): Tensor;
  has(name: string): boolean;
  /** The update beside the linear layer `module`, if it has one. */
  adapter?(module: string): Adapter | undefined;
}
