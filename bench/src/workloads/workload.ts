/**
 * Each family of workloads says what its inputs are, what the result must be (in float64) and what work it is; how
 * it is computed is up to each implementation.
 */
/** Host values by name, dense and row-major. */
export type Arrays = Readonly<Record<string, Float32Array>>;

export type Shape = readonly number[];

/** Floating-point operations, and bytes that must be read and written at least once. */
export interface Cost {
  readonly flops: number;
  readonly bytes: number;
}

/** What some elements of a result must be. */
export interface Expected {
  /** Flat indices into the output. */
  readonly at: readonly number[];
  readonly values: readonly number[];
}

export interface Family<T> {
  /** Shapes of the inputs that change from run to run. Channels come last everywhere. */
  inputs(task: T): Readonly<Record<string, Shape>>;
  /** Shapes of what stays: weights. */
  weights(task: T): Readonly<Record<string, Shape>>;
  output(task: T): Shape;
  flops(task: T): number;
  /**
   * The result in float64 by the kernels' own reference, at every element or, where that would take longer than
   * the benchmark, for a sample of rows, positions or groups drawn with `random`.
   */
  expected(task: T, values: Arrays, random: () => number): Expected;
}

export const count = (shape: Shape): number => shape.reduce((product, size) => product * size, 1);

/** `wanted` different whole numbers below `limit`, the first and the last among them; all when there are fewer. */
export function sampleOf(limit: number, wanted: number, random: () => number): number[] {
  if (limit <= wanted) return Array.from({ length: limit }, (_, i) => i);
  const chosen = new Set([0, limit - 1]);
  while (chosen.size < wanted) chosen.add(Math.floor(random() * limit));
  return [...chosen];
}
