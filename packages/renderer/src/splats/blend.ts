/**
 * Blends each tile's splats front to back. A thread owns four neighbouring pixels of a row and walks the tile's
 * list by itself, with no barrier, until its pixels are opaque, reach the scene behind, or the list ends; one load
 * of a splat serves four pixels. Sums are kept in f32 between windows of the list.
 *
 * alpha = min(0.999, opacity exp(-q / 2)), skipped under 1/255; a pixel is finished, without that splat, where its
 * transmittance would fall under 1e-4 (constants of the INRIA code and of gsplat).
 */
import { PROJECTED_WGSL } from './project.ts';

/** Pixels of a tile's side. On a CPU idle pixels cost as much as busy ones, so small tiles are quicker. */
export const tileSize = (kind: 'software' | 'hardware'): number => (kind === 'software' ? 8 : 16);

const STRIP = 4;

/** Depth of nothing. */
const FAR = '3.4e38';

/** Depth along the viewing axis from the reversed depth buffer of the mesh pass, near / z. */
const SCENE_DEPTH = /* wgsl */ `
fn sceneDepth(pixel: vec2u) -> f32 {
  let d = textureLoad(sceneBuffer, pixel, 0);
  return select(FAR, frame.near / d, d > 0);
}`;

/** @param occluded whether a scene's depth buffer hides what is behind it. */
export const blendShader = (tile: number, occluded: boolean) => /* wgsl */ `
${PROJECTED_WGSL}
struct Frame { size: vec2u, columns: u32, firstWindow: u32, near: f32 }
@group(0) @binding(0) var<uniform> frame: Frame;
@group(0) @binding(1) var<storage, read> projected: array<Projected>;
@group(0) @binding(2) var<storage, read> splats: array<u32>;
@group(0) @binding(3) var<storage, read> runs: array<vec2u>;
// red, green, blue, transmittance: negative once the pixel is finished
@group(0) @binding(4) var<storage, read_write> colors: array<vec4f>;
// sum of weight times depth, depth at which half is covered or 0
@group(0) @binding(5) var<storage, read_write> depths: array<vec2f>;
${occluded ? `@group(0) @binding(6) var sceneBuffer: texture_depth_2d;${SCENE_DEPTH}` : ''}

const LEAST = ${-Math.log(255)};
const FAR = ${FAR};

@compute @workgroup_size(${(tile / STRIP) * tile}) fn main(
  @builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) local: u32,
) {
  let px = workgroup.x * ${tile} + ${STRIP} * (local % ${tile / STRIP});
  let py = workgroup.y * ${tile} + local / ${tile / STRIP};
  if (px >= frame.size.x || py >= frame.size.y) { return; }
  let inside = min(${STRIP}u, frame.size.x - px);
  let at = py * frame.size.x + px;
  let u = f32(px) + vec4f(0.5, 1.5, 2.5, 3.5);
  let v = f32(py) + 0.5;
  var red = vec4f(0);
  var green = vec4f(0);
  var blue = vec4f(0);
  var through = vec4f(1);
  var weighted = vec4f(0);
  var median = vec4f(0);
  if (frame.firstWindow == 0) {
    for (var k = 0u; k < inside; k++) {
      let color = colors[at + k];
      red[k] = color.r;
      green[k] = color.g;
      blue[k] = color.b;
      through[k] = color.a;
      weighted[k] = depths[at + k].x;
      median[k] = depths[at + k].y;
    }
  }
  var finished = through < vec4f(0);
  through = abs(through);
  // pixels beyond the right edge
  finished |= vec4u(0, 1, 2, 3) >= vec4u(inside);
  var limit = vec4f(FAR);
${occluded ? '  for (var k = 0u; k < inside; k++) { limit[k] = sceneDepth(vec2u(px + k, py)); }' : ''}
  let run = runs[workgroup.y * frame.columns + workgroup.x];
  for (var i = run.x; i < run.y; i++) {
    let splat = projected[splats[i]];
    finished |= limit <= vec4f(splat.z);
    if (all(finished)) { break; }
    let dx = u - splat.x;
    let dy = v - splat.y;
    let power = splat.logOpacity
      - 0.5 * max(vec4f(0), splat.a * dx * dx + 2 * splat.b * dy * dx + splat.c * dy * dy);
    let touched = (power >= vec4f(LEAST)) & !finished;
    if (!any(touched)) { continue; }
    let alpha = min(vec4f(0.999), exp(power));
    let left = through * (1 - alpha);
    let over = touched & (left < vec4f(1e-4));
    finished |= over;
    let drawn = touched & !over;
    let weight = select(vec4f(0), alpha * through, drawn);
    red += weight * splat.red;
    green += weight * splat.green;
    blue += weight * splat.blue;
    weighted += weight * splat.z;
    median = select(median, vec4f(splat.z), drawn & (through > vec4f(0.5)) & (left <= vec4f(0.5)));
    through = select(through, left, drawn);
  }
  for (var k = 0u; k < inside; k++) {
    colors[at + k] = vec4f(red[k], green[k], blue[k], select(through[k], -through[k], finished[k]));
    depths[at + k] = vec2f(weighted[k], median[k]);
  }
}`;

export const RESOLVE_SIDE = 8;

/**
 * From sums to the picture: over the background, clipped to [0, 1], in textures and (colour and coverage, expected
 * and median depth) in the buffers that held the sums. A scene behind counts as one more, opaque, surface.
 * @param overScene whether the background is a scene's colour texture.
 */
export const resolveShader = (overScene: boolean) => /* wgsl */ `
struct Frame { size: vec2u, near: f32, background: vec4f }
@group(0) @binding(0) var<uniform> frame: Frame;
@group(0) @binding(1) var<storage, read_write> colors: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> depths: array<vec2f>;
@group(0) @binding(3) var colorTexture: texture_storage_2d<rgba16float, write>;
@group(0) @binding(4) var depthTexture: texture_storage_2d<r32float, write>;
@group(0) @binding(5) var medianTexture: texture_storage_2d<r32float, write>;
const FAR = ${FAR};
${
  overScene
    ? `@group(0) @binding(6) var sceneColor: texture_2d<f32>;
@group(0) @binding(7) var sceneBuffer: texture_depth_2d;${SCENE_DEPTH}`
    : 'fn sceneDepth(pixel: vec2u) -> f32 { return FAR; }'
}
@compute @workgroup_size(${RESOLVE_SIDE}, ${RESOLVE_SIDE}) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (any(id.xy >= frame.size)) { return; }
  let at = id.y * frame.size.x + id.x;
  let sum = colors[at];
  let through = abs(sum.a);
  let alpha = 1 - through;
  let background = ${overScene ? 'textureLoad(sceneColor, id.xy, 0).rgb' : 'frame.background.rgb'};
  let color = vec4f(clamp(sum.rgb + through * background, vec3f(0), vec3f(1)), alpha);
  let behind = sceneDepth(id.xy);
  var expected = depths[at].x;
  var median = depths[at].y;
  if (behind < FAR) {
    expected += through * behind;
    if (median == 0) { median = behind; }
  } else {
    expected = select(0, expected / alpha, alpha > 0);
  }
  colors[at] = color;
  depths[at] = vec2f(expected, median);
  textureStore(colorTexture, id.xy, color);
  textureStore(depthTexture, id.xy, vec4f(expected));
  textureStore(medianTexture, id.xy, vec4f(median));
}`;
