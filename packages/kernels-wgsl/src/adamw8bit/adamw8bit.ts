/**
 * A step of AdamW whose moments are kept in 8 bits an element, in blocks of 256 with a scale each (Dettmers et al.,
 * "8-bit Optimizers via Block-wise Quantization", arXiv:2110.02861):
 *
 *     m' = beta1 m + (1 - beta1) g        r' = sqrt(beta2 r² + (1 - beta2) g²)
 *     theta' = decay theta - rate m' / (bias r' + eps)
 *
 * The root r of the second moment is stored, not the moment itself: it spans half the decades. A byte stands for a share of the
 * largest magnitude of its block. The highest set bit at place p of a code of B bits names the decade, the bits below it
 * a place in it, so that codes ascend with their values, from 10^-B to exactly 1:
 *
 *     value(0) = 0,   value(2^p + f) = 10^-(B - 1 - p) (0.1 + 0.9 (f + 1) / 2^p)
 *
 * m has a sign and B = 7, r has B = 8 and becomes 0 only where it is 0, since it divides. Rounding is stochastic, by a hash
 * of element and step: to the nearest, averages with a decay near 1 would stop moving. The step itself uses m' and r' as they are
 * before rounding.
 *
 * Operands: theta [n] f32, g [n] f32, codes [n / 4][m, r] u32 of four bytes each, maxima [blocks][m, r] f32,
 * scalars [4] f32: decay, rate, bias, number of the step; out: theta', codes', maxima'.
 * Tile: 64 invocations for a block, four elements each; the block's maxima by a tree in workgroup memory.
 * Host: n is a multiple of 4; tensors longer than a binding are cut at blocks whose maxima lie at aligned offsets.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { TooLargeError } from '../errors.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { f32Bits, type Lowering, type Operand, read, write } from '../kernel.ts';
import { splitRange } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';

/** One parameter tensor, and the constants of the optimizer. */
export interface AdamW8bitSpec {
  /** Elements; a multiple of 4. */
  readonly count: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
}

/** Elements that share a scale. */
export const MOMENT_BLOCK = 256;

const LANES = MOMENT_BLOCK / 4;

const CODE = wgsl`
struct Params { first: u32, count: u32, blocks: u32, beta1: f32, beta2: f32, eps: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> theta: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> gradient: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> codes: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> maxima: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> scalars: array<f32>;
@group(0) @binding(6) var<storage, read_write> nextTheta: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> nextCodes: array<vec2<u32>>;
@group(0) @binding(8) var<storage, read_write> nextMaxima: array<vec2<f32>>;
const UP = array<f32, 8>(1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7);
const DOWN = array<f32, 8>(1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7);
var<workgroup> largest: array<vec2<f32>, ${LANES}>;

fn value(code: u32, bits: u32) -> f32 {
  if (code == 0u) { return 0.0; }
  let place = firstLeadingBit(code);
  let size = f32(1u << place);
  return DOWN[bits - 1u - place] * (0.1 + 0.9 * (f32(code + 1u) - size) / size);
}
// The code of x in [0, 1], rounded up with the probability that makes its mean x.
fn codeOf(x: f32, bits: u32, chance: f32) -> u32 {
  var decade = 0u;
  while (decade < bits - 1u && x <= DOWN[decade + 1u]) { decade++; }
  let size = f32(1u << (bits - 1u - decade));
  let start = select(0.1, 0.0, decade == bits - 1u);
  let steps = (x * UP[decade] - start) / (1.0 - start) * size;
  return u32(max(0.0, size - 1.0 + floor(steps + chance)));
}
fn hash(element: u32, step: u32) -> u32 {
  var h = element * 747796405u + step * 2891336453u + 277803737u;
  h = ((h >> ((h >> 28u) + 4u)) ^ h) * 277803737u;
  h = (h >> 22u) ^ h;
  h = h * 1664525u + 1013904223u;
  return h ^ (h >> 16u);
}

@compute @workgroup_size(${LANES})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let block = ${WORKGROUP_INDEX};
  let i = block * ${LANES}u + lane;
  let inside = block < params.blocks && i < params.count / 4u;
  var m = vec4<f32>(0.0);
  var r = vec4<f32>(0.0);
  if (inside) {
    let scale = maxima[block];
    let packed = codes[i];
    for (var k = 0u; k < 4u; k++) {
      let byte = (packed.x >> (8u * k)) & 0xffu;
      m[k] = select(1.0, -1.0, byte > 127u) * value(byte & 127u, 7u) * scale.x;
      r[k] = value((packed.y >> (8u * k)) & 0xffu, 8u) * scale.y;
    }
    let g = gradient[i];
    m = params.beta1 * m + (1.0 - params.beta1) * g;
    r = sqrt(params.beta2 * r * r + (1.0 - params.beta2) * g * g);
    nextTheta[i] = scalars[0] * theta[i] - scalars[1] * m / (scalars[2] * r + params.eps);
  }
  let size = abs(m);
  largest[lane] = vec2<f32>(max(max(size.x, size.y), max(size.z, size.w)), max(max(r.x, r.y), max(r.z, r.w)));
  for (var step = ${LANES / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (lane < step) { largest[lane] = max(largest[lane], largest[lane + step]); }
  }
  workgroupBarrier();
  if (!inside) { return; }
  let top = largest[0];
  if (lane == 0u) { nextMaxima[block] = top; }
  var packed = vec2<u32>(0u);
  let number = u32(scalars[3]);
  for (var k = 0u; k < 4u; k++) {
    let chance = hash(params.first + 4u * i + k, number);
    if (size[k] > 0.0) {
      let code = codeOf(min(1.0, size[k] / top.x), 7u, f32(chance & 0xffffu) / 65536.0);
      packed.x |= (code | select(0u, 128u, m[k] < 0.0)) << (8u * k);
    }
    if (r[k] > 0.0) {
      packed.y |= max(1u, codeOf(min(1.0, r[k] / top.y), 8u, f32(chance >> 16u) / 65536.0)) << (8u * k);
    }
  }
  nextCodes[i] = packed;
}
`;

/**
 * The step for `spec`, cut where a tensor is longer than a binding: inputs and outputs as the file's head lists
 * them.
 */
export function lowerAdamW8bit(spec: AdamW8bitSpec, caps: DeviceCaps): Lowering {
  const { count, beta1, beta2, eps } = spec;
  const limit = caps.limits.maxStorageBufferBindingSize;
  // Two floats a block: so many blocks fill the alignment of an offset.
  const quantum = MOMENT_BLOCK * Math.max(1, offsetAlignment(caps) / 8);
  const runs = splitRange(
    count,
    quantum,
    (start, end) => (end - start) * 4 <= limit,
    () => new TooLargeError(`adamw8bit: ${quantum} elements do not fit in a binding of ${limit} bytes`),
  );
  return {
    scratch: [],
    dispatches: runs.map(([start, end]) => {
      const blocks = Math.ceil((end - start) / MOMENT_BLOCK);
      const elements = (operand: typeof read, index: number, bytes: number): Operand =>
        operand(index, { byteOffset: start * bytes, byteLength: (end - start) * bytes });
      const scales = {
        byteOffset: (start / MOMENT_BLOCK) * 8,
        byteLength: Math.ceil((blocks * 8) / 16) * 16,
      };
      return {
        label: 'adamw8bit/blocks of 256',
        wgsl: CODE,
        operands: [
          elements(read, 0, 4),
          elements(read, 1, 4),
          elements(read, 2, 2),
          read(3, scales),
          read(4),
          elements(write, 0, 4),
          elements(write, 1, 2),
          write(2, scales),
        ],
        uniforms: [start, end - start, blocks, f32Bits(beta1), f32Bits(beta2), f32Bits(eps)],
        workgroups: lineGrid(blocks, caps),
      };
    }),
  };
}
