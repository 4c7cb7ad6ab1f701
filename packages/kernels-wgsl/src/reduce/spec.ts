/** What a reduction is asked to do. */
import type { DType } from '../dtype.ts';

export type Reduction = 'sum' | 'mean' | 'max' | 'absMax';

/** x [rows, length, inner] reduced over its middle dimension. */
export interface ReduceSpec {
  readonly rows: number;
  readonly length: number;
  readonly inner: number;
  readonly reduction: Reduction;
  /** Dtype of x. */
  readonly dtype: DType;
}
