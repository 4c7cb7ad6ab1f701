/** Lists of triangles from strips, fans and vertices without indices. */

const TRIANGLES = 4;
const STRIP = 5;
const FAN = 6;

/**
 * Corners of a primitive's triangles, counter-clockwise as in the file; every odd one of a strip has its first
 * two corners swapped. An incomplete last triangle is dropped. Points and lines (modes 0 to 3) have none.
 */
export function triangleList(
  mode: number,
  indices: ArrayLike<number> | undefined,
  vertices: number,
): Uint32Array {
  const corner = indices ? (i: number) => indices[i] : (i: number) => i;
  const corners = indices?.length ?? vertices;
  if (mode === TRIANGLES) {
    return Uint32Array.from({ length: corners - (corners % 3) }, (_, i) => corner(i));
  }
  if (mode !== STRIP && mode !== FAN) return new Uint32Array();
  const list = new Uint32Array(Math.max(0, corners - 2) * 3);
  for (let t = 0; t + 2 < corners; t++) {
    const swap = mode === STRIP && t % 2 === 1;
    list[t * 3] = corner(mode === FAN ? 0 : swap ? t + 1 : t);
    list[t * 3 + 1] = corner(swap ? t : t + 1);
    list[t * 3 + 2] = corner(t + 2);
  }
  return list;
}
