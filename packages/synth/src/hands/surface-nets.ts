/**
 * Naive surface nets (Gibson, "Constrained Elastic Surface Nets", 1998): one vertex in every grid cell that the
 * surface passes, one quad across every grid edge whose ends lie on different sides. Vertices are then moved onto
 * the surface along the field's gradient, so curvature is the field's and not the grid's.
 */
type Field = (x: number, y: number, z: number) => number;

export interface Surface {
  /** [vertices, 3]. */
  readonly positions: Float32Array;
  /** [vertices, 3], outwards, length one. */
  readonly normals: Float32Array;
  /** [triangles, 3], counterclockwise from outside. */
  readonly indices: Uint32Array;
}

const STEP = 2e-4;

export function gradient(field: Field, x: number, y: number, z: number): [number, number, number] {
  const g = [
    field(x + STEP, y, z) - field(x - STEP, y, z),
    field(x, y + STEP, z) - field(x, y - STEP, z),
    field(x, y, z + STEP) - field(x, y, z - STEP),
  ];
  const length = Math.hypot(...g) || 1;
  return [g[0] / length, g[1] / length, g[2] / length];
}

/**
 * The surface where `field`, a distance (negative inside), is zero.
 * @param min, max corners of a box that holds it with room to spare. @param cell edge of a grid cell.
 */
export function surfaceNets(
  field: Field,
  min: readonly number[],
  max: readonly number[],
  cell: number,
): Surface {
  const size = min.map((low, axis) => Math.ceil((max[axis] - low) / cell) + 2);
  const stride = [1, size[0], size[0] * size[1]];
  const values = new Float64Array(size[0] * size[1] * size[2]);
  for (let k = 0, at = 0; k < size[2]; k++)
    for (let j = 0; j < size[1]; j++)
      for (let i = 0; i < size[0]; i++, at++)
        values[at] = field(min[0] + i * cell, min[1] + j * cell, min[2] + k * cell);

  const vertexOf = new Int32Array(values.length).fill(-1);
  const positions: number[] = [];
  const corners = Array.from({ length: 8 }, (_, c) => [c & 1, (c >> 1) & 1, c >> 2]);
  for (let k = 0; k + 1 < size[2]; k++)
    for (let j = 0; j + 1 < size[1]; j++)
      for (let i = 0; i + 1 < size[0]; i++) {
        const at = i + j * stride[1] + k * stride[2];
        const sum = [0, 0, 0];
        let crossings = 0;
        for (let a = 0; a < 8; a++)
          for (let axis = 0; axis < 3; axis++) {
            if (corners[a][axis] === 1) continue;
            const b = a | (1 << axis);
            const va = values[at + corners[a][0] + corners[a][1] * stride[1] + corners[a][2] * stride[2]];
            const vb = values[at + corners[b][0] + corners[b][1] * stride[1] + corners[b][2] * stride[2]];
            if (va < 0 === vb < 0) continue;
            const t = va / (va - vb);
            for (let d = 0; d < 3; d++) sum[d] += corners[a][d] + t * (corners[b][d] - corners[a][d]);
            crossings++;
          }
        if (crossings === 0) continue;
        vertexOf[at] = positions.length / 3;
        const cellAt = [i, j, k];
        let p = cellAt.map((low, d) => min[d] + (low + sum[d] / crossings) * cell);
        for (let step = 0; step < 4; step++) {
          const d = field(p[0], p[1], p[2]);
          const g = gradient(field, p[0], p[1], p[2]);
          p = p.map((value, axis) => value - d * g[axis]);
        }
        positions.push(...p);
      }

  const indices: number[] = [];
  for (let k = 1; k + 1 < size[2]; k++)
    for (let j = 1; j + 1 < size[1]; j++)
      for (let i = 1; i + 1 < size[0]; i++) {
        const at = i + j * stride[1] + k * stride[2];
        for (let axis = 0; axis < 3; axis++) {
          const inside = values[at] < 0;
          if (inside === values[at + stride[axis]] < 0) continue;
          const [u, v] = [stride[(axis + 1) % 3], stride[(axis + 2) % 3]];
          const [a, b, c, d] = [at, at - u, at - u - v, at - v].map((index) => vertexOf[index]);
          indices.push(...(inside ? [a, b, c, a, c, d] : [a, c, b, a, d, c]));
        }
      }

  const normals = new Float32Array(positions.length);
  for (let v = 0; v < positions.length; v += 3)
    normals.set(gradient(field, positions[v], positions[v + 1], positions[v + 2]), v);
  return { positions: Float32Array.from(positions), normals, indices: Uint32Array.from(indices) };
}
