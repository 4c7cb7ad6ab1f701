/**
 * Whether a scene and a camera path belong together, from geometry alone: before anything is drawn there may be a line about which way is up,
 * how large a unit is, and cameras inside of something. Points are taken evenly by area from meshes, and from splats that can be seen.
 */
import { cross, direction, dot, length, rotate, subtract, type Vec3 } from '../camera/rotation.ts';
import { compose, identity, type Matrix, multiply, transformPoint } from '../scene/matrix.ts';
import type { Scene } from '../scene/scene.ts';
import type { SplatCloud } from '../splats/cloud.ts';
import type { Trajectory } from '../trajectory/types.ts';
import { uprightTurn } from './place-scene.ts';
import type { SceneParts } from './static-scene.ts';

interface Surfel {
  readonly place: Vec3;
  /** Which side is out does not matter; a round splat has none. */
  readonly normal?: Vec3;
}

/** An axis and its sign. */
export type SignedAxis = 'x' | 'y' | 'z' | '-x' | '-y' | '-z';

/** Unit vectors of the signed axes. */
export const AXES: Readonly<Record<SignedAxis, Vec3>> = {
  x: [1, 0, 0],
  y: [0, 1, 0],
  z: [0, 0, 1],
  '-x': [-1, 0, 0],
  '-y': [0, -1, 0],
  '-z': [0, 0, -1],
};
const NAMES = Object.keys(AXES) as SignedAxis[];

const POINTS = 6000;
/** A surface this near to level, cos 25 degrees, may be floor. */
const LEVEL = 0.9;
/** A floor holds this share of all surface in the lowest tenth of the scene … */
const FLOOR = 0.15;
/** … and this many times what any other side of the scene has. */
const CLEARLY = 1.5;

/** What cameras tell about a scene's placement. */
export interface SceneGuess {
  /** The value of `up` with which the scene's floor is level under the cameras. */
  readonly up?: SignedAxis;
  /** Metres a unit, where the scene's extent is that of no place or thing. */
  readonly scale?: number;
  /** Of the middle 96% of the scene along its longest axis, in its own unit. */
  readonly extent: number;
}

/** What seems wrong with how the scene lies. */
export function guessPlacement(parts: SceneParts, trajectory: Trajectory): SceneGuess {
  const points = surfels(parts);
  const extent = Math.max(...[0, 1, 2].map((axis) => spread(points.map(({ place }) => place[axis]))));
  const floorUp = floorOf(points);
  return { extent, up: floorUp && turnFor(floorUp, trajectory), scale: likelyScale(extent) };
}

/** Hundreds of metres are centimetres or millimetres of a room, a few centimetres no scene at all. */
function likelyScale(extent: number): number | undefined {
  if (extent > 150) return extent > 2500 ? 0.001 : 0.01;
  return extent > 0 && extent < 0.05 ? 100 : undefined;
}

/** The direction in which the scene's largest flat side is its lowest. */
function floorOf(points: readonly Surfel[]): Vec3 | undefined {
  const shares = NAMES.map((name) => {
    const up = AXES[name];
    const heights = points.map(({ place }) => dot(place, up)).sort((a, b) => a - b);
    const [low, high] = [
      heights[Math.floor(0.01 * heights.length)],
      heights[Math.floor(0.99 * heights.length)],
    ];
    const limit = low + 0.1 * (high - low);
    const level = points.filter(
      ({ place, normal }) => (!normal || Math.abs(dot(normal, up)) > LEVEL) && dot(place, up) <= limit,
    );
    return { up, share: level.length / Math.max(1, points.length) };
  }).sort((a, b) => b.share - a.share);
  const [best, second] = shares;
  return best.share >= FLOOR && best.share >= CLEARLY * second.share ? best.up : undefined;
}

/** Which `up` makes the floor level to the cameras; `undefined` where it is already, or the cameras do not say. */
function turnFor(floorUp: Vec3, trajectory: Trajectory): SignedAxis | undefined {
  const worldUps = NAMES.map((name) => ({ up: AXES[name], top: uprightness(AXES[name], trajectory) }))
    .filter(({ top }) => top > 0.25)
    .sort((a, b) => b.top - a.top);
  // Cameras that look down may take several ways for up: +y where that is one of them.
  const y = worldUps.find(({ up }) => up === AXES.y);
  const floor = worldUps.find(({ up }) => up === floorUp);
  if (floor && (!y || floor.top >= y.top || floor === y)) return undefined;
  const world = y ?? worldUps[0];
  return world && NAMES.find((name) => dot(rotate(uprightTurn(AXES[name]), floorUp), world.up) > 0.99);
}

/** Cameras are held upright: their right is level and their top is up, however much they look down. At most 1. */
function uprightness(up: Vec3, { frames }: Trajectory): number {
  let [top, side] = [0, 0];
  for (const { camera } of frames) {
    const m = camera.matrix;
    side += Math.abs(dot([m[0], m[4], m[8]], up)) / frames.length;
    top += dot([m[1], m[5], m[9]], up) / frames.length;
  }
  return side < 0.5 ? top : 0;
}

/** From the 2nd to the 98th percentile: splat clouds have strays. */
function spread(values: number[]): number {
  if (values.length === 0) return 0;
  values.sort((a, b) => a - b);
  return values[Math.floor(0.98 * (values.length - 1))] - values[Math.ceil(0.02 * (values.length - 1))];
}

function surfels({ meshes, splats }: SceneParts): Surfel[] {
  return [...(meshes ? meshSurfels(meshes) : []), ...(splats ? splatSurfels(splats) : [])];
}

function splatSurfels({ count, positions, scales, rotations, opacities }: SplatCloud): Surfel[] {
  const every = Math.max(1, Math.ceil(count / POINTS));
  const found: Surfel[] = [];
  for (let i = 0; i < count; i += every) {
    if (opacities[i] < 0.2) continue;
    // The thinnest axis of a splat is its normal.
    const sizes = [0, 1, 2].map((axis) => scales[3 * i + axis]);
    const thin = sizes.indexOf(Math.min(...sizes));
    const isRound = sizes.filter((size) => size < 2 * sizes[thin]).length === 3;
    const axis: Vec3 = [Number(thin === 0), Number(thin === 1), Number(thin === 2)];
    const [w, x, y, z] = rotations.subarray(4 * i, 4 * i + 4);
    found.push({
      place: [positions[3 * i], positions[3 * i + 1], positions[3 * i + 2]],
      normal: isRound ? undefined : rotate([x, y, z, w], axis),
    });
  }
  return found;
}

interface Triangle {
  readonly corners: readonly [Vec3, Vec3, Vec3];
  /** Right-handed, of any length: twice the area. */
  readonly normal: Vec3;
  readonly doubleSided: boolean;
}

function meshSurfels(scene: Scene): Surfel[] {
  const corners = scene.meshes.flatMap(({ primitives }) => primitives.map(({ indices }) => indices.length));
  const every = Math.ceil(corners.reduce((sum, count) => sum + count, 0) / 3 / MOST_TRIANGLES);
  let area = 0;
  for (const { normal } of triangles(scene, every)) area += length(normal);
  const found: Surfel[] = [];
  let [passed, next] = [0, 0.5];
  for (const { corners, normal } of triangles(scene, every)) {
    const size = length(normal);
    const unitNormal = direction(normal);
    const until = passed + size;
    while (unitNormal && (next * area) / POINTS < until) {
      // A sequence of low discrepancy over the triangle.
      const [u, v] = [(next * 0.7548776662466927) % 1, (next * 0.5698402909980532) % 1];
      const [a, b] = u + v > 1 ? [1 - u, 1 - v] : [u, v];
      const place = [0, 1, 2].map(
        (k) => corners[0][k] + a * (corners[1][k] - corners[0][k]) + b * (corners[2][k] - corners[0][k]),
      );
      found.push({ place: place as unknown as Vec3, normal: unitNormal });
      next++;
    }
    passed = until;
  }
  return found;
}

/** Triangles in world space, all or every so many. Skins are as they were modelled. */
function* triangles({ nodes, roots, meshes, materials }: Scene, every = 1): Generator<Triangle> {
  const children = new Map<number, number[]>();
  nodes.forEach(({ parent }, i) => {
    if (parent >= 0) children.set(parent, [...(children.get(parent) ?? []), i]);
  });
  const open: [node: number, world: Matrix][] = roots.map((root) => [root, identity()]);
  while (open.length > 0) {
    const [index, above] = open.pop()!;
    const node = nodes[index];
    if (node.hidden) continue;
    const world = multiply(above, node.matrix ?? compose(node.translation, node.rotation, node.scale));
    for (const child of children.get(index) ?? []) open.push([child, world]);
    for (const { positions, indices, material } of meshes[node.mesh]?.primitives ?? []) {
      const at = (vertex: number) => transformPoint(world, positions.subarray(3 * vertex, 3 * vertex + 3));
      for (let i = 0; i + 2 < indices.length; i += 3 * Math.max(1, every)) {
        const corners = [at(indices[i]), at(indices[i + 1]), at(indices[i + 2])] as const;
        const normal = cross(subtract(corners[1], corners[0]), subtract(corners[2], corners[0]));
        yield { corners, normal, doubleSided: materials[material]?.doubleSided ?? false };
      }
    }
  }
}

/** Of more triangles every so many are looked at, and walls around a camera are not looked for. */
const MOST_TRIANGLES = 500_000;
/** Backs farther away are a room modelled inside out. */
const NEAR_BACKS = 1;

/**
 * Median distance of what surrounds the camera of a frame, in metres, where all it sees are the backs of faces nearby: it
 * is inside of a solid.
 */
export function insideSolid(
  { meshes }: SceneParts,
  { frames }: Trajectory,
  frame: number,
): number | undefined {
  if (!meshes) return undefined;
  const { camera, intrinsics } = frames[frame];
  const m = camera.matrix;
  const origin: Vec3 = [m[3], m[7], m[11]];
  const { fx, fy, cx, cy, width, height } = intrinsics;
  // Three by three rays over the picture.
  const rays = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((i): Vec3 => {
    const x = (width * (1 + 2 * (i % 3))) / 6;
    const y = (height * (1 + 2 * Math.floor(i / 3))) / 6;
    const [a, b] = [(x - cx) / fx, (cy - y) / fy];
    return [a * m[0] + b * m[1] - m[2], a * m[4] + b * m[5] - m[6], a * m[8] + b * m[9] - m[10]];
  });
  const nearest = rays.map(() => ({ distance: Number.POSITIVE_INFINITY, back: false }));
  let seen = 0;
  for (const triangle of triangles(meshes)) {
    if (++seen > MOST_TRIANGLES) return undefined;
    rays.forEach((ray, i) => {
      const distance = hit(origin, ray, triangle);
      if (distance === undefined || distance >= nearest[i].distance) return;
      nearest[i] = { distance, back: !triangle.doubleSided && dot(ray, triangle.normal) > 0 };
    });
  }
  if (nearest.some(({ back }) => !back)) return undefined;
  const distances = nearest.map(({ distance }, i) => distance * length(rays[i])).sort((a, b) => a - b);
  return distances[4] < NEAR_BACKS ? distances[4] : undefined;
}

/** How many times `ray` it is to the triangle (Möller and Trumbore, 1997). */
function hit(origin: Vec3, ray: Vec3, { corners: [a, b, c] }: Triangle): number | undefined {
  const [ab, ac] = [subtract(b, a), subtract(c, a)];
  const p = cross(ray, ac);
  const det = dot(ab, p);
  if (det === 0) return undefined;
  const t = subtract(origin, a);
  const u = dot(t, p) / det;
  if (u < 0 || u > 1) return undefined;
  const q = cross(t, ab);
  const v = dot(ray, q) / det;
  if (v < 0 || u + v > 1) return undefined;
  const distance = dot(ac, q) / det;
  return distance > 0 ? distance : undefined;
}
