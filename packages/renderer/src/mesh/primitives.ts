/** Triangles and their morph targets from decoded accessors. */
import { InvalidFileError } from '@dwm/core-tensor';
import type { Accessor, Primitive as GltfPrimitive } from '@gltf-transform/core';
import type { Primitive } from '../scene/scene.ts';
import type { AccessorReader } from './accessors.ts';
import type { MorphTarget } from './morph.ts';
import { triangleList } from './triangles.ts';

type Floats = (semantic: string, width: number) => Float32Array | undefined;
interface Attributes {
  getAttribute(semantic: string): Accessor | null;
}

interface ReadPrimitive {
  readonly primitive: Primitive;
  readonly targets: readonly MorphTarget[];
}

/** @param where the primitive's place in the file, for errors. */
export function readPrimitive(
  accessors: AccessorReader,
  source: GltfPrimitive,
  material: number,
  { file, where }: { file: string; where: string },
): ReadPrimitive {
  const fail = (problem: string): never => {
    throw new InvalidFileError(file, `${where}${problem}`);
  };
  const position = source.getAttribute('POSITION');
  // The specification has such primitives drawn by extensions only.
  if (!position) return { primitive: emptyPrimitive(material), targets: [] };
  const positions = accessors.floats(position, 3, `${where}.POSITION`);
  const vertices = positions.length / 3;
  const reader = (holder: Attributes, place: string): Floats => {
    return (semantic, width) => {
      const accessor = holder.getAttribute(semantic);
      if (!accessor) return undefined;
      const values = accessors.floats(accessor, width, `${where}${place}.${semantic}`);
      if (values.length !== vertices * width) {
        fail(`${place}.${semantic}: has ${values.length / width} entries, POSITION has ${vertices}`);
      }
      return values;
    };
  };
  const uvs = (floats: Floats) => {
    const sets = [floats('TEXCOORD_0', 2), floats('TEXCOORD_1', 2)];
    return sets[0] || sets[1] ? pairs(sets, vertices) : undefined;
  };
  const colors = (floats: Floats, holder: Attributes, alpha: number) => {
    const values = floats('COLOR_0', holder.getAttribute('COLOR_0')?.getElementSize() === 4 ? 4 : 3);
    return values && withAlpha(values, vertices, alpha);
  };

  const indexAccessor = source.getIndices();
  const corners = indexAccessor ? accessors.integers(indexAccessor, 1, `${where}.indices`) : undefined;
  const indices = triangleList(source.getMode(), corners, vertices);
  const wrong = indices.findIndex((index) => index >= vertices);
  if (wrong >= 0) fail(`.indices: refer to vertex ${indices[wrong]}, there are ${vertices}`);

  const floats = reader(source, '');
  const normals = floats('NORMAL', 3);
  return {
    primitive: {
      positions,
      normals,
      // Without normals the triangles are flat, and the specification has tangents left out.
      tangents: normals && floats('TANGENT', 4),
      uvs: uvs(floats),
      colors: colors(floats, source, 1),
      ...readInfluences(accessors, source, vertices, where, floats, fail),
      indices,
      material,
    },
    targets: source.listTargets().map((target, t): MorphTarget => {
      const deltas = reader(target, `.targets[${t}]`);
      return {
        positions: deltas('POSITION', 3),
        normals: deltas('NORMAL', 3),
        tangents: deltas('TANGENT', 3),
        uvs: uvs(deltas),
        colors: colors(deltas, target, 0),
      };
    }),
  };
}

function emptyPrimitive(material: number): Primitive {
  return { positions: new Float32Array(), influences: 0, indices: new Uint32Array(), material };
}

/** All sets of JOINTS_n and WEIGHTS_n side by side. */
function readInfluences(
  accessors: AccessorReader,
  primitive: GltfPrimitive,
  vertices: number,
  where: string,
  floats: Floats,
  fail: (problem: string) => never,
): Pick<Primitive, 'joints' | 'weights' | 'influences'> {
  let sets = 0;
  while (primitive.getAttribute(`JOINTS_${sets}`)) sets++;
  if (sets === 0) return { influences: 0 };
  const influences = 4 * sets;
  const joints = new Uint32Array(vertices * influences);
  const weights = new Float32Array(vertices * influences);
  for (let set = 0; set < sets; set++) {
    const at = accessors.integers(primitive.getAttribute(`JOINTS_${set}`)!, 4, `${where}.JOINTS_${set}`);
    const by = floats(`WEIGHTS_${set}`, 4) ?? fail(`.WEIGHTS_${set}: missing beside JOINTS_${set}`);
    if (at.length !== vertices * 4)
      fail(`.JOINTS_${set}: has ${at.length / 4} entries, POSITION has ${vertices}`);
    for (let i = 0; i < at.length; i++) {
      const out = Math.floor(i / 4) * influences + set * 4 + (i % 4);
      joints[out] = at[i];
      weights[out] = by[i];
    }
  }
  return { joints, weights, influences };
}

function pairs([first, second]: (Float32Array | undefined)[], vertices: number): Float32Array {
  const out = new Float32Array(vertices * 4);
  for (let v = 0; v < vertices; v++) {
    if (first) out.set(first.subarray(v * 2, v * 2 + 2), v * 4);
    if (second) out.set(second.subarray(v * 2, v * 2 + 2), v * 4 + 2);
  }
  return out;
}

function withAlpha(colors: Float32Array, vertices: number, alpha: number): Float32Array {
  if (colors.length === vertices * 4) return colors;
  const out = new Float32Array(vertices * 4).fill(alpha);
  for (let v = 0; v < vertices; v++) out.set(colors.subarray(v * 3, v * 3 + 3), v * 4);
  return out;
}
