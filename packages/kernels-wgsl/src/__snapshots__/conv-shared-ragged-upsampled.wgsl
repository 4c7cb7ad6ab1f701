

enable subgroups;

struct Params { firstFrame: u32, lastFrame: u32, firstRow: u32, lastRow: u32, inFrames: u32, outFrames: u32, height: u32, width: u32, outHeight: u32, outWidth: u32, inChannels: u32, outChannels: u32, top: u32, tilesPerRow: u32, blocks: u32, groupsPerFrame: u32, atOut: u32, atX: u32,  }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> xX: array<f32>;



@group(0) @binding(3) var<storage, read_write> out: array<f32>;
fn fused(i: u32, acc: f32) -> f32 {
  return acc;
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_invocation_id) shareLane: u32) {
  let group = (workgroup.x + grid.x * (workgroup.y + grid.y * workgroup.z));
  let frame = params.firstFrame + group / params.groupsPerFrame;
  let inFrame = group % params.groupsPerFrame;
  let tiles = params.tilesPerRow * (params.lastRow - params.firstRow);

  let n0 = inFrame % params.blocks * 8u;
  let tile = inFrame / params.blocks * 8u + lane;

  // Invocations without work compute the last tile and store nothing: lanes that share must stay together.
  let y = params.firstRow + min(tile, tiles - 1u) / params.tilesPerRow;
  let pixel0 = min(tile, tiles - 1u) % params.tilesPerRow * 2u;
  let clip = min(frame, params.lastFrame - 1u) / params.outFrames;
  let t = min(frame, params.lastFrame - 1u) % params.outFrames;
  let frameSize = params.height * params.width * params.inChannels;
  let n1 = n0 + 4u;

  let firstColumn = i32(pixel0 * 1u / 2u) + (-1);
  let width = i32(params.width);
  var columnMask = 0u;
  let column0 = u32(clamp(firstColumn + 0, 0, width - 1)) * params.inChannels;
  columnMask |= select(0u, 1u, firstColumn + 0 >= 0 && firstColumn + 0 < width);
let column1 = u32(clamp(firstColumn + 1, 0, width - 1)) * params.inChannels;
  columnMask |= select(0u, 2u, firstColumn + 1 >= 0 && firstColumn + 1 < width);
let column2 = u32(clamp(firstColumn + 2, 0, width - 1)) * params.inChannels;
  columnMask |= select(0u, 4u, firstColumn + 2 >= 0 && firstColumn + 2 < width);
  var acc0_0 = vec4<f32>(0);
var acc0_1 = vec4<f32>(0);
var acc1_0 = vec4<f32>(0);
var acc1_1 = vec4<f32>(0);
  
  for (var i = 0u; i < 1u; i++) {
    let frameAt = params.atX + (clip * params.inFrames + (t + 0u) / 1u) * frameSize;
    for (var dy = 0u; dy < 3u; dy++) {
      let up = i32(y * 1u + dy) - i32(params.top);
      let row = u32(clamp(up, 0, i32(params.height * 2u) - 1)) / 2u;
      let mask = select(0u, columnMask, up >= 0 && up < i32(params.height * 2u));
      let at = frameAt + row * params.width * params.inChannels;
      let tapAt = (i * 3u + dy) * 3u * params.inChannels;
      for (var c = 0u; c < params.inChannels; c += 1u) {
        let x0 = select(0.0, xX[at + column0 + c], (mask & 1u) != 0u);
let x1 = select(0.0, xX[at + column1 + c], (mask & 2u) != 0u);
let x2 = select(0.0, xX[at + column2 + c], (mask & 4u) != 0u);
        { let wAt = (tapAt + 0u * params.inChannels + c) * params.outChannels;
let i0 = wAt + min(n0 + 0u + shareLane, params.outChannels - 1u);
let r0 = weight[i0];
let w0_0 = vec4<f32>(subgroupBroadcast(r0, 0u), subgroupBroadcast(r0, 1u), subgroupBroadcast(r0, 2u), subgroupBroadcast(r0, 3u));
let w0_1 = vec4<f32>(subgroupBroadcast(r0, 4u), subgroupBroadcast(r0, 5u), subgroupBroadcast(r0, 6u), subgroupBroadcast(r0, 7u));
acc0_0 = fma(vec4<f32>(x0), w0_0, acc0_0);
acc0_1 = fma(vec4<f32>(x0), w0_1, acc0_1);
acc1_0 = fma(vec4<f32>(x1), w0_0, acc1_0);
acc1_1 = fma(vec4<f32>(x1), w0_1, acc1_1); }
{ let wAt = (tapAt + 1u * params.inChannels + c) * params.outChannels;
let i0 = wAt + min(n0 + 0u + shareLane, params.outChannels - 1u);
let r0 = weight[i0];
let w0_0 = vec4<f32>(subgroupBroadcast(r0, 0u), subgroupBroadcast(r0, 1u), subgroupBroadcast(r0, 2u), subgroupBroadcast(r0, 3u));
let w0_1 = vec4<f32>(subgroupBroadcast(r0, 4u), subgroupBroadcast(r0, 5u), subgroupBroadcast(r0, 6u), subgroupBroadcast(r0, 7u));
acc0_0 = fma(vec4<f32>(x1), w0_0, acc0_0);
acc0_1 = fma(vec4<f32>(x1), w0_1, acc0_1);
acc1_0 = fma(vec4<f32>(x1), w0_0, acc1_0);
acc1_1 = fma(vec4<f32>(x1), w0_1, acc1_1); }
{ let wAt = (tapAt + 2u * params.inChannels + c) * params.outChannels;
let i0 = wAt + min(n0 + 0u + shareLane, params.outChannels - 1u);
let r0 = weight[i0];
let w0_0 = vec4<f32>(subgroupBroadcast(r0, 0u), subgroupBroadcast(r0, 1u), subgroupBroadcast(r0, 2u), subgroupBroadcast(r0, 3u));
let w0_1 = vec4<f32>(subgroupBroadcast(r0, 4u), subgroupBroadcast(r0, 5u), subgroupBroadcast(r0, 6u), subgroupBroadcast(r0, 7u));
acc0_0 = fma(vec4<f32>(x1), w0_0, acc0_0);
acc0_1 = fma(vec4<f32>(x1), w0_1, acc0_1);
acc1_0 = fma(vec4<f32>(x2), w0_0, acc1_0);
acc1_1 = fma(vec4<f32>(x2), w0_1, acc1_1); }
      }
    }
  }
  // A loop, because the epilogue unrolled P times takes compilers seconds; its array is not for the sums above,
  // which must stay in registers.
  var sums: array<vec4<f32>, 4>;
  sums[0] = acc0_0;
sums[1] = acc0_1;
sums[2] = acc1_0;
sums[3] = acc1_1;
  let live = tile < tiles && frame < params.lastFrame;
  let count = select(0u, min(2u, params.outWidth - pixel0), live);
  for (var p = 0u; p < count; p++) {
    let pixel = (frame * params.outHeight + y) * params.outWidth + pixel0 + p;
    let value0 = sums[p * 2u + 0u];
if (n0 + 0u < params.outChannels) { let i = pixel * params.outChannels + n0 + 0u; let o = (params.atOut + i) / 1u; out[o] = fused(i, value0[0]); }
if (n0 + 1u < params.outChannels) { let i = pixel * params.outChannels + n0 + 1u; let o = (params.atOut + i) / 1u; out[o] = fused(i, value0[1]); }
if (n0 + 2u < params.outChannels) { let i = pixel * params.outChannels + n0 + 2u; let o = (params.atOut + i) / 1u; out[o] = fused(i, value0[2]); }
if (n0 + 3u < params.outChannels) { let i = pixel * params.outChannels + n0 + 3u; let o = (params.atOut + i) / 1u; out[o] = fused(i, value0[3]); }
let value1 = sums[p * 2u + 1u];
if (n1 + 0u < params.outChannels) { let i = pixel * params.outChannels + n1 + 0u; let o = (params.atOut + i) / 1u; out[o] = fused(i, value1[0]); }
if (n1 + 1u < params.outChannels) { let i = pixel * params.outChannels + n1 + 1u; let o = (params.atOut + i) / 1u; out[o] = fused(i, value1[1]); }
if (n1 + 2u < params.outChannels) { let i = pixel * params.outChannels + n1 + 2u; let o = (params.atOut + i) / 1u; out[o] = fused(i, value1[2]); }
if (n1 + 3u < params.outChannels) { let i = pixel * params.outChannels + n1 + 3u; let o = (params.atOut + i) / 1u; out[o] = fused(i, value1[3]); }
  }
}
