/**
 * Ridge regression in closed form (Hoerl and Kennard, 1970): of rows x to rows y the W and b that make
 * |x W + b - y|^2 + penalty |W|^2 least, in float64. The penalty is by the mean variance of a feature and row.
 */

/** A linear layer: `weight` [out, in], `bias` [out]. */
export interface Layer {
  readonly weight: Float64Array;
  readonly bias: Float64Array;
}

type Rows = readonly ArrayLike<number>[];

/** The sums that layers of any penalty are made of. */
export class Ridge {
  readonly #count: number;
  readonly #in: number;
  readonly #out: number;
  readonly #meanIn: Float64Array;
  readonly #meanOut: Float64Array;
  /** [in, in] and [in, out], about the means. */
  readonly #inIn: Float64Array;
  readonly #inOut: Float64Array;

  /** @param x rows of features. @param y of what they should give. */
  constructor(x: Rows, y: Rows) {
    this.#count = x.length;
    [this.#in, this.#out] = [x[0].length, y[0].length];
    this.#meanIn = meanOf(x);
    this.#meanOut = meanOf(y);
    this.#inIn = new Float64Array(this.#in * this.#in);
    this.#inOut = new Float64Array(this.#in * this.#out);
    const [from, to] = [new Float64Array(this.#in), new Float64Array(this.#out)];
    for (let row = 0; row < x.length; row++) {
      for (let i = 0; i < this.#in; i++) from[i] = x[row][i] - this.#meanIn[i];
      for (let o = 0; o < this.#out; o++) to[o] = y[row][o] - this.#meanOut[o];
      for (let i = 0; i < this.#in; i++) {
        for (let j = 0; j <= i; j++) this.#inIn[i * this.#in + j] += from[i] * from[j];
        for (let o = 0; o < this.#out; o++) this.#inOut[i * this.#out + o] += from[i] * to[o];
      }
    }
  }

  layer(penalty: number): Layer {
    const size = this.#in;
    const lower = this.#inIn.slice();
    let trace = 0;
    for (let i = 0; i < size; i++) trace += lower[i * size + i];
    const added = (penalty * trace) / (size * this.#count);
    for (let i = 0; i < size; i++) lower[i * size + i] += added;
    choleskyInPlace(lower, size);
    const weight = new Float64Array(this.#out * size);
    const bias = this.#meanOut.slice();
    const column = new Float64Array(size);
    for (let o = 0; o < this.#out; o++) {
      for (let i = 0; i < size; i++) column[i] = this.#inOut[i * this.#out + o];
      solveInPlace(lower, size, column);
      weight.set(column, o * size);
      for (let i = 0; i < size; i++) bias[o] -= column[i] * this.#meanIn[i];
    }
    return { weight, bias };
  }
}

/** What a layer gives for a row. */
export function applied({ weight, bias }: Layer, row: ArrayLike<number>): Float64Array {
  return bias.map((shift, o) => {
    let sum = shift;
    for (let i = 0; i < row.length; i++) sum += weight[o * row.length + i] * row[i];
    return sum;
  });
}

function meanOf(rows: Rows): Float64Array {
  const mean = new Float64Array(rows[0].length);
  for (const row of rows) for (let i = 0; i < mean.length; i++) mean[i] += row[i] / rows.length;
  return mean;
}

/** The lower half of a symmetric matrix becomes L of L L'. */
function choleskyInPlace(a: Float64Array, size: number): void {
  for (let i = 0; i < size; i++)
    for (let j = 0; j <= i; j++) {
      let sum = a[i * size + j];
      for (let k = 0; k < j; k++) sum -= a[i * size + k] * a[j * size + k];
      a[i * size + j] = i === j ? Math.sqrt(sum) : sum / a[j * size + j];
    }
}

/** b becomes x of L L' x = b. */
function solveInPlace(lower: Float64Array, size: number, b: Float64Array): void {
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < i; k++) b[i] -= lower[i * size + k] * b[k];
    b[i] /= lower[i * size + i];
  }
  for (let i = size - 1; i >= 0; i--) {
    b[i] /= lower[i * size + i];
    for (let k = 0; k < i; k++) b[k] -= lower[i * size + k] * b[i];
  }
}
