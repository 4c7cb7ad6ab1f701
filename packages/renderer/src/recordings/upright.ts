/**
 * Aria's and Quest's cameras lie on their side on the head. Data sets' own tools turn their pictures clockwise, and the
 * camera here is turned likewise.
 * @param matrix camera (OpenCV's axes) to world, [4, 4], row by row.
 */
export function upright(matrix: Float64Array): Float64Array {
  const turned = matrix.slice();
  for (let row = 0; row < 3; row++) {
    turned[4 * row] = -matrix[4 * row + 1];
    turned[4 * row + 1] = matrix[4 * row];
  }
  return turned;
}
