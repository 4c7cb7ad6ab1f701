/**
 * Max pooling by 2 in space, composed of slices and maxima: the windows' rows come apart into even ones, odd ones and
 * even ones of the next window. With `ceil` a last window may hang over the edge, whose pixels it then repeats, which
 * changes no maximum.
 */
import { concat, maximum, reshape, slice, type Tensor } from '@dwm/core-tensor';

export interface Pool {
  readonly kernel: 2 | 3;
  readonly ceil?: boolean;
}

/** Windows along an axis of `size`. */
function pooledSize(size: number, { kernel, ceil = false }: Pool): number {
  return (ceil ? Math.ceil : Math.floor)((size - kernel) / 2) + 1;
}

/** Elements `from`, `from` + 2, … of dimension `dim`, `count` of them. */
function everySecond(x: Tensor, dim: number, from: number, count: number): Tensor {
  const { shape } = x;
  const pairs = slice(x, dim, from - (from % 2), 2 * count);
  const apart = reshape(pairs, [...shape.slice(0, dim), count, 2, ...shape.slice(dim + 1)]);
  const out = shape.map((size, d) => (d === dim ? count : size));
  return reshape(slice(apart, dim + 1, from % 2, 1), out);
}

function poolAxis(x: Tensor, dim: number, pool: Pool): Tensor {
  const size = x.shape[dim];
  const count = pooledSize(size, pool);
  const missing = 2 * count + (pool.kernel === 3 ? 2 : 0) - size;
  const last = slice(x, dim, size - 1, 1);
  const whole = missing > 0 ? concat([x, ...Array.from({ length: missing }, () => last)], dim) : x;
  const taken = Array.from({ length: pool.kernel }, (_, k) => everySecond(whole, dim, k, count));
  return taken.reduce((a, b) => maximum(a, b));
}

/** @param x [batch, height, width, channels]. */
export const maxPool = (x: Tensor, pool: Pool): Tensor => poolAxis(poolAxis(x, 1, pool), 2, pool);
