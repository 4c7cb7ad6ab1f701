/**
 * Morph targets with their weights: vertex = base + sum_k w_k target_k (glTF 2.0, 3.7.2.2), before any skin. The
 * weights of a node stand still, as nothing plays animations, so a morphed mesh is a mesh of its own.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { Primitive } from '../scene/scene.ts';
import { LIMITS } from './validate.ts';

/** What is added to a primitive's vertices at weight 1; every array is as wide as the primitive's own. */
export interface MorphTarget {
  readonly positions?: Float32Array;
  readonly normals?: Float32Array;
  /** [vertices, 3]: the sign of the bitangent does not move. */
  readonly tangents?: Float32Array;
  readonly uvs?: Float32Array;
  readonly colors?: Float32Array;
}

interface MorphMesh {
  readonly name: string;
  readonly primitives: readonly Primitive[];
  /** One list a primitive. */
  readonly targets: readonly (readonly MorphTarget[])[];
}

type Mesh = Pick<MorphMesh, 'name' | 'primitives'>;

/** Meshes as their nodes show them, each pair of mesh and weights once. */
export class MorphedMeshes {
  /** The file's own meshes, then the morphed ones. */
  readonly list: Mesh[];
  readonly #file: string;
  readonly #sources: readonly MorphMesh[];
  readonly #known = new Map<string, number>();
  #numbers = 0;

  constructor(file: string, sources: readonly MorphMesh[]) {
    this.#file = file;
    this.#sources = sources;
    this.list = sources.map(({ name, primitives }) => ({ name, primitives }));
  }

  /**
   * Index in `list`. @param weights one a target.
   * @throws InvalidFileError when all of them together go beyond `LIMITS`.
   */
  indexOf(mesh: number, weights: readonly number[]): number {
    if (!weights.some((weight) => weight !== 0)) return mesh;
    const key = `${mesh} ${weights.join()}`;
    let index = this.#known.get(key);
    if (index === undefined) {
      const { name, primitives, targets } = this.#sources[mesh];
      const active = 1 + weights.filter((weight) => weight !== 0).length;
      for (const { positions } of primitives) this.#numbers += positions.length * active;
      if (this.#numbers > LIMITS.numbers) {
        throw new InvalidFileError(
          this.#file,
          `meshes: morphed ones hold more than ${LIMITS.numbers} numbers; apply the shapes before exporting`,
        );
      }
      const morphed = primitives.map((primitive, p) => morph(primitive, targets[p], weights));
      index = this.list.push({ name, primitives: morphed }) - 1;
      this.#known.set(key, index);
    }
    return index;
  }
}

/** @param targets at least as many as `weights`, or none. */
function morph(primitive: Primitive, targets: readonly MorphTarget[], weights: readonly number[]): Primitive {
  if (targets.length === 0) return primitive;
  const sum = (field: keyof MorphTarget, width: number, limit?: number): Float32Array | undefined => {
    const base = primitive[field];
    if (!base) return undefined;
    // Sums in float64: many small shapes on a large coordinate would each be rounded.
    const out = Float64Array.from(base);
    const vertices = primitive.positions.length / 3;
    const stride = base.length / vertices;
    targets.forEach((target, t) => {
      const [deltas, weight] = [target[field], weights[t]];
      if (!deltas || !weight) return;
      for (let v = 0; v < vertices; v++) {
        for (let c = 0; c < width; c++) out[v * stride + c] += weight * deltas[v * width + c];
      }
    });
    return Float32Array.from(out, (value) =>
      limit === undefined ? value : Math.min(limit, Math.max(0, value)),
    );
  };
  return {
    ...primitive,
    positions: sum('positions', 3)!,
    normals: sum('normals', 3),
    tangents: sum('tangents', 3),
    uvs: sum('uvs', 4),
    colors: sum('colors', 4, 1),
  };
}
