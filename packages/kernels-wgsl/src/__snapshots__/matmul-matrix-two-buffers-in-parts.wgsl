enable f16;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);

struct Params {
  rowStart: u32, rows: u32, columnStart: u32, columns: u32,
  m: u32, n: u32, pitch: u32, batch: u32, atOut: u32, part: u32, parts: u32, batches: u32,
  
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scaleA: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> scaleB: array<f32>;


@group(0) @binding(5) var<storage, read_write> out: array<f32>;
fn fused(i: u32, acc: f32) -> f32 {
  return acc;
}

struct Share { tile: u32, k: u32, kEnd: u32 }

var<private> partOfK: u32;
fn shareOf(index: u32, tiles: u32) -> Share {
  let nth = index / tiles;
  partOfK = nth;
  // A surplus workgroup of a folded grid has no steps.
  let k = min(nth * params.part, params.pitch);
  return Share(index % tiles, k, min(k + params.part, params.pitch));
}

fn finish(row: u32, column: u32, sum: f32) {
  if (row >= params.rows || column >= params.columns) { return; }

  if (partOfK >= params.parts) { return; }
  out[((partOfK * params.batches + params.batch) * params.m + row) * params.n + column] = sum * scaleA[row] * scaleB[column];

}

var<workgroup> tileA: array<vec4<u32>, 160>;
var<workgroup> tileB: array<vec4<u32>, 160>;
var<workgroup> patches: array<f32, 256>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let columnTiles = (params.columns + 15u) / 16u;
  let rowTiles = (params.rows + 15u) / 16u;
  let share = shareOf((workgroup.x + grid.x * (workgroup.y + grid.y * workgroup.z)), rowTiles * columnTiles);
  let firstRow = share.tile / (8u * columnTiles) * 8u;
  let within = share.tile % (8u * columnTiles);
  // The last band may be lower; a surplus workgroup of a folded grid is below all rows.
  let band = clamp(rowTiles - min(firstRow, rowTiles), 1u, 8u);
  let row = (firstRow + within % band) * 16u;
  let column = within / band * 16u;
  let subgroup = index / 32u;
  let lane = index % 32u;
  let ownRow = subgroup / 2u * 8u;
  let ownColumn = subgroup % 2u * 8u;
  let place = index / 4u * 5u + index % 4u;
  let aAt0 = min(row + (index / 4u + 0u), params.rows - 1u) * (params.pitch / 8u);
let bAt0 = min(column + (index / 4u + 0u), params.columns - 1u) * (params.pitch / 8u);
  var sum0_0 = subgroup_matrix_result<f32, 8, 8>();

  if (share.k < share.kEnd) {
    let wordK = share.k + index % 4u * 8u;
    

    if ((index / 4u + 0u) < 16u) { tileA[place + 0u] = a[aAt0 + wordK / 8u]; }
if ((index / 4u + 0u) < 16u) { tileB[place + 0u] = b[bAt0 + wordK / 8u]; }
  }
  workgroupBarrier();
  for (var k = share.k; k < share.kEnd; k += 32u) {
    let buffer = (k - share.k) / 32u % 2u;
    let more = k + 32u < share.kEnd;
    var a0: vec4<u32>;
var b0: vec4<u32>;
    if (more) {
      let wordK = k + 32u + index % 4u * 8u;
    

    a0 = a[aAt0 + wordK / 8u];
b0 = b[bAt0 + wordK / 8u];
    }
    {
      let x0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileA, buffer * 80u + (ownRow + 0u) * 5u + 0u, 5u);
      let y0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileB, buffer * 80u + (ownColumn + 0u) * 5u + 0u, 5u);
      sum0_0 = subgroupMatrixMultiplyAccumulate(x0, y0, sum0_0);
    }
{
      let x0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileA, buffer * 80u + (ownRow + 0u) * 5u + 1u, 5u);
      let y0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileB, buffer * 80u + (ownColumn + 0u) * 5u + 1u, 5u);
      sum0_0 = subgroupMatrixMultiplyAccumulate(x0, y0, sum0_0);
    }
{
      let x0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileA, buffer * 80u + (ownRow + 0u) * 5u + 2u, 5u);
      let y0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileB, buffer * 80u + (ownColumn + 0u) * 5u + 2u, 5u);
      sum0_0 = subgroupMatrixMultiplyAccumulate(x0, y0, sum0_0);
    }
{
      let x0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileA, buffer * 80u + (ownRow + 0u) * 5u + 3u, 5u);
      let y0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileB, buffer * 80u + (ownColumn + 0u) * 5u + 3u, 5u);
      sum0_0 = subgroupMatrixMultiplyAccumulate(x0, y0, sum0_0);
    }
    if (more) {
      let other = 1u - buffer;
      if ((index / 4u + 0u) < 16u) { tileA[other * 80u + place + 0u] = a0; }
if ((index / 4u + 0u) < 16u) { tileB[other * 80u + place + 0u] = b0; }
    }
    workgroupBarrier();
  }

  subgroupMatrixStore<row_major>(&patches, subgroup * 64u, sum0_0, 8u);
  workgroupBarrier();
  for (var e = lane; e < 64u; e += 32u) {
    finish(row + ownRow + 0u + e / 8u, column + ownColumn + 0u + e % 8u, patches[subgroup * 64u + e]);
  }
  workgroupBarrier();
}
