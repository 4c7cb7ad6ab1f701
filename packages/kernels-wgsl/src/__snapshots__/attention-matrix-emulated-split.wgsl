
var<workgroup> tileQ: array<vec4<u32>, 80>;
var<workgroup> tileKV: array<vec4<u32>, 160>;
var<workgroup> weights: array<vec4<u32>, 80>;
var<workgroup> patches: array<f32, 576>;
// Of the block's keys: 2^(exponent of k), where scores start, exponent of v, and 2^-(that).
var<workgroup> about: array<vec4<f32>, 32>;
var<workgroup> partial: array<f32, 64>;
var<workgroup> grown: atomic<u32>;
fn multiply_tileQ_tileKV(x: u32, y: u32, lane: u32, sum: ptr<function, array<f32, 2>>) {
  for (var e = 0u; e < max(2u, params.first); e++) {
    let m = (e * 32u + lane) / 8u;
    let n = (e * 32u + lane) % 8u;
    for (var k = 0u; k < max(8u, params.first); k++) {
      (*sum)[e] = fma(unpack2x16float(tileQ[x + m * 5u + (k) / 8u][((k) % 8u) / 2u])[(k) % 2u], unpack2x16float(tileKV[y + n * 5u + (k) / 8u][((k) % 8u) / 2u])[(k) % 2u], (*sum)[e]);
    }
  }
}
fn multiply_weights_tileKV(x: u32, y: u32, lane: u32, sum: ptr<function, array<f32, 2>>) {
  for (var e = 0u; e < max(2u, params.first); e++) {
    let m = (e * 32u + lane) / 8u;
    let n = (e * 32u + lane) % 8u;
    for (var k = 0u; k < max(8u, params.first); k++) {
      (*sum)[e] = fma(unpack2x16float(weights[x + m * 5u + (k) / 8u][((k) % 8u) / 2u])[(k) % 2u], unpack2x16float(tileKV[y + k * 5u + (n) / 8u][((n) % 8u) / 2u])[(n) % 2u], (*sum)[e]);
    }
  }
}

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
  let q0 = subgroup * 40u + 0u;
let q1 = subgroup * 40u + 1u;
let q2 = subgroup * 40u + 2u;
let q3 = subgroup * 40u + 3u;
  let queryScale = 1.4426950408889634 * params.scale * exp2(exponentOf(tileQ[row * 5u + 4u]));
  var m = f32(-1e30);
  // This lane's share of the sum of weights.
  var l = 0.0;
  var sum0 = array<f32, 2>();
var sum1 = array<f32, 2>();
var sum2 = array<f32, 2>();
var sum3 = array<f32, 2>();

  let statistics = params.stateAt + statisticsAt(batch, head, safe);
  if (params.first == 0u) {
    m = state[statistics].x;
    if (part == 0u) { l = state[statistics].y; }
    let outAt = params.outAt + queryAt(batch, head, safe);
    
    
    
    workgroupBarrier();
    for (var d = part; d < 32u; d += 4u) { patches[rowPatch + d] = 0.0; }
    
    for (var d = 4u * part; d < 32u; d += 16u) {
      let component = 0u + d;
      let at = rowPatch + d;
      if (component < 20u) { let before = out[outAt + component / 4u]; for (var c = 0u; c < 4u; c++) { patches[at + c] = before[c]; } }
    }
    workgroupBarrier();
    for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; sum0[e] = patches[ownPatch + 0u + i / 8u * 36u + i % 8u]; }
for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; sum1[e] = patches[ownPatch + 8u + i / 8u * 36u + i % 8u]; }
for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; sum2[e] = patches[ownPatch + 16u + i / 8u * 36u + i % 8u]; }
for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; sum3[e] = patches[ownPatch + 24u + i / 8u * 36u + i % 8u]; }
  }

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
    var score0 = array<f32, 2>();
var score1 = array<f32, 2>();
var score2 = array<f32, 2>();
var score3 = array<f32, 2>();
    {
      let k = 0u;
      multiply_tileQ_tileKV(q0, k, lane, &score0);
    }
{
      let k = 40u;
      multiply_tileQ_tileKV(q0, k, lane, &score1);
    }
{
      let k = 80u;
      multiply_tileQ_tileKV(q0, k, lane, &score2);
    }
{
      let k = 120u;
      multiply_tileQ_tileKV(q0, k, lane, &score3);
    }
{
      let k = 1u;
      multiply_tileQ_tileKV(q1, k, lane, &score0);
    }
{
      let k = 41u;
      multiply_tileQ_tileKV(q1, k, lane, &score1);
    }
{
      let k = 81u;
      multiply_tileQ_tileKV(q1, k, lane, &score2);
    }
{
      let k = 121u;
      multiply_tileQ_tileKV(q1, k, lane, &score3);
    }
{
      let k = 2u;
      multiply_tileQ_tileKV(q2, k, lane, &score0);
    }
{
      let k = 42u;
      multiply_tileQ_tileKV(q2, k, lane, &score1);
    }
{
      let k = 82u;
      multiply_tileQ_tileKV(q2, k, lane, &score2);
    }
{
      let k = 122u;
      multiply_tileQ_tileKV(q2, k, lane, &score3);
    }
{
      let k = 3u;
      multiply_tileQ_tileKV(q3, k, lane, &score0);
    }
{
      let k = 43u;
      multiply_tileQ_tileKV(q3, k, lane, &score1);
    }
{
      let k = 83u;
      multiply_tileQ_tileKV(q3, k, lane, &score2);
    }
{
      let k = 123u;
      multiply_tileQ_tileKV(q3, k, lane, &score3);
    }
    for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; patches[ownPatch + 0u + i / 8u * 36u + i % 8u] = score0[e]; }
for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; patches[ownPatch + 8u + i / 8u * 36u + i % 8u] = score1[e]; }
for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; patches[ownPatch + 16u + i / 8u * 36u + i % 8u] = score2[e]; }
for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; patches[ownPatch + 24u + i / 8u * 36u + i % 8u] = score3[e]; }
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
      
    
    for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; patches[ownPatch + 0u + i / 8u * 36u + i % 8u] = sum0[e]; }
for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; patches[ownPatch + 8u + i / 8u * 36u + i % 8u] = sum1[e]; }
for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; patches[ownPatch + 16u + i / 8u * 36u + i % 8u] = sum2[e]; }
for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; patches[ownPatch + 24u + i / 8u * 36u + i % 8u] = sum3[e]; }
    workgroupBarrier();
    
    for (var d = 4u * part; d < 32u; d += 16u) {
      let component = 0u + d;
      let at = rowPatch + d;
      if (component < 20u) { for (var c = 0u; c < 4u; c++) { patches[at + c] *= fade; } }
    }
    workgroupBarrier();
    for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; sum0[e] = patches[ownPatch + 0u + i / 8u * 36u + i % 8u]; }
for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; sum1[e] = patches[ownPatch + 8u + i / 8u * 36u + i % 8u]; }
for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; sum2[e] = patches[ownPatch + 16u + i / 8u * 36u + i % 8u]; }
for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; sum3[e] = patches[ownPatch + 24u + i / 8u * 36u + i % 8u]; }
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
      let p = subgroup * 40u + 0u;
      {
        let v = 0u;
        multiply_weights_tileKV(p, v, lane, &sum0);
      }
{
        let v = 1u;
        multiply_weights_tileKV(p, v, lane, &sum1);
      }
{
        let v = 2u;
        multiply_weights_tileKV(p, v, lane, &sum2);
      }
{
        let v = 3u;
        multiply_weights_tileKV(p, v, lane, &sum3);
      }
    }
{
      let p = subgroup * 40u + 1u;
      {
        let v = 40u;
        multiply_weights_tileKV(p, v, lane, &sum0);
      }
{
        let v = 41u;
        multiply_weights_tileKV(p, v, lane, &sum1);
      }
{
        let v = 42u;
        multiply_weights_tileKV(p, v, lane, &sum2);
      }
{
        let v = 43u;
        multiply_weights_tileKV(p, v, lane, &sum3);
      }
    }
{
      let p = subgroup * 40u + 2u;
      {
        let v = 80u;
        multiply_weights_tileKV(p, v, lane, &sum0);
      }
{
        let v = 81u;
        multiply_weights_tileKV(p, v, lane, &sum1);
      }
{
        let v = 82u;
        multiply_weights_tileKV(p, v, lane, &sum2);
      }
{
        let v = 83u;
        multiply_weights_tileKV(p, v, lane, &sum3);
      }
    }
{
      let p = subgroup * 40u + 3u;
      {
        let v = 120u;
        multiply_weights_tileKV(p, v, lane, &sum0);
      }
{
        let v = 121u;
        multiply_weights_tileKV(p, v, lane, &sum1);
      }
{
        let v = 122u;
        multiply_weights_tileKV(p, v, lane, &sum2);
      }
{
        let v = 123u;
        multiply_weights_tileKV(p, v, lane, &sum3);
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

  if (part == 0u && query < params.queries) { state[statistics] = vec2<f32>(m, l); }
  if (params.last == 0u) { norm = 1.0; }

  let outTo = params.outAt + queryAt(batch, head, safe);
  
    
    for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; patches[ownPatch + 0u + i / 8u * 36u + i % 8u] = sum0[e]; }
for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; patches[ownPatch + 8u + i / 8u * 36u + i % 8u] = sum1[e]; }
for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; patches[ownPatch + 16u + i / 8u * 36u + i % 8u] = sum2[e]; }
for (var e = 0u; e < max(2u, params.first); e++) { let i = e * 32u + lane; patches[ownPatch + 24u + i / 8u * 36u + i % 8u] = sum3[e]; }
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
