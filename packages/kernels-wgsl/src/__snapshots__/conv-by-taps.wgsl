

struct Params { firstFrame: u32, lastFrame: u32, firstRow: u32, lastRow: u32, inFrames: u32, outFrames: u32, height: u32, width: u32, outHeight: u32, outWidth: u32, inChannels: u32, outChannels: u32, top: u32, tilesPerRow: u32, blocks: u32, groupsPerFrame: u32, atOut: u32, atTap0: u32, atTap1: u32, atTap2: u32,  }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> xTap0: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> xTap1: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> xTap2: array<vec4<f32>>;



@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>;
fn fused(i: u32, acc: vec4<f32>) -> vec4<f32> {
  return acc;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32) {
  let group = (workgroup.x + grid.x * (workgroup.y + grid.y * workgroup.z));
  let frame = params.firstFrame + group / params.groupsPerFrame;
  let inFrame = group % params.groupsPerFrame;
  let tiles = params.tilesPerRow * (params.lastRow - params.firstRow);

  let id = inFrame * 64u + lane;
  let n0 = id % params.blocks * 4u;
  let tile = id / params.blocks;

  // Invocations without work compute the last tile and store nothing: lanes that share must stay together.
  let y = params.firstRow + min(tile, tiles - 1u) / params.tilesPerRow;
  let pixel0 = min(tile, tiles - 1u) % params.tilesPerRow * 2u;
  let clip = min(frame, params.lastFrame - 1u) / params.outFrames;
  let t = min(frame, params.lastFrame - 1u) % params.outFrames;
  let frameSize = params.height * params.width * params.inChannels;
  

  let firstColumn = i32(pixel0 * 1u / 1u) + (-1);
  let width = i32(params.width);
  var columnMask = 0u;
  let column0 = u32(clamp(firstColumn + 0, 0, width - 1)) * params.inChannels;
  columnMask |= select(0u, 1u, firstColumn + 0 >= 0 && firstColumn + 0 < width);
let column1 = u32(clamp(firstColumn + 1, 0, width - 1)) * params.inChannels;
  columnMask |= select(0u, 2u, firstColumn + 1 >= 0 && firstColumn + 1 < width);
let column2 = u32(clamp(firstColumn + 2, 0, width - 1)) * params.inChannels;
  columnMask |= select(0u, 4u, firstColumn + 2 >= 0 && firstColumn + 2 < width);
let column3 = u32(clamp(firstColumn + 3, 0, width - 1)) * params.inChannels;
  columnMask |= select(0u, 8u, firstColumn + 3 >= 0 && firstColumn + 3 < width);
  var acc0_0 = vec4<f32>(0);
var acc1_0 = vec4<f32>(0);
  
  for (var i = 0u; i < 1u; i++) {
    let frameAt = params.atTap0 + (0u) * frameSize;
    for (var dy = 0u; dy < 3u; dy++) {
      let up = i32(y * 1u + dy) - i32(params.top);
      let row = u32(clamp(up, 0, i32(params.height * 1u) - 1)) / 1u;
      let mask = select(0u, columnMask, up >= 0 && up < i32(params.height * 1u));
      let at = frameAt + row * params.width * params.inChannels;
      let tapAt = (i * 3u + dy) * 3u * params.inChannels;
      for (var c = 0u; c < params.inChannels; c += 4u) {
        let x0 = select(vec4<f32>(0), xTap0[(at + column0 + c) >> 2u], (mask & 1u) != 0u);
let x1 = select(vec4<f32>(0), xTap0[(at + column1 + c) >> 2u], (mask & 2u) != 0u);
let x2 = select(vec4<f32>(0), xTap0[(at + column2 + c) >> 2u], (mask & 4u) != 0u);
let x3 = select(vec4<f32>(0), xTap0[(at + column3 + c) >> 2u], (mask & 8u) != 0u);
        { let wAt = (tapAt + 0u * params.inChannels + c) * params.outChannels;
let i0_0 = (wAt + 0u * params.outChannels + n0) >> 2u;
let w0_0 = weight[i0_0];
let i1_0 = (wAt + 1u * params.outChannels + n0) >> 2u;
let w1_0 = weight[i1_0];
let i2_0 = (wAt + 2u * params.outChannels + n0) >> 2u;
let w2_0 = weight[i2_0];
let i3_0 = (wAt + 3u * params.outChannels + n0) >> 2u;
let w3_0 = weight[i3_0];
acc0_0 = fma(vec4<f32>(x0[0]), w0_0, acc0_0);
acc1_0 = fma(vec4<f32>(x1[0]), w0_0, acc1_0);
acc0_0 = fma(vec4<f32>(x0[1]), w1_0, acc0_0);
acc1_0 = fma(vec4<f32>(x1[1]), w1_0, acc1_0);
acc0_0 = fma(vec4<f32>(x0[2]), w2_0, acc0_0);
acc1_0 = fma(vec4<f32>(x1[2]), w2_0, acc1_0);
acc0_0 = fma(vec4<f32>(x0[3]), w3_0, acc0_0);
acc1_0 = fma(vec4<f32>(x1[3]), w3_0, acc1_0); }
{ let wAt = (tapAt + 1u * params.inChannels + c) * params.outChannels;
let i0_0 = (wAt + 0u * params.outChannels + n0) >> 2u;
let w0_0 = weight[i0_0];
let i1_0 = (wAt + 1u * params.outChannels + n0) >> 2u;
let w1_0 = weight[i1_0];
let i2_0 = (wAt + 2u * params.outChannels + n0) >> 2u;
let w2_0 = weight[i2_0];
let i3_0 = (wAt + 3u * params.outChannels + n0) >> 2u;
let w3_0 = weight[i3_0];
acc0_0 = fma(vec4<f32>(x1[0]), w0_0, acc0_0);
acc1_0 = fma(vec4<f32>(x2[0]), w0_0, acc1_0);
acc0_0 = fma(vec4<f32>(x1[1]), w1_0, acc0_0);
acc1_0 = fma(vec4<f32>(x2[1]), w1_0, acc1_0);
acc0_0 = fma(vec4<f32>(x1[2]), w2_0, acc0_0);
acc1_0 = fma(vec4<f32>(x2[2]), w2_0, acc1_0);
acc0_0 = fma(vec4<f32>(x1[3]), w3_0, acc0_0);
acc1_0 = fma(vec4<f32>(x2[3]), w3_0, acc1_0); }
{ let wAt = (tapAt + 2u * params.inChannels + c) * params.outChannels;
let i0_0 = (wAt + 0u * params.outChannels + n0) >> 2u;
let w0_0 = weight[i0_0];
let i1_0 = (wAt + 1u * params.outChannels + n0) >> 2u;
let w1_0 = weight[i1_0];
let i2_0 = (wAt + 2u * params.outChannels + n0) >> 2u;
let w2_0 = weight[i2_0];
let i3_0 = (wAt + 3u * params.outChannels + n0) >> 2u;
let w3_0 = weight[i3_0];
acc0_0 = fma(vec4<f32>(x2[0]), w0_0, acc0_0);
acc1_0 = fma(vec4<f32>(x3[0]), w0_0, acc1_0);
acc0_0 = fma(vec4<f32>(x2[1]), w1_0, acc0_0);
acc1_0 = fma(vec4<f32>(x3[1]), w1_0, acc1_0);
acc0_0 = fma(vec4<f32>(x2[2]), w2_0, acc0_0);
acc1_0 = fma(vec4<f32>(x3[2]), w2_0, acc1_0);
acc0_0 = fma(vec4<f32>(x2[3]), w3_0, acc0_0);
acc1_0 = fma(vec4<f32>(x3[3]), w3_0, acc1_0); }
      }
    }
  }

  for (var i = 1u; i < 2u; i++) {
    let frameAt = params.atTap1 + (0u) * frameSize;
    for (var dy = 0u; dy < 3u; dy++) {
      let up = i32(y * 1u + dy) - i32(params.top);
      let row = u32(clamp(up, 0, i32(params.height * 1u) - 1)) / 1u;
      let mask = select(0u, columnMask, up >= 0 && up < i32(params.height * 1u));
      let at = frameAt + row * params.width * params.inChannels;
      let tapAt = (i * 3u + dy) * 3u * params.inChannels;
      for (var c = 0u; c < params.inChannels; c += 4u) {
        let x0 = select(vec4<f32>(0), xTap1[(at + column0 + c) >> 2u], (mask & 1u) != 0u);
let x1 = select(vec4<f32>(0), xTap1[(at + column1 + c) >> 2u], (mask & 2u) != 0u);
let x2 = select(vec4<f32>(0), xTap1[(at + column2 + c) >> 2u], (mask & 4u) != 0u);
let x3 = select(vec4<f32>(0), xTap1[(at + column3 + c) >> 2u], (mask & 8u) != 0u);
        { let wAt = (tapAt + 0u * params.inChannels + c) * params.outChannels;
let i0_0 = (wAt + 0u * params.outChannels + n0) >> 2u;
let w0_0 = weight[i0_0];
let i1_0 = (wAt + 1u * params.outChannels + n0) >> 2u;
let w1_0 = weight[i1_0];
let i2_0 = (wAt + 2u * params.outChannels + n0) >> 2u;
let w2_0 = weight[i2_0];
let i3_0 = (wAt + 3u * params.outChannels + n0) >> 2u;
let w3_0 = weight[i3_0];
acc0_0 = fma(vec4<f32>(x0[0]), w0_0, acc0_0);
acc1_0 = fma(vec4<f32>(x1[0]), w0_0, acc1_0);
acc0_0 = fma(vec4<f32>(x0[1]), w1_0, acc0_0);
acc1_0 = fma(vec4<f32>(x1[1]), w1_0, acc1_0);
acc0_0 = fma(vec4<f32>(x0[2]), w2_0, acc0_0);
acc1_0 = fma(vec4<f32>(x1[2]), w2_0, acc1_0);
acc0_0 = fma(vec4<f32>(x0[3]), w3_0, acc0_0);
acc1_0 = fma(vec4<f32>(x1[3]), w3_0, acc1_0); }
{ let wAt = (tapAt + 1u * params.inChannels + c) * params.outChannels;
let i0_0 = (wAt + 0u * params.outChannels + n0) >> 2u;
let w0_0 = weight[i0_0];
let i1_0 = (wAt + 1u * params.outChannels + n0) >> 2u;
let w1_0 = weight[i1_0];
let i2_0 = (wAt + 2u * params.outChannels + n0) >> 2u;
let w2_0 = weight[i2_0];
let i3_0 = (wAt + 3u * params.outChannels + n0) >> 2u;
let w3_0 = weight[i3_0];
acc0_0 = fma(vec4<f32>(x1[0]), w0_0, acc0_0);
acc1_0 = fma(vec4<f32>(x2[0]), w0_0, acc1_0);
acc0_0 = fma(vec4<f32>(x1[1]), w1_0, acc0_0);
acc1_0 = fma(vec4<f32>(x2[1]), w1_0, acc1_0);
acc0_0 = fma(vec4<f32>(x1[2]), w2_0, acc0_0);
acc1_0 = fma(vec4<f32>(x2[2]), w2_0, acc1_0);
acc0_0 = fma(vec4<f32>(x1[3]), w3_0, acc0_0);
acc1_0 = fma(vec4<f32>(x2[3]), w3_0, acc1_0); }
{ let wAt = (tapAt + 2u * params.inChannels + c) * params.outChannels;
let i0_0 = (wAt + 0u * params.outChannels + n0) >> 2u;
let w0_0 = weight[i0_0];
let i1_0 = (wAt + 1u * params.outChannels + n0) >> 2u;
let w1_0 = weight[i1_0];
let i2_0 = (wAt + 2u * params.outChannels + n0) >> 2u;
let w2_0 = weight[i2_0];
let i3_0 = (wAt + 3u * params.outChannels + n0) >> 2u;
let w3_0 = weight[i3_0];
acc0_0 = fma(vec4<f32>(x2[0]), w0_0, acc0_0);
acc1_0 = fma(vec4<f32>(x3[0]), w0_0, acc1_0);
acc0_0 = fma(vec4<f32>(x2[1]), w1_0, acc0_0);
acc1_0 = fma(vec4<f32>(x3[1]), w1_0, acc1_0);
acc0_0 = fma(vec4<f32>(x2[2]), w2_0, acc0_0);
acc1_0 = fma(vec4<f32>(x3[2]), w2_0, acc1_0);
acc0_0 = fma(vec4<f32>(x2[3]), w3_0, acc0_0);
acc1_0 = fma(vec4<f32>(x3[3]), w3_0, acc1_0); }
      }
    }
  }

  for (var i = 2u; i < 3u; i++) {
    let frameAt = params.atTap2 + (0u) * frameSize;
    for (var dy = 0u; dy < 3u; dy++) {
      let up = i32(y * 1u + dy) - i32(params.top);
      let row = u32(clamp(up, 0, i32(params.height * 1u) - 1)) / 1u;
      let mask = select(0u, columnMask, up >= 0 && up < i32(params.height * 1u));
      let at = frameAt + row * params.width * params.inChannels;
      let tapAt = (i * 3u + dy) * 3u * params.inChannels;
      for (var c = 0u; c < params.inChannels; c += 4u) {
        let x0 = select(vec4<f32>(0), xTap2[(at + column0 + c) >> 2u], (mask & 1u) != 0u);
let x1 = select(vec4<f32>(0), xTap2[(at + column1 + c) >> 2u], (mask & 2u) != 0u);
let x2 = select(vec4<f32>(0), xTap2[(at + column2 + c) >> 2u], (mask & 4u) != 0u);
let x3 = select(vec4<f32>(0), xTap2[(at + column3 + c) >> 2u], (mask & 8u) != 0u);
        { let wAt = (tapAt + 0u * params.inChannels + c) * params.outChannels;
let i0_0 = (wAt + 0u * params.outChannels + n0) >> 2u;
let w0_0 = weight[i0_0];
let i1_0 = (wAt + 1u * params.outChannels + n0) >> 2u;
let w1_0 = weight[i1_0];
let i2_0 = (wAt + 2u * params.outChannels + n0) >> 2u;
let w2_0 = weight[i2_0];
let i3_0 = (wAt + 3u * params.outChannels + n0) >> 2u;
let w3_0 = weight[i3_0];
acc0_0 = fma(vec4<f32>(x0[0]), w0_0, acc0_0);
acc1_0 = fma(vec4<f32>(x1[0]), w0_0, acc1_0);
acc0_0 = fma(vec4<f32>(x0[1]), w1_0, acc0_0);
acc1_0 = fma(vec4<f32>(x1[1]), w1_0, acc1_0);
acc0_0 = fma(vec4<f32>(x0[2]), w2_0, acc0_0);
acc1_0 = fma(vec4<f32>(x1[2]), w2_0, acc1_0);
acc0_0 = fma(vec4<f32>(x0[3]), w3_0, acc0_0);
acc1_0 = fma(vec4<f32>(x1[3]), w3_0, acc1_0); }
{ let wAt = (tapAt + 1u * params.inChannels + c) * params.outChannels;
let i0_0 = (wAt + 0u * params.outChannels + n0) >> 2u;
let w0_0 = weight[i0_0];
let i1_0 = (wAt + 1u * params.outChannels + n0) >> 2u;
let w1_0 = weight[i1_0];
let i2_0 = (wAt + 2u * params.outChannels + n0) >> 2u;
let w2_0 = weight[i2_0];
let i3_0 = (wAt + 3u * params.outChannels + n0) >> 2u;
let w3_0 = weight[i3_0];
acc0_0 = fma(vec4<f32>(x1[0]), w0_0, acc0_0);
acc1_0 = fma(vec4<f32>(x2[0]), w0_0, acc1_0);
acc0_0 = fma(vec4<f32>(x1[1]), w1_0, acc0_0);
acc1_0 = fma(vec4<f32>(x2[1]), w1_0, acc1_0);
acc0_0 = fma(vec4<f32>(x1[2]), w2_0, acc0_0);
acc1_0 = fma(vec4<f32>(x2[2]), w2_0, acc1_0);
acc0_0 = fma(vec4<f32>(x1[3]), w3_0, acc0_0);
acc1_0 = fma(vec4<f32>(x2[3]), w3_0, acc1_0); }
{ let wAt = (tapAt + 2u * params.inChannels + c) * params.outChannels;
let i0_0 = (wAt + 0u * params.outChannels + n0) >> 2u;
let w0_0 = weight[i0_0];
let i1_0 = (wAt + 1u * params.outChannels + n0) >> 2u;
let w1_0 = weight[i1_0];
let i2_0 = (wAt + 2u * params.outChannels + n0) >> 2u;
let w2_0 = weight[i2_0];
let i3_0 = (wAt + 3u * params.outChannels + n0) >> 2u;
let w3_0 = weight[i3_0];
acc0_0 = fma(vec4<f32>(x2[0]), w0_0, acc0_0);
acc1_0 = fma(vec4<f32>(x3[0]), w0_0, acc1_0);
acc0_0 = fma(vec4<f32>(x2[1]), w1_0, acc0_0);
acc1_0 = fma(vec4<f32>(x3[1]), w1_0, acc1_0);
acc0_0 = fma(vec4<f32>(x2[2]), w2_0, acc0_0);
acc1_0 = fma(vec4<f32>(x3[2]), w2_0, acc1_0);
acc0_0 = fma(vec4<f32>(x2[3]), w3_0, acc0_0);
acc1_0 = fma(vec4<f32>(x3[3]), w3_0, acc1_0); }
      }
    }
  }
  // A loop, because the epilogue unrolled P times takes compilers seconds; its array is not for the sums above,
  // which must stay in registers.
  var sums: array<vec4<f32>, 2>;
  sums[0] = acc0_0;
sums[1] = acc1_0;
  let live = tile < tiles && frame < params.lastFrame;
  let count = select(0u, min(2u, params.outWidth - pixel0), live);
  for (var p = 0u; p < count; p++) {
    let pixel = (frame * params.outHeight + y) * params.outWidth + pixel0 + p;
    let value0 = sums[p * 1u + 0u];
{ let i = pixel * params.outChannels + n0 + 0u; let o = (params.atOut + i) / 4u; out[o] = fused(i, value0); }
  }
}
