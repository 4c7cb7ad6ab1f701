/**
 * From Gaussians in space to Gaussians in the image (elliptical weighted averaging: Zwicker et al. 2001, as 3D
 * Gaussian Splatting does it). With M = J W R S, the splat's axes carried through the projection linearised at its
 * centre, the image covariance is M M^T + 0.3 I. Its determinant is taken as |m0 x m1|^2 + 0.3 trace(M M^T) + 0.09,
 * which unlike a c - b^2 cannot cancel to nothing for long thin splats.
 *
 * Also found here: the colour seen from this camera, the depth as sort key, and the rectangle of tiles in which the
 * splat reaches 1/255, the least that is drawn.
 */
import { inverted, withAxes } from '../camera/pose.ts';
import type { View } from '../gpu/view.ts';
import type { ShDegree } from './cloud.ts';
import { WORKGROUP_BUILTINS, WORKGROUP_NUMBER } from './compute.ts';
import { harmonicsWgsl } from './harmonics.ts';

export const PROJECT_THREADS = 64;

/** Bytes of `Projected`, which the tile kernels read. */
export const PROJECTED_BYTES = 48;
export const PROJECTED_WGSL = /* wgsl */ `
struct Projected {
  // centre in pixels
  x: f32, y: f32,
  // inverse of the image covariance: a b over b c
  a: f32, b: f32, c: f32,
  logOpacity: f32,
  red: f32, green: f32, blue: f32,
  // along the viewing axis
  z: f32,
  // tiles [x0, x1) and [y0, y1), the end in the upper half
  columns: u32, rows: u32,
}`;

/** Splats nearer than this are dropped, in the scene's unit, as in the INRIA code. */
const DEFAULT_SPLAT_NEAR = 0.2;

/** Least opacity drawn. */
const MIN_ALPHA = 1 / 255;

export const projectShader = (degree: ShDegree, tile: number) => /* wgsl */ `
struct Frame {
  // rows of world to camera: right, down, forward
  rows: array<vec4f, 3>,
  eye: vec3f,
  near: f32,
  focal: vec2f,
  center: vec2f,
  size: vec2f,
  // the Jacobian is taken no further off the axis than this tangent
  limit: vec2f,
  tiles: vec2u,
  first: u32,
  count: u32,
  // 1 to make up in opacity for what the 0.3 adds in area
  compensate: u32,
}
struct Shape {
  position: vec3f,
  opacity: f32,
  // w x y z
  rotation: vec4f,
  scale: vec3f,
}
${PROJECTED_WGSL}
@group(0) @binding(0) var<uniform> frame: Frame;
@group(0) @binding(1) var<storage, read> shapes: array<Shape>;
@group(0) @binding(2) var<storage, read> sh: array<f32>;
@group(0) @binding(3) var<storage, read_write> projected: array<Projected>;
@group(0) @binding(4) var<storage, read_write> keys: array<u32>;
@group(0) @binding(5) var<storage, read_write> order: array<u32>;
${harmonicsWgsl(degree)}

// Half-open range of tiles whose pixel centres may lie within \`reach\` of \`center\`, packed.
fn tileRange(center: f32, reach: f32, size: f32, tiles: u32) -> u32 {
  let first = clamp(ceil(center - reach - 0.5), 0, size);
  let last = clamp(floor(center + reach - 0.5), -1, size - 1);
  if (!(last >= first)) { return 0; }
  let end = min(u32(last) / ${tile} + 1, tiles);
  return (u32(first) / ${tile}) | (end << 16);
}

@compute @workgroup_size(${PROJECT_THREADS}) fn main(${WORKGROUP_BUILTINS}) {
  let i = (${WORKGROUP_NUMBER}) * ${PROJECT_THREADS} + local;
  if (i >= frame.count) { return; }
  let splat = frame.first + i;
  order[splat] = splat;
  keys[splat] = 0xffffffff;
  var out: Projected;
  let shape = shapes[i];
  let p = vec4f(shape.position, 1);
  let t = vec3f(dot(frame.rows[0], p), dot(frame.rows[1], p), dot(frame.rows[2], p));
  if (!(t.z > frame.near)) {
    projected[splat] = out;
    return;
  }
  let tangent = clamp(t.xy / t.z, -frame.limit, frame.limit);
  let jx = vec3f(frame.focal.x, 0, -frame.focal.x * tangent.x) / t.z;
  let jy = vec3f(0, frame.focal.y, -frame.focal.y * tangent.y) / t.z;
  let w = mat3x3f(frame.rows[0].xyz, frame.rows[1].xyz, frame.rows[2].xyz);
  let q = shape.rotation;
  // columns: the splat's axes in world coordinates
  let axes = mat3x3f(
    1 - 2 * (q.z * q.z + q.w * q.w), 2 * (q.y * q.z + q.x * q.w), 2 * (q.y * q.w - q.x * q.z),
    2 * (q.y * q.z - q.x * q.w), 1 - 2 * (q.y * q.y + q.w * q.w), 2 * (q.z * q.w + q.x * q.y),
    2 * (q.y * q.w + q.x * q.z), 2 * (q.z * q.w - q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z));
  let m0 = ((w * jx) * axes) * shape.scale;
  let m1 = ((w * jy) * axes) * shape.scale;
  let area = cross(m0, m1);
  let own = vec3f(dot(m0, m0), dot(m0, m1), dot(m1, m1));
  let a = own.x + 0.3;
  let b = own.y;
  let c = own.z + 0.3;
  let det0 = dot(area, area);
  let det = det0 + 0.3 * (own.x + own.z) + 0.09;
  var opacity = shape.opacity;
  if (frame.compensate == 1) { opacity *= sqrt(det0 / det); }
  let center = frame.focal * (t.xy / t.z) + frame.center;
  // opacity exp(-k^2 / 2) = 1 / 255 at k standard deviations
  let k = sqrt(2 * max(0, log(opacity / ${MIN_ALPHA})));
  let columns = tileRange(center.x, k * sqrt(a), frame.size.x, frame.tiles.x);
  let rows = tileRange(center.y, k * sqrt(c), frame.size.y, frame.tiles.y);
  if (opacity >= ${MIN_ALPHA} && columns != 0 && rows != 0) {
    let color = max(vec3f(0), 0.5 + harmonics(i, normalize(shape.position - frame.eye)));
    out = Projected(center.x, center.y, c / det, -b / det, a / det, log(opacity),
      color.r, color.g, color.b, t.z, columns, rows);
    // Positive floats sort as their bits do.
    keys[splat] = bitcast<u32>(t.z);
  }
  projected[splat] = out;
}`;

/** The values of `Frame` for splats [first, first + count) of a view. */
export function frameUniform(
  view: View,
  tiles: readonly [number, number],
  first: number,
  count: number,
  compensate: boolean,
): Float32Array<ArrayBuffer> {
  const { fx, fy, cx, cy, width, height } = view.intrinsics;
  const pose = withAxes(view.pose, 'opencv').matrix;
  const floats = new Float32Array(32);
  const words = new Uint32Array(floats.buffer);
  floats.set(inverted(withAxes(view.pose, 'opencv')).matrix.subarray(0, 12), 0);
  floats.set([pose[3], pose[7], pose[11], view.near ?? DEFAULT_SPLAT_NEAR], 12);
  floats.set([fx, fy, cx, cy, width, height], 16);
  floats.set([(1.3 * width) / (2 * fx), (1.3 * height) / (2 * fy)], 22);
  words.set([tiles[0], tiles[1], first, count, compensate ? 1 : 0], 24);
  return floats;
}
