/** Concatenation of host arrays along one dimension. */
export function concatReference(
  tensors: readonly { shape: readonly number[]; data: ArrayLike<number> }[],
  dim: number,
): number[] {
  const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);
  const rows = product(tensors[0].shape.slice(0, dim));
  const out: number[] = [];
  for (let r = 0; r < rows; r++) {
    for (const { shape, data } of tensors) {
      const width = product(shape.slice(dim));
      for (let j = 0; j < width; j++) out.push(data[r * width + j]);
    }
  }
  return out;
}
