/**
 * Triangles for solids: boxes, cylinders and other bodies of revolution, balls. Counter-clockwise from outside, with
 * normals, in linear colours a vertex, so one material serves a whole body.
 */
import type { Vec3 } from '@dwm/renderer';
import type { Primitive } from '@dwm/renderer/scene';
import { IN_PLACE, type Placement, placePoint } from './solid.ts';

export type Color = readonly [number, number, number];

export class MeshBuilder {
  readonly #positions: number[] = [];
  readonly #normals: number[] = [];
  readonly #colors: number[] = [];
  readonly #indices: number[] = [];

  primitive(material: number): Primitive {
    return {
      positions: Float32Array.from(this.#positions),
      normals: Float32Array.from(this.#normals),
      colors: Float32Array.from(this.#colors),
      influences: 0,
      indices: Uint32Array.from(this.#indices),
      material,
    };
  }

  /**
   * `color` may give the colour of a point of the surface, in the box's own frame: once for each of the squares that
   * faces are cut into, `cells` along the longest edge.
   */
  box(half: Vec3, color: Color | ((point: Vec3) => Color), at: Placement = IN_PLACE, cells = 1): this {
    const longest = Math.max(...half);
    const cuts = half.map((size) => Math.max(1, Math.round((cells * size) / longest)));
    for (let axis = 0; axis < 3; axis++)
      for (const side of [-1, 1]) {
        const [u, v] = [(axis + 1) % 3, (axis + 2) % 3];
        const corner = (a: number, b: number): Vec3 => {
          const point = [0, 0, 0];
          point[axis] = side * half[axis];
          point[u] = a * half[u] * side;
          point[v] = b * half[v];
          return point as unknown as Vec3;
        };
        const normal = [0, 0, 0];
        normal[axis] = side;
        this.#patch(corner, normal as unknown as Vec3, color, at, [cuts[u], cuts[v]]);
      }
    return this;
  }

  /** A rectangle facing `normal`, from `corner(-1, -1)` to `corner(1, 1)`, cut into cells[0] x cells[1]. */
  #patch(
    corner: (a: number, b: number) => Vec3,
    normal: Vec3,
    color: Color | ((point: Vec3) => Color),
    at: Placement,
    cells: readonly number[],
  ): void {
    for (let i = 0; i < cells[0]; i++)
      for (let j = 0; j < cells[1]; j++) {
        const [across, up] = cells.map((count) => (k: number) => -1 + (2 * k) / count);
        const middle = corner(across(i + 0.5), up(j + 0.5));
        const paint = typeof color === 'function' ? color(middle) : color;
        const first = this.#positions.length / 3;
        for (const [a, b] of [
          [i, j],
          [i + 1, j],
          [i + 1, j + 1],
          [i, j + 1],
        ])
          this.#vertex(corner(across(a), up(b)), normal, paint, at);
        this.#indices.push(first, first + 1, first + 2, first, first + 2, first + 3);
      }
  }

  /**
   * A profile of [radius, height] pairs turned about y, from bottom to top with the outside on the right of the way;
   * edges between segments are sharp.
   */
  lathe(
    profile: readonly (readonly [number, number])[],
    color: Color,
    at: Placement = IN_PLACE,
    sides = 18,
  ): this {
    for (let k = 0; k + 1 < profile.length; k++) {
      const [[r0, y0], [r1, y1]] = [profile[k], profile[k + 1]];
      const length = Math.hypot(r1 - r0, y1 - y0);
      if (length === 0) continue;
      const [nr, ny] = [(y1 - y0) / length, (r0 - r1) / length];
      const first = this.#positions.length / 3;
      for (let s = 0; s <= sides; s++) {
        const angle = (2 * Math.PI * s) / sides;
        const [c, d] = [Math.cos(angle), Math.sin(angle)];
        this.#vertex([r0 * c, y0, r0 * d], [nr * c, ny, nr * d], color, at);
        this.#vertex([r1 * c, y1, r1 * d], [nr * c, ny, nr * d], color, at);
      }
      for (let s = 0; s < sides; s++) {
        const [a, b, c, d] = [first + 2 * s, first + 2 * s + 1, first + 2 * s + 2, first + 2 * s + 3];
        this.#indices.push(a, b, c, c, b, d);
      }
    }
    return this;
  }

  cylinder(radius: number, halfHeight: number, color: Color, at: Placement = IN_PLACE): this {
    return this.lathe(
      [
        [0, -halfHeight],
        [radius, -halfHeight],
        [radius, halfHeight],
        [0, halfHeight],
      ],
      color,
      at,
    );
  }

  /** `stripe` colours the rings near the equator, so that rolling can be seen. */
  ball(radius: number, color: Color, at: Placement = IN_PLACE, stripe: Color = color): this {
    const [rings, sides] = [10, 16];
    const first = this.#positions.length / 3;
    for (let i = 0; i <= rings; i++)
      for (let s = 0; s <= sides; s++) {
        const [polar, angle] = [(Math.PI * i) / rings, (2 * Math.PI * s) / sides];
        const normal: Vec3 = [
          Math.sin(polar) * Math.cos(angle),
          -Math.cos(polar),
          Math.sin(polar) * Math.sin(angle),
        ];
        const point: Vec3 = [normal[0] * radius, normal[1] * radius, normal[2] * radius];
        this.#vertex(point, normal, Math.abs(normal[1]) < 0.25 ? stripe : color, at);
      }
    for (let i = 0; i < rings; i++)
      for (let s = 0; s < sides; s++) {
        const a = first + i * (sides + 1) + s;
        const b = a + sides + 1;
        this.#indices.push(a, b, a + 1, a + 1, b, b + 1);
      }
    return this;
  }

  #vertex(point: Vec3, normal: Vec3, color: Color, at: Placement): void {
    const turned = placePoint({ position: [0, 0, 0], rotation: at.rotation }, normal);
    this.#positions.push(...placePoint(at, point));
    this.#normals.push(...turned);
    this.#colors.push(...color, 1);
  }
}
