/** Sizes of a rotary embedding. */
export interface RotaryShape {
  readonly batch: number;
  readonly rows: number;
  readonly heads: number;
  readonly headDim: number;
  /** Rows before this one are copied. */
  readonly firstRow: number;
}

/** Shapes that the tests try: odd sizes, then the transformer's with fewer tokens. */
export const ROTARY_SHAPES: readonly RotaryShape[] = [
  { batch: 1, rows: 1, heads: 1, headDim: 2, firstRow: 0 },
  { batch: 2, rows: 7, heads: 3, headDim: 6, firstRow: 2 },
  { batch: 3, rows: 11, heads: 1, headDim: 12, firstRow: 0 },
  { batch: 2, rows: 300, heads: 4, headDim: 64, firstRow: 226 },
];
