/**
 * A user's own thing, from a glTF scene: its meshes baked into one, standing on the origin with the longer horizontal
 * side along x. Physics takes it as its box, or as a cylinder where it is round.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { rotations, type Vec3 } from '@dwm/renderer';
import {
  drawnNodes,
  type Matrix,
  matrices,
  type Primitive,
  type Scene,
  worldMatrices,
} from '@dwm/renderer/scene';
import type { Action } from '../types.ts';

const { cofactors, compose, determinant, multiply, normalize, transformPoint } = matrices;

/** A thing that rooms are furnished with. */
export interface Part extends Pick<Scene, 'materials' | 'images'> {
  /** File name. */
  readonly name: string;
  /** What captions call it. */
  readonly words: string;
  /** Metres. */
  readonly half: Vec3;
  readonly round: boolean;
  readonly primitives: readonly Primitive[];
}

/** Metres along a side: what hands can move and tables hold. */
const [LEAST, MOST] = [0.015, 0.25];
/** Of all that is drawn; more slows every frame down. */
const MOST_TRIANGLES = 50_000;

/**
 * @param scene its name is the one in messages. @param name the file's.
 * @throws InvalidFileError, in one line, where nothing is drawn, or it is too large, too small, or on bones.
 */
export function partOf(scene: Scene, name: string): Part {
  const fail = (field: string, problem: string): never => {
    throw new InvalidFileError(scene.name, `${field}: ${problem}`);
  };
  if (scene.skins.length > 0)
    fail('skins', `has ${scene.skins.length}, expected none; export it without bones`);
  const worlds = worldMatrices(scene);
  const drawn = drawnNodes(scene).flatMap((node) => {
    const { mesh } = scene.nodes[node];
    const primitives = mesh < 0 ? [] : scene.meshes[mesh].primitives;
    return primitives
      .filter(({ indices }) => indices.length > 0)
      .map((primitive) => ({ primitive, world: worlds[node] }));
  });
  const triangles = drawn.reduce((sum, { primitive }) => sum + primitive.indices.length / 3, 0);
  if (triangles === 0) fail('meshes', 'has no triangles, expected a mesh; export it with one');
  if (triangles > MOST_TRIANGLES)
    fail('meshes', `has ${triangles} triangles, expected at most ${MOST_TRIANGLES}; simplify it`);

  const measured = boundsOf(drawn.map(({ primitive, world }) => baked(primitive, world)));
  const sides = measured.map(([low, high]) => high - low);
  if (sides.some((side) => !(side >= LEAST && side <= MOST)))
    fail(
      'size',
      `is ${sides.map((side) => side.toPrecision(3)).join(' x ')} m, expected ${LEAST} to ${MOST} m a side; scale it`,
    );
  const [x, y, z] = measured;
  const centred = compose([-(x[0] + x[1]) / 2, -y[0], -(z[0] + z[1]) / 2], [0, 0, 0, 1]);
  const turn = compose([0, 0, 0], rotations.fromAxisAngle([0, sides[2] > sides[0] ? Math.PI / 2 : 0, 0]));
  const place = multiply(turn, centred);
  const primitives = drawn.map(({ primitive, world }) => baked(primitive, multiply(place, world)));
  const [wide, high, deep] = boundsOf(primitives).map(([low, top]) => (top - low) / 2);
  return {
    name,
    words: name.replace(/\.glb$/i, '').replaceAll(/[-_\s]+/g, ' '),
    half: [wide, high, deep],
    round: deep > 0.9 * wide && furthest(primitives) < 1.1 * wide,
    primitives,
    materials: scene.materials,
    images: scene.images,
  };
}

/** Whether one hand gets around it, or across its narrow side. */
export const fitsOneHand = ({ half, round }: Part): boolean => (round ? half[0] <= 0.045 : half[2] <= 0.038);

/** Whether an action can be done to it: what is flat is not picked up, and only what is tall topples. */
export function suits(part: Part, action: Action): boolean {
  const [wide, high] = part.half;
  if (action === 'topple') return high > 0.055 && high > 1.75 * wide;
  return action === 'push-object' || high > (fitsOneHand(part) ? 0.02 : 0.04);
}

/** Without what skins and tangents say: parts have no bones, and the shader finds tangents itself. */
function baked({ positions, normals, uvs, colors, indices, material }: Primitive, world: Matrix): Primitive {
  const mirrored = determinant(world) < 0;
  const c = cofactors(world).map((value) => (mirrored ? -value : value));
  return {
    positions: eachVector(positions, (p) => transformPoint(world, p)),
    ...(normals && {
      normals: eachVector(normals, (n) =>
        normalize([0, 3, 6].map((row) => c[row] * n[0] + c[row + 1] * n[1] + c[row + 2] * n[2])),
      ),
    }),
    ...(uvs && { uvs }),
    ...(colors && { colors }),
    influences: 0,
    indices: mirrored ? indices.map((_, i) => indices[i - (i % 3) + ((3 - (i % 3)) % 3)]) : indices,
    material,
  };
}

function eachVector(vectors: Float32Array, change: (v: Float32Array) => readonly number[]): Float32Array {
  const changed = new Float32Array(vectors.length);
  for (let i = 0; i < vectors.length; i += 3) changed.set(change(vectors.subarray(i, i + 3)), i);
  return changed;
}

/** Lowest and highest x, y and z. */
function boundsOf(primitives: readonly Primitive[]): [number, number][] {
  const bounds = [0, 1, 2].map((): [number, number] => [Infinity, -Infinity]);
  for (const { positions } of primitives)
    for (let i = 0; i < positions.length; i++) {
      const bound = bounds[i % 3];
      if (positions[i] < bound[0]) bound[0] = positions[i];
      if (positions[i] > bound[1]) bound[1] = positions[i];
    }
  return bounds;
}

/** From the vertical through the origin. */
function furthest(primitives: readonly Primitive[]): number {
  let most = 0;
  for (const { positions } of primitives)
    for (let i = 0; i < positions.length; i += 3)
      most = Math.max(most, Math.hypot(positions[i], positions[i + 2]));
  return most;
}
