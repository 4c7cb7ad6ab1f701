/** Softmax of rows of `columns` values in float64. */
export function softmaxReference(x: ArrayLike<number>, columns: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += columns) {
    let largest = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < columns; c++) largest = Math.max(largest, x[at + c]);
    let sum = 0;
    for (let c = 0; c < columns; c++) {
      out[at + c] = Math.exp(x[at + c] - largest);
      sum += out[at + c];
    }
    for (let c = 0; c < columns; c++) out[at + c] /= sum;
  }
  return out;
}

/** Gradient of the input of `softmaxReference` for the gradient `g` of its result `y`. */
export function softmaxBackwardReference(
  y: ArrayLike<number>,
  g: ArrayLike<number>,
  columns: number,
): Float64Array {
  const dx = new Float64Array(y.length);
  for (let at = 0; at < y.length; at += columns) {
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += y[at + c] * g[at + c];
    for (let c = 0; c < columns; c++) dx[at + c] = y[at + c] * (g[at + c] - sum);
  }
  return dx;
}
