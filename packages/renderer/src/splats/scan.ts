/**
 * Exclusive prefix sums on the GPU, in place: every workgroup scans a block and keeps its total, the totals are
 * scanned in turn, and added back. Sums stop at 2^32 - 1 rather than wrap, which is associative too, so that a
 * caller can tell an overflow from a small sum.
 */
import type { Device, DeviceBuffer } from '@dwm/core-tensor';
import {
  computePipeline,
  dispatch,
  type Scratch,
  type Uniforms,
  WORKGROUP_BUILTINS,
  WORKGROUP_NUMBER,
} from './compute.ts';

/** Threads of a workgroup, and how many neighbouring values each takes. */
const THREADS = 64;
const EACH = 16;
const BLOCK = THREADS * EACH;

const SATURATING_ADD = /* wgsl */ `
fn plus(a: u32, b: u32) -> u32 {
  let sum = a + b;
  return select(sum, 0xffffffffu, sum < a);
}`;

const SCAN_BLOCKS = /* wgsl */ `
@group(0) @binding(0) var<uniform> count: vec4u;
@group(0) @binding(1) var<storage, read_write> values: array<u32>;
@group(0) @binding(2) var<storage, read_write> totals: array<u32>;
var<workgroup> sums: array<u32, ${THREADS}>;
${SATURATING_ADD}
@compute @workgroup_size(${THREADS}) fn main(${WORKGROUP_BUILTINS}) {
  let block = ${WORKGROUP_NUMBER};
  let first = block * ${BLOCK} + local * ${EACH};
  let end = min(first + ${EACH}, count.x);
  var sum = 0u;
  for (var i = first; i < end; i++) { sum = plus(sum, values[i]); }
  sums[local] = sum;
  // Hillis and Steele: after the step of width w, a thread holds the sum of the 2 w threads that end with it.
  for (var width = 1u; width < ${THREADS}; width *= 2) {
    workgroupBarrier();
    var left = 0u;
    if (local >= width) { left = sums[local - width]; }
    workgroupBarrier();
    sums[local] = plus(left, sums[local]);
  }
  workgroupBarrier();
  var running = 0u;
  if (local > 0) { running = sums[local - 1]; }
  for (var i = first; i < end; i++) {
    let value = values[i];
    values[i] = running;
    running = plus(running, value);
  }
  if (local == ${THREADS - 1} && block * ${BLOCK} < count.x) { totals[block] = sums[local]; }
}`;

const ADD_TOTALS = /* wgsl */ `
@group(0) @binding(0) var<uniform> count: vec4u;
@group(0) @binding(1) var<storage, read_write> values: array<u32>;
@group(0) @binding(2) var<storage, read> totals: array<u32>;
${SATURATING_ADD}
@compute @workgroup_size(${THREADS}) fn main(${WORKGROUP_BUILTINS}) {
  let block = ${WORKGROUP_NUMBER};
  for (var k = 0u; k < ${EACH}; k++) {
    let i = block * ${BLOCK} + k * ${THREADS} + local;
    if (i < count.x) { values[i] = plus(values[i], totals[block]); }
  }
}`;

export interface Scan {
  /** Encodes the scan of `values[0 .. count)` and returns the buffer whose first word will be the grand total. */
  encode(
    pass: GPUComputePassEncoder,
    values: DeviceBuffer,
    count: number,
    uniforms: Uniforms,
    name: string,
  ): DeviceBuffer;
}

/** @param scratch keeps the totals, under `name`. */
export async function createScan(device: Device, scratch: Scratch): Promise<Scan> {
  const [scan, add] = await Promise.all([
    computePipeline(device, 'scan blocks', SCAN_BLOCKS),
    computePipeline(device, 'scan totals', ADD_TOTALS),
  ]);
  const encode: Scan['encode'] = (pass, values, count, uniforms, name) => {
    const blocks = Math.max(1, Math.ceil(count / BLOCK));
    const totals = scratch.get(`${name} totals`, 4 * blocks);
    const size = uniforms.words(count);
    dispatch(device, pass, scan, [size, values, totals], blocks);
    if (blocks === 1) return totals;
    const grand = encode(pass, totals, blocks, uniforms, `${name} totals`);
    dispatch(device, pass, add, [size, values, totals], blocks);
    return grand;
  };
  return { encode };
}
