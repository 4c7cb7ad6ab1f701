/** What a reduction is asked to do. */
import type { Fusion } from '../pointwise/fusion.ts';

/** What becomes of the values of a row; `absMax` is the largest magnitude. */
export type Reduction = 'sum' | 'mean' | 'max' | 'absMax';

/** x [rows, length, inner] reduced over its middle dimension. */
export interface ReduceSpec {
  readonly rows: number;
  readonly length: number;
  readonly inner: number;
  readonly reduction: Reduction;
  /** x: an elementwise expression, of any shape with these elements in this order. */
  readonly source: Fusion;
}
