enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);

var<workgroup> tileQ: array<vec4<u32>, 80>;
var<workgroup> tileKV: array<vec4<u32>, 160>;
var<workgroup> weights: array<vec4<u32>, 80>;
var<workgroup> patches: array<f32, 576>;
// Of the block's keys: 2^(exponent of k), where scores start, exponent of v, and 2^-(that).
var<workgroup> about: array<vec4<f32>, 32>;
var<workgroup> partial: array<f32, 64>;
var<workgroup> grown: atomic<u32>;

fn exponentOf(word: vec4<u32>) -> f32 { return unpack2x16float(word.x).x; }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let tile = (workgroup.x + grid.x * (workgroup.y + grid.y * workgroup.z));
  if (tile >= params.workgroups) { return; }
  let head = (tile / params.blocks) % params.heads;
  let batch = tile / params.blocks / params.heads;
  let firstQuery = (tile % params.blocks) * 16u;
  // Rows of staged tokens: a head's components are 5 vec4s.
  let rowStride = params.tokenStride / 5u;
  let queriesAt = queryAt(batch, head, 0u) / 5u;
  let keysAt = keyAt(batch, head) / 5u;
  let lastKey = params.keys - 1u;
  let subgroup = index / 32u;
  let lane = index % 32u;
  let row = subgroup * 8u + lane / 4u;
  let part = lane % 4u;
  let query = firstQuery + row;
  let safe = min(query, params.queries - 1u);
  let ownPatch = subgroup * 288u;
  let rowPatch = row * 36u;
  
    for (var i = index; i < 80u; i += 64u) {
      let line = i / 5u;
      tileQ[i] = q[params.qAt + (queriesAt + min(firstQuery + line, params.queries - 1u) * rowStride) * 5u + i % 5u];
    }
  workgroupBarrier();
  let q0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 40u + 0u, 5u);
let q1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 40u + 1u, 5u);
let q2 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 40u + 2u, 5u);
let q3 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 40u + 3u, 5u);
  let queryScale = 1.4426950408889634 * params.scale * exp2(exponentOf(tileQ[row * 5u + 4u]));
  var m = f32(-1e30);
  // This lane's share of the sum of weights.
  var l = 0.0;
  var sum0 = subgroup_matrix_result<f32, 8, 8>();
var sum1 = subgroup_matrix_result<f32, 8, 8>();
var sum2 = subgroup_matrix_result<f32, 8, 8>();
var sum3 = subgroup_matrix_result<f32, 8, 8>();

  for (var firstKey = 0u; firstKey < params.keys; firstKey += 32u) {
    workgroupBarrier();
    
    for (var i = index; i < 160u; i += 64u) {
      let line = i / 5u;
      tileKV[i] = k[params.kAt + (keysAt + min(firstKey + line, lastKey) * rowStride) * 5u + i % 5u];
    }
    if (index == 0u) { atomicStore(&grown, 0u); }
    workgroupBarrier();
    for (var j = index; j < 32u; j += 64u) {
      let exponent = max(exponentOf(v[params.vAt + (keysAt + min(firstKey + j, lastKey) * rowStride) * 5u + 4u]), -100.0);
      about[j] = vec4<f32>(
        exp2(exponentOf(tileKV[j * 5u + 4u])), keyScore(batch, firstKey + j), exponent, exp2(-exponent));
    }
    var score0 = subgroup_matrix_result<f32, 8, 8>();
var score1 = subgroup_matrix_result<f32, 8, 8>();
var score2 = subgroup_matrix_result<f32, 8, 8>();
var score3 = subgroup_matrix_result<f32, 8, 8>();
    {
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 0u, 5u);
      score0 = subgroupMatrixMultiplyAccumulate(q0, k, score0);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 40u, 5u);
      score1 = subgroupMatrixMultiplyAccumulate(q0, k, score1);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 80u, 5u);
      score2 = subgroupMatrixMultiplyAccumulate(q0, k, score2);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 120u, 5u);
      score3 = subgroupMatrixMultiplyAccumulate(q0, k, score3);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 1u, 5u);
      score0 = subgroupMatrixMultiplyAccumulate(q1, k, score0);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 41u, 5u);
      score1 = subgroupMatrixMultiplyAccumulate(q1, k, score1);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 81u, 5u);
      score2 = subgroupMatrixMultiplyAccumulate(q1, k, score2);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 121u, 5u);
      score3 = subgroupMatrixMultiplyAccumulate(q1, k, score3);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 2u, 5u);
      score0 = subgroupMatrixMultiplyAccumulate(q2, k, score0);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 42u, 5u);
      score1 = subgroupMatrixMultiplyAccumulate(q2, k, score1);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 82u, 5u);
      score2 = subgroupMatrixMultiplyAccumulate(q2, k, score2);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 122u, 5u);
      score3 = subgroupMatrixMultiplyAccumulate(q2, k, score3);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 3u, 5u);
      score0 = subgroupMatrixMultiplyAccumulate(q3, k, score0);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 43u, 5u);
      score1 = subgroupMatrixMultiplyAccumulate(q3, k, score1);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 83u, 5u);
      score2 = subgroupMatrixMultiplyAccumulate(q3, k, score2);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 123u, 5u);
      score3 = subgroupMatrixMultiplyAccumulate(q3, k, score3);
    }
    subgroupMatrixStore<row_major>(&patches, ownPatch + 0u, score0, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 8u, score1, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 16u, score2, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 24u, score3, 36u);
    workgroupBarrier();
    
    for (var i = index; i < 160u; i += 64u) {
      let line = i / 5u;
      tileKV[i] = v[params.vAt + (keysAt + min(firstKey + line, lastKey) * rowStride) * 5u + i % 5u];
    }
    let ownKey = part * 8u;
    let about0 = about[ownKey + 0u];
    let t0 = fma(patches[rowPatch + ownKey + 0u], queryScale * about0.x, about0.y) + about0.z;
let about1 = about[ownKey + 1u];
    let t1 = fma(patches[rowPatch + ownKey + 1u], queryScale * about1.x, about1.y) + about1.z;
let about2 = about[ownKey + 2u];
    let t2 = fma(patches[rowPatch + ownKey + 2u], queryScale * about2.x, about2.y) + about2.z;
let about3 = about[ownKey + 3u];
    let t3 = fma(patches[rowPatch + ownKey + 3u], queryScale * about3.x, about3.y) + about3.z;
let about4 = about[ownKey + 4u];
    let t4 = fma(patches[rowPatch + ownKey + 4u], queryScale * about4.x, about4.y) + about4.z;
let about5 = about[ownKey + 5u];
    let t5 = fma(patches[rowPatch + ownKey + 5u], queryScale * about5.x, about5.y) + about5.z;
let about6 = about[ownKey + 6u];
    let t6 = fma(patches[rowPatch + ownKey + 6u], queryScale * about6.x, about6.y) + about6.z;
let about7 = about[ownKey + 7u];
    let t7 = fma(patches[rowPatch + ownKey + 7u], queryScale * about7.x, about7.y) + about7.z;
    var top = t0;
    top = max(top, t1);
top = max(top, t2);
top = max(top, t3);
top = max(top, t4);
top = max(top, t5);
top = max(top, t6);
top = max(top, t7);
    partial[row * 4u + part] = top;
    if (top > m + 8.0) { atomicOr(&grown, 1u); }
    if (workgroupUniformLoad(&grown) != 0u) {
      var highest = m;
      for (var i = 0u; i < 4u; i++) { highest = max(highest, partial[row * 4u + i]); }
      let fade = exp2(m - highest);
      m = highest;
      l *= fade;
      
    
    subgroupMatrixStore<row_major>(&patches, ownPatch + 0u, sum0, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 8u, sum1, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 16u, sum2, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 24u, sum3, 36u);
    workgroupBarrier();
    
    for (var d = 4u * part; d < 32u; d += 16u) {
      let component = 0u + d;
      let at = rowPatch + d;
      if (component < 20u) { for (var c = 0u; c < 4u; c++) { patches[at + c] *= fade; } }
    }
    workgroupBarrier();
    sum0 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&patches, ownPatch + 0u, 36u);
sum1 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&patches, ownPatch + 8u, 36u);
sum2 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&patches, ownPatch + 16u, 36u);
sum3 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&patches, ownPatch + 24u, 36u);
    }
    let p0 = exp2(t0 - m);
l = fma(p0, about0.w, l);
let p1 = exp2(t1 - m);
l = fma(p1, about1.w, l);
let p2 = exp2(t2 - m);
l = fma(p2, about2.w, l);
let p3 = exp2(t3 - m);
l = fma(p3, about3.w, l);
let p4 = exp2(t4 - m);
l = fma(p4, about4.w, l);
let p5 = exp2(t5 - m);
l = fma(p5, about5.w, l);
let p6 = exp2(t6 - m);
l = fma(p6, about6.w, l);
let p7 = exp2(t7 - m);
l = fma(p7, about7.w, l);
    weights[row * 5u + part * 1u + 0u] = vec4<u32>(pack2x16float(vec2<f32>(p0, p1)), pack2x16float(vec2<f32>(p2, p3)), pack2x16float(vec2<f32>(p4, p5)), pack2x16float(vec2<f32>(p6, p7)));
    workgroupBarrier();
    {
      let p = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&weights, subgroup * 40u + 0u, 5u);
      {
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 0u, 5u);
        sum0 = subgroupMatrixMultiplyAccumulate(p, v, sum0);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 1u, 5u);
        sum1 = subgroupMatrixMultiplyAccumulate(p, v, sum1);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 2u, 5u);
        sum2 = subgroupMatrixMultiplyAccumulate(p, v, sum2);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 3u, 5u);
        sum3 = subgroupMatrixMultiplyAccumulate(p, v, sum3);
      }
    }
{
      let p = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&weights, subgroup * 40u + 1u, 5u);
      {
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 40u, 5u);
        sum0 = subgroupMatrixMultiplyAccumulate(p, v, sum0);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 41u, 5u);
        sum1 = subgroupMatrixMultiplyAccumulate(p, v, sum1);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 42u, 5u);
        sum2 = subgroupMatrixMultiplyAccumulate(p, v, sum2);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 43u, 5u);
        sum3 = subgroupMatrixMultiplyAccumulate(p, v, sum3);
      }
    }
{
      let p = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&weights, subgroup * 40u + 2u, 5u);
      {
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 80u, 5u);
        sum0 = subgroupMatrixMultiplyAccumulate(p, v, sum0);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 81u, 5u);
        sum1 = subgroupMatrixMultiplyAccumulate(p, v, sum1);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 82u, 5u);
        sum2 = subgroupMatrixMultiplyAccumulate(p, v, sum2);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 83u, 5u);
        sum3 = subgroupMatrixMultiplyAccumulate(p, v, sum3);
      }
    }
{
      let p = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&weights, subgroup * 40u + 3u, 5u);
      {
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 120u, 5u);
        sum0 = subgroupMatrixMultiplyAccumulate(p, v, sum0);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 121u, 5u);
        sum1 = subgroupMatrixMultiplyAccumulate(p, v, sum1);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 122u, 5u);
        sum2 = subgroupMatrixMultiplyAccumulate(p, v, sum2);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 123u, 5u);
        sum3 = subgroupMatrixMultiplyAccumulate(p, v, sum3);
      }
    }
  }
  workgroupBarrier();
  partial[row * 4u + part] = l;
  workgroupBarrier();
  l = 0.0;
  for (var i = 0u; i < 4u; i++) { l += partial[row * 4u + i]; }
  // Unlike in `normaliser`, weights of v's exponents make sums of any size.
  var norm = select(0.0, 1.0 / l, l > 0.0);

  let outTo = params.outAt + queryAt(batch, head, safe);
  
    
    subgroupMatrixStore<row_major>(&patches, ownPatch + 0u, sum0, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 8u, sum1, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 16u, sum2, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 24u, sum3, 36u);
    workgroupBarrier();
    
    for (var d = 4u * part; d < 32u; d += 16u) {
      let component = 0u + d;
      let at = rowPatch + d;
      if (component < 20u) { if (query < params.queries) { out[outTo + component / 4u] = norm * vec4<f32>(patches[at], patches[at + 1u], patches[at + 2u], patches[at + 3u]); } }
    }
    workgroupBarrier();
    
  if (part == 0u && query < params.queries) {
    lse[params.lseAt + statisticsAt(batch, head, query)] = select(-1e30, 0.6931471805599453 * (m + log2(l)), l > 0.0);
  }
}
