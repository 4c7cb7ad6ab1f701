/**
 * A stable radix sort of (key, value) words on the GPU, least significant digit first. Every thread walks a run of
 * neighbouring keys and counts digits in a column of its own in workgroup memory, so nothing is atomic and the
 * order never depends on timing: count by block, scan the table [digit, block], then walk again and place.
 *
 * Wide workgroups with 4-bit digits keep a GPU busy. A CPU behind the same API runs one small workgroup at a
 * time at nearly scalar speed, so there longer runs and 8-bit digits, half the passes, are twice as fast.
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
import { createScan } from './scan.ts';

interface Shape {
  readonly threads: number;
  /** Keys a thread walks. */
  readonly each: number;
  readonly digitBits: number;
}

const ON_GPU: Shape = { threads: 128, each: 16, digitBits: 4 };
const ON_CPU: Shape = { threads: 8, each: 256, digitBits: 8 };

const head = ({ threads, each, digitBits }: Shape) => /* wgsl */ `
// x number of keys, y shift to the digit, z number of blocks
@group(0) @binding(0) var<uniform> sort: vec4u;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
@group(0) @binding(2) var<storage, read_write> table: array<u32>;
// [digit, thread]
var<workgroup> counts: array<u32, ${threads << digitBits}>;

fn digit(i: u32) -> u32 { return (keys[i] >> sort.y) & ${(1 << digitBits) - 1}; }

fn count(block: u32, local: u32) {
  for (var d = 0u; d < ${1 << digitBits}; d++) { counts[d * ${threads} + local] = 0; }
  let first = block * ${threads * each} + local * ${each};
  let end = min(first + ${each}, sort.x);
  for (var i = first; i < end; i++) { counts[digit(i) * ${threads} + local] += 1; }
  workgroupBarrier();
}`;

const countShader = (shape: Shape) => /* wgsl */ `${head(shape)}
@compute @workgroup_size(${shape.threads}) fn main(${WORKGROUP_BUILTINS}) {
  let block = ${WORKGROUP_NUMBER};
  count(block, local);
  if (block >= sort.z) { return; }
  for (var d = local; d < ${1 << shape.digitBits}; d += ${shape.threads}) {
    var sum = 0u;
    for (var t = 0u; t < ${shape.threads}; t++) { sum += counts[d * ${shape.threads} + t]; }
    table[d * sort.z + block] = sum;
  }
}`;

const placeShader = (shape: Shape) => /* wgsl */ `${head(shape)}
@group(0) @binding(3) var<storage, read> values: array<u32>;
@group(0) @binding(4) var<storage, read_write> keysOut: array<u32>;
@group(0) @binding(5) var<storage, read_write> valuesOut: array<u32>;

@compute @workgroup_size(${shape.threads}) fn main(${WORKGROUP_BUILTINS}) {
  let block = ${WORKGROUP_NUMBER};
  count(block, local);
  // From counts to places: those of smaller digits or earlier blocks, then of this block's earlier threads.
  for (var d = local; d < ${1 << shape.digitBits}; d += ${shape.threads}) {
    var next = table[d * sort.z + min(block, sort.z - 1)];
    for (var t = 0u; t < ${shape.threads}; t++) {
      let own = counts[d * ${shape.threads} + t];
      counts[d * ${shape.threads} + t] = next;
      next += own;
    }
  }
  workgroupBarrier();
  let first = block * ${shape.threads * shape.each} + local * ${shape.each};
  let end = min(first + ${shape.each}, sort.x);
  for (var i = first; i < end; i++) {
    let slot = digit(i) * ${shape.threads} + local;
    let place = counts[slot];
    counts[slot] = place + 1;
    keysOut[place] = keys[i];
    valuesOut[place] = values[i];
  }
}`;

export interface KeyedBuffers {
  readonly keys: DeviceBuffer;
  readonly values: DeviceBuffer;
}

export interface RadixSort {
  /**
   * Encodes the sort of `input`'s first `count` words by the low `bits` of their keys, ascending, equal keys in
   * their old order. Overwrites `input` and `other`; returns the one with the result.
   */
  encode(
    pass: GPUComputePassEncoder,
    input: KeyedBuffers,
    other: KeyedBuffers,
    count: number,
    bits: number,
    uniforms: Uniforms,
  ): KeyedBuffers;
}

/** Uniform slots that one `encode` may take: passes of 4 bits, each with its scan's levels. */
export const SORT_SLOTS = 8 * (1 + 4);

/**
 * @param scratch keeps the table of counts.
 * @param kind what to suit.
 */
export async function createRadixSort(
  device: Device,
  scratch: Scratch,
  kind: 'software' | 'hardware',
): Promise<RadixSort> {
  const shape = kind === 'software' ? ON_CPU : ON_GPU;
  const [countKeys, placeKeys, scan] = await Promise.all([
    computePipeline(device, 'radix sort count', countShader(shape)),
    computePipeline(device, 'radix sort place', placeShader(shape)),
    createScan(device, scratch),
  ]);
  return {
    encode(pass, input, other, count, bits, uniforms) {
      const blocks = Math.ceil(count / (shape.threads * shape.each));
      if (blocks === 0) return input;
      const entries = blocks << shape.digitBits;
      const table = scratch.get('digits', 4 * entries);
      let [from, to] = [input, other];
      for (let shift = 0; shift < bits; shift += shape.digitBits) {
        const sizes = uniforms.words(count, shift, blocks);
        dispatch(device, pass, countKeys, [sizes, from.keys, table], blocks);
        scan.encode(pass, table, entries, uniforms, 'digits');
        dispatch(device, pass, placeKeys, [sizes, from.keys, table, from.values, to.keys, to.values], blocks);
        [from, to] = [to, from];
      }
      return from;
    },
  };
}
