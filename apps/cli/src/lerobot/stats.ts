/** What LeRobot keeps of a feature's numbers, of an episode and of all: least, most, mean, deviation and count. */

/** One number for each of the feature's, then the count. */
export interface Stats {
  readonly min: readonly number[];
  readonly max: readonly number[];
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly count: readonly [number];
}

/** Numbers that come one after another (Welford's sums). */
export class RunningStats {
  readonly #min: number[];
  readonly #max: number[];
  readonly #mean: number[];
  readonly #squares: number[];
  #count = 0;

  constructor(size: number) {
    this.#min = Array(size).fill(Number.POSITIVE_INFINITY);
    this.#max = Array(size).fill(Number.NEGATIVE_INFINITY);
    this.#mean = Array(size).fill(0);
    this.#squares = Array(size).fill(0);
  }

  add(values: ArrayLike<number>, from = 0): void {
    this.#count++;
    for (let i = 0; i < this.#mean.length; i++) {
      const value = values[from + i];
      if (value < this.#min[i]) this.#min[i] = value;
      if (value > this.#max[i]) this.#max[i] = value;
      const off = value - this.#mean[i];
      this.#mean[i] += off / this.#count;
      this.#squares[i] += off * (value - this.#mean[i]);
    }
  }

  /** @param count what is said to have been counted: of pictures these, not their pixels. */
  result(count = this.#count, scale = 1): Stats {
    const scaled = (values: readonly number[]) => values.map((value) => value * scale);
    return {
      min: scaled(this.#min),
      max: scaled(this.#max),
      mean: scaled(this.#mean),
      std: scaled(this.#squares.map((square) => Math.sqrt(square / this.#count))),
      count: [count],
    };
  }
}

/** Of both together (Chan, Golub and LeVeque, 1979). */
export function mergeStats(a: Stats, b: Stats): Stats {
  const count = a.count[0] + b.count[0];
  const [shareA, shareB] = [a.count[0] / count, b.count[0] / count];
  const off = (i: number) => b.mean[i] - a.mean[i];
  return {
    min: a.min.map((value, i) => Math.min(value, b.min[i])),
    max: a.max.map((value, i) => Math.max(value, b.max[i])),
    mean: a.mean.map((value, i) => value + off(i) * shareB),
    std: a.std.map((value, i) =>
      Math.sqrt(shareA * value ** 2 + shareB * b.std[i] ** 2 + shareA * shareB * off(i) ** 2),
    ),
    count: [count],
  };
}
