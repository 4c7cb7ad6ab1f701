enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);

// Queries, then weights.
var<workgroup> tileQ: array<vec4<u32>, 160>;
var<workgroup> tileKV: array<vec4<u32>, 160>;

var<workgroup> patches: array<f32, 1152>;
// Of the block's keys: scale of k, where scores start, exponent of v, and 2^-(that).
var<workgroup> about: array<vec4<f32>, 32>;
var<workgroup> partial: array<f32, 128>;
var<workgroup> grown: atomic<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let tile = (workgroup.x + grid.x * (workgroup.y + grid.y * workgroup.z));
  if (tile >= params.workgroups) { return; }
  let head = (tile / params.blocks) % params.heads;
  let batch = tile / params.blocks / params.heads;
  let firstQuery = (tile % params.blocks) * 32u;
  // Rows are a token's heads: their components are 5 vec4s.
  let rowStride = params.tokenStride / 5u;
  let queriesAt = queryAt(batch, head, 0u) / 5u;
  let keysAt = keyAt(batch, head) / 5u;
  // Tokens of the whole, which have a scale each.
  let queryTokens = batch * (params.queryBatchStride / params.tokenStride);
  let keyTokens = batch * (params.keyBatchStride / params.tokenStride);
  let lastKey = params.keys - 1u;
  let subgroup = index / 32u;
  let lane = index % 32u;
  let part = lane % 4u;
  let ownPatch = subgroup * 576u;
  let row0 = subgroup * 16u + 0u + lane / 4u;
  let query0 = firstQuery + row0;
  let safe0 = min(query0, params.queries - 1u);
  let rowPatch0 = row0 * 36u;
let row1 = subgroup * 16u + 8u + lane / 4u;
  let query1 = firstQuery + row1;
  let safe1 = min(query1, params.queries - 1u);
  let rowPatch1 = row1 * 36u;
  
    for (var i = index; i < 128u; i += 64u) {
      let line = i / 4u;
      let w = i % 4u;
      tileQ[line * 5u + w] = select(vec4<u32>(), q[params.qAt + (queriesAt + min(firstQuery + line, params.queries - 1u) * rowStride) * 2.5u + min(w, 1.5u)], w < 2.5u);
    }
  workgroupBarrier();
  let q0_0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 0u, 5u);
let q0_1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 1u, 5u);
let q0_2 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 2u, 5u);
let q0_3 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 3u, 5u);
  let queryScale0 = 1.4426950408889634 * params.scale * qScale[params.qScaleAt + queryTokens + safe0];
  var m0 = f32(-1e30);
  // This lane's share of the sum of weights.
  var l0 = 0.0;
  var sum0_0 = subgroup_matrix_result<f32, 8, 8>();
var sum0_1 = subgroup_matrix_result<f32, 8, 8>();
var sum0_2 = subgroup_matrix_result<f32, 8, 8>();
var sum0_3 = subgroup_matrix_result<f32, 8, 8>();

let q1_0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 40u, 5u);
let q1_1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 41u, 5u);
let q1_2 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 42u, 5u);
let q1_3 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 43u, 5u);
  let queryScale1 = 1.4426950408889634 * params.scale * qScale[params.qScaleAt + queryTokens + safe1];
  var m1 = f32(-1e30);
  // This lane's share of the sum of weights.
  var l1 = 0.0;
  var sum1_0 = subgroup_matrix_result<f32, 8, 8>();
var sum1_1 = subgroup_matrix_result<f32, 8, 8>();
var sum1_2 = subgroup_matrix_result<f32, 8, 8>();
var sum1_3 = subgroup_matrix_result<f32, 8, 8>();


  for (var firstKey = 0u; firstKey < params.keys; firstKey += 32u) {
    workgroupBarrier();
    
    for (var i = index; i < 128u; i += 64u) {
      let line = i / 4u;
      let w = i % 4u;
      tileKV[line * 5u + w] = select(vec4<u32>(), k[params.kAt + (keysAt + min(firstKey + line, lastKey) * rowStride) * 2.5u + min(w, 1.5u)], w < 2.5u);
    }
    if (index == 0u) { atomicStore(&grown, 0u); }
    for (var j = index; j < 32u; j += 64u) {
      let token = keyTokens + min(firstKey + j, lastKey);
      // A power of two.
      let scale = bitcast<u32>(vScale[params.vScaleAt + token]);
      let exponent = max(f32(scale >> 23u) - 127.0, -107.0);
      about[j] = vec4<f32>(
        kScale[params.kScaleAt + token], keyScore(batch, firstKey + j), exponent, exp2(-exponent));
    }
    workgroupBarrier();
    var score0_0 = subgroup_matrix_result<f32, 8, 8>();
var score0_1 = subgroup_matrix_result<f32, 8, 8>();
var score0_2 = subgroup_matrix_result<f32, 8, 8>();
var score0_3 = subgroup_matrix_result<f32, 8, 8>();
var score1_0 = subgroup_matrix_result<f32, 8, 8>();
var score1_1 = subgroup_matrix_result<f32, 8, 8>();
var score1_2 = subgroup_matrix_result<f32, 8, 8>();
var score1_3 = subgroup_matrix_result<f32, 8, 8>();
    {
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 0u, 5u);
      score0_0 = subgroupMatrixMultiplyAccumulate(q0_0, k, score0_0);
score1_0 = subgroupMatrixMultiplyAccumulate(q1_0, k, score1_0);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 40u, 5u);
      score0_1 = subgroupMatrixMultiplyAccumulate(q0_0, k, score0_1);
score1_1 = subgroupMatrixMultiplyAccumulate(q1_0, k, score1_1);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 80u, 5u);
      score0_2 = subgroupMatrixMultiplyAccumulate(q0_0, k, score0_2);
score1_2 = subgroupMatrixMultiplyAccumulate(q1_0, k, score1_2);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 120u, 5u);
      score0_3 = subgroupMatrixMultiplyAccumulate(q0_0, k, score0_3);
score1_3 = subgroupMatrixMultiplyAccumulate(q1_0, k, score1_3);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 1u, 5u);
      score0_0 = subgroupMatrixMultiplyAccumulate(q0_1, k, score0_0);
score1_0 = subgroupMatrixMultiplyAccumulate(q1_1, k, score1_0);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 41u, 5u);
      score0_1 = subgroupMatrixMultiplyAccumulate(q0_1, k, score0_1);
score1_1 = subgroupMatrixMultiplyAccumulate(q1_1, k, score1_1);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 81u, 5u);
      score0_2 = subgroupMatrixMultiplyAccumulate(q0_1, k, score0_2);
score1_2 = subgroupMatrixMultiplyAccumulate(q1_1, k, score1_2);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 121u, 5u);
      score0_3 = subgroupMatrixMultiplyAccumulate(q0_1, k, score0_3);
score1_3 = subgroupMatrixMultiplyAccumulate(q1_1, k, score1_3);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 2u, 5u);
      score0_0 = subgroupMatrixMultiplyAccumulate(q0_2, k, score0_0);
score1_0 = subgroupMatrixMultiplyAccumulate(q1_2, k, score1_0);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 42u, 5u);
      score0_1 = subgroupMatrixMultiplyAccumulate(q0_2, k, score0_1);
score1_1 = subgroupMatrixMultiplyAccumulate(q1_2, k, score1_1);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 82u, 5u);
      score0_2 = subgroupMatrixMultiplyAccumulate(q0_2, k, score0_2);
score1_2 = subgroupMatrixMultiplyAccumulate(q1_2, k, score1_2);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 122u, 5u);
      score0_3 = subgroupMatrixMultiplyAccumulate(q0_2, k, score0_3);
score1_3 = subgroupMatrixMultiplyAccumulate(q1_2, k, score1_3);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 3u, 5u);
      score0_0 = subgroupMatrixMultiplyAccumulate(q0_3, k, score0_0);
score1_0 = subgroupMatrixMultiplyAccumulate(q1_3, k, score1_0);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 43u, 5u);
      score0_1 = subgroupMatrixMultiplyAccumulate(q0_3, k, score0_1);
score1_1 = subgroupMatrixMultiplyAccumulate(q1_3, k, score1_1);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 83u, 5u);
      score0_2 = subgroupMatrixMultiplyAccumulate(q0_3, k, score0_2);
score1_2 = subgroupMatrixMultiplyAccumulate(q1_3, k, score1_2);
    }
{
      let k = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, col_major>(&tileKV, 123u, 5u);
      score0_3 = subgroupMatrixMultiplyAccumulate(q0_3, k, score0_3);
score1_3 = subgroupMatrixMultiplyAccumulate(q1_3, k, score1_3);
    }
    subgroupMatrixStore<row_major>(&patches, ownPatch + 0u + 0u, score0_0, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 0u + 8u, score0_1, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 0u + 16u, score0_2, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 0u + 24u, score0_3, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 288u + 0u, score1_0, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 288u + 8u, score1_1, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 288u + 16u, score1_2, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 288u + 24u, score1_3, 36u);
    workgroupBarrier();
    
    for (var i = index; i < 128u; i += 64u) {
      let line = i / 4u;
      let w = i % 4u;
      tileKV[line * 5u + w] = select(vec4<u32>(), v[params.vAt + (keysAt + min(firstKey + line, lastKey) * rowStride) * 2.5u + min(w, 1.5u)], w < 2.5u);
    }
    let ownKey = part * 8u;
    let about0 = about[ownKey + 0u];
let about1 = about[ownKey + 1u];
let about2 = about[ownKey + 2u];
let about3 = about[ownKey + 3u];
let about4 = about[ownKey + 4u];
let about5 = about[ownKey + 5u];
let about6 = about[ownKey + 6u];
let about7 = about[ownKey + 7u];
    let t0_0 = fma(patches[rowPatch0 + ownKey + 0u], queryScale0 * about0.x, about0.y) + about0.z;
let t0_1 = fma(patches[rowPatch0 + ownKey + 1u], queryScale0 * about1.x, about1.y) + about1.z;
let t0_2 = fma(patches[rowPatch0 + ownKey + 2u], queryScale0 * about2.x, about2.y) + about2.z;
let t0_3 = fma(patches[rowPatch0 + ownKey + 3u], queryScale0 * about3.x, about3.y) + about3.z;
let t0_4 = fma(patches[rowPatch0 + ownKey + 4u], queryScale0 * about4.x, about4.y) + about4.z;
let t0_5 = fma(patches[rowPatch0 + ownKey + 5u], queryScale0 * about5.x, about5.y) + about5.z;
let t0_6 = fma(patches[rowPatch0 + ownKey + 6u], queryScale0 * about6.x, about6.y) + about6.z;
let t0_7 = fma(patches[rowPatch0 + ownKey + 7u], queryScale0 * about7.x, about7.y) + about7.z;
    var top0 = t0_0;
    top0 = max(top0, t0_1);
top0 = max(top0, t0_2);
top0 = max(top0, t0_3);
top0 = max(top0, t0_4);
top0 = max(top0, t0_5);
top0 = max(top0, t0_6);
top0 = max(top0, t0_7);
    partial[row0 * 4u + part] = top0;
    if (top0 > m0 + 8.0) { atomicOr(&grown, 1u); }
let t1_0 = fma(patches[rowPatch1 + ownKey + 0u], queryScale1 * about0.x, about0.y) + about0.z;
let t1_1 = fma(patches[rowPatch1 + ownKey + 1u], queryScale1 * about1.x, about1.y) + about1.z;
let t1_2 = fma(patches[rowPatch1 + ownKey + 2u], queryScale1 * about2.x, about2.y) + about2.z;
let t1_3 = fma(patches[rowPatch1 + ownKey + 3u], queryScale1 * about3.x, about3.y) + about3.z;
let t1_4 = fma(patches[rowPatch1 + ownKey + 4u], queryScale1 * about4.x, about4.y) + about4.z;
let t1_5 = fma(patches[rowPatch1 + ownKey + 5u], queryScale1 * about5.x, about5.y) + about5.z;
let t1_6 = fma(patches[rowPatch1 + ownKey + 6u], queryScale1 * about6.x, about6.y) + about6.z;
let t1_7 = fma(patches[rowPatch1 + ownKey + 7u], queryScale1 * about7.x, about7.y) + about7.z;
    var top1 = t1_0;
    top1 = max(top1, t1_1);
top1 = max(top1, t1_2);
top1 = max(top1, t1_3);
top1 = max(top1, t1_4);
top1 = max(top1, t1_5);
top1 = max(top1, t1_6);
top1 = max(top1, t1_7);
    partial[row1 * 4u + part] = top1;
    if (top1 > m1 + 8.0) { atomicOr(&grown, 1u); }
    if (workgroupUniformLoad(&grown) != 0u) {
      var highest0 = m0;
      for (var i = 0u; i < 4u; i++) { highest0 = max(highest0, partial[row0 * 4u + i]); }
      let fade0 = exp2(m0 - highest0);
      m0 = highest0;
      l0 *= fade0;
var highest1 = m1;
      for (var i = 0u; i < 4u; i++) { highest1 = max(highest1, partial[row1 * 4u + i]); }
      let fade1 = exp2(m1 - highest1);
      m1 = highest1;
      l1 *= fade1;
      
    
    subgroupMatrixStore<row_major>(&patches, ownPatch + 0u + 0u, sum0_0, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 0u + 8u, sum0_1, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 0u + 16u, sum0_2, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 0u + 24u, sum0_3, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 288u + 0u, sum1_0, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 288u + 8u, sum1_1, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 288u + 16u, sum1_2, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 288u + 24u, sum1_3, 36u);
    workgroupBarrier();
    
    for (var d = 4u * part; d < 32u; d += 16u) {
      let component = 0u + d;
      let at = rowPatch0 + d;
      if (component < 20u) { for (var c = 0u; c < 4u; c++) { patches[at + c] *= fade0; } }
    }

    for (var d = 4u * part; d < 32u; d += 16u) {
      let component = 0u + d;
      let at = rowPatch1 + d;
      if (component < 20u) { for (var c = 0u; c < 4u; c++) { patches[at + c] *= fade1; } }
    }
    workgroupBarrier();
    sum0_0 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&patches, ownPatch + 0u + 0u, 36u);
sum0_1 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&patches, ownPatch + 0u + 8u, 36u);
sum0_2 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&patches, ownPatch + 0u + 16u, 36u);
sum0_3 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&patches, ownPatch + 0u + 24u, 36u);
sum1_0 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&patches, ownPatch + 288u + 0u, 36u);
sum1_1 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&patches, ownPatch + 288u + 8u, 36u);
sum1_2 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&patches, ownPatch + 288u + 16u, 36u);
sum1_3 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&patches, ownPatch + 288u + 24u, 36u);
    }
    let p0_0 = exp2(t0_0 - m0);
l0 = fma(p0_0, about0.w, l0);
let p0_1 = exp2(t0_1 - m0);
l0 = fma(p0_1, about1.w, l0);
let p0_2 = exp2(t0_2 - m0);
l0 = fma(p0_2, about2.w, l0);
let p0_3 = exp2(t0_3 - m0);
l0 = fma(p0_3, about3.w, l0);
let p0_4 = exp2(t0_4 - m0);
l0 = fma(p0_4, about4.w, l0);
let p0_5 = exp2(t0_5 - m0);
l0 = fma(p0_5, about5.w, l0);
let p0_6 = exp2(t0_6 - m0);
l0 = fma(p0_6, about6.w, l0);
let p0_7 = exp2(t0_7 - m0);
l0 = fma(p0_7, about7.w, l0);
    tileQ[row0 * 5u + part * 1u + 0u] = vec4<u32>(pack2x16float(vec2<f32>(p0_0, p0_1)), pack2x16float(vec2<f32>(p0_2, p0_3)), pack2x16float(vec2<f32>(p0_4, p0_5)), pack2x16float(vec2<f32>(p0_6, p0_7)));
let p1_0 = exp2(t1_0 - m1);
l1 = fma(p1_0, about0.w, l1);
let p1_1 = exp2(t1_1 - m1);
l1 = fma(p1_1, about1.w, l1);
let p1_2 = exp2(t1_2 - m1);
l1 = fma(p1_2, about2.w, l1);
let p1_3 = exp2(t1_3 - m1);
l1 = fma(p1_3, about3.w, l1);
let p1_4 = exp2(t1_4 - m1);
l1 = fma(p1_4, about4.w, l1);
let p1_5 = exp2(t1_5 - m1);
l1 = fma(p1_5, about5.w, l1);
let p1_6 = exp2(t1_6 - m1);
l1 = fma(p1_6, about6.w, l1);
let p1_7 = exp2(t1_7 - m1);
l1 = fma(p1_7, about7.w, l1);
    tileQ[row1 * 5u + part * 1u + 0u] = vec4<u32>(pack2x16float(vec2<f32>(p1_0, p1_1)), pack2x16float(vec2<f32>(p1_2, p1_3)), pack2x16float(vec2<f32>(p1_4, p1_5)), pack2x16float(vec2<f32>(p1_6, p1_7)));
    workgroupBarrier();
    {
      let p0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 0u, 5u);
let p1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 40u, 5u);
      {
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 0u, 5u);
        sum0_0 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_0);
sum1_0 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_0);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 1u, 5u);
        sum0_1 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_1);
sum1_1 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_1);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 2u, 5u);
        sum0_2 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_2);
sum1_2 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_2);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 3u, 5u);
        sum0_3 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_3);
sum1_3 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_3);
      }
    }
{
      let p0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 1u, 5u);
let p1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 41u, 5u);
      {
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 40u, 5u);
        sum0_0 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_0);
sum1_0 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_0);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 41u, 5u);
        sum0_1 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_1);
sum1_1 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_1);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 42u, 5u);
        sum0_2 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_2);
sum1_2 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_2);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 43u, 5u);
        sum0_3 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_3);
sum1_3 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_3);
      }
    }
{
      let p0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 2u, 5u);
let p1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 42u, 5u);
      {
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 80u, 5u);
        sum0_0 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_0);
sum1_0 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_0);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 81u, 5u);
        sum0_1 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_1);
sum1_1 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_1);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 82u, 5u);
        sum0_2 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_2);
sum1_2 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_2);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 83u, 5u);
        sum0_3 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_3);
sum1_3 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_3);
      }
    }
{
      let p0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 3u, 5u);
let p1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 8, 8>, row_major>(&tileQ, subgroup * 80u + 43u, 5u);
      {
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 120u, 5u);
        sum0_0 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_0);
sum1_0 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_0);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 121u, 5u);
        sum0_1 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_1);
sum1_1 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_1);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 122u, 5u);
        sum0_2 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_2);
sum1_2 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_2);
      }
{
        let v = subgroupMatrixLoad<subgroup_matrix_right<f16, 8, 8>, row_major>(&tileKV, 123u, 5u);
        sum0_3 = subgroupMatrixMultiplyAccumulate(p0, v, sum0_3);
sum1_3 = subgroupMatrixMultiplyAccumulate(p1, v, sum1_3);
      }
    }
  }
  workgroupBarrier();
  partial[row0 * 4u + part] = l0;
partial[row1 * 4u + part] = l1;
  workgroupBarrier();
  l0 = 0.0;
  for (var i = 0u; i < 4u; i++) { l0 += partial[row0 * 4u + i]; }
  // Unlike in `normaliser`, weights of v's exponents make sums of any size.
  var norm0 = select(0.0, 1.0 / l0, l0 > 0.0);

  let outTo0 = params.outAt + queryAt(batch, head, safe0);
l1 = 0.0;
  for (var i = 0u; i < 4u; i++) { l1 += partial[row1 * 4u + i]; }
  // Unlike in `normaliser`, weights of v's exponents make sums of any size.
  var norm1 = select(0.0, 1.0 / l1, l1 > 0.0);

  let outTo1 = params.outAt + queryAt(batch, head, safe1);
  
    
    subgroupMatrixStore<row_major>(&patches, ownPatch + 0u + 0u, sum0_0, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 0u + 8u, sum0_1, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 0u + 16u, sum0_2, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 0u + 24u, sum0_3, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 288u + 0u, sum1_0, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 288u + 8u, sum1_1, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 288u + 16u, sum1_2, 36u);
subgroupMatrixStore<row_major>(&patches, ownPatch + 288u + 24u, sum1_3, 36u);
    workgroupBarrier();
    
    for (var d = 4u * part; d < 32u; d += 16u) {
      let component = 0u + d;
      let at = rowPatch0 + d;
      if (component < 20u) { if (query0 < params.queries) { out[outTo0 + component / 4u] = norm0 * vec4<f32>(patches[at], patches[at + 1u], patches[at + 2u], patches[at + 3u]); } }
    }

    for (var d = 4u * part; d < 32u; d += 16u) {
      let component = 0u + d;
      let at = rowPatch1 + d;
      if (component < 20u) { if (query1 < params.queries) { out[outTo1 + component / 4u] = norm1 * vec4<f32>(patches[at], patches[at + 1u], patches[at + 2u], patches[at + 3u]); } }
    }
    workgroupBarrier();
    
  if (part == 0u && query0 < params.queries) {
    lse[params.lseAt + statisticsAt(batch, head, query0)] = select(-1e30, 0.6931471805599453 * (m0 + log2(l0)), l0 > 0.0);
  }
if (part == 0u && query1 < params.queries) {
    lse[params.lseAt + statisticsAt(batch, head, query1)] = select(-1e30, 0.6931471805599453 * (m1 + log2(l1)), l1 > 0.0);
  }
}
