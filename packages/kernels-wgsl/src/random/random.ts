/**
 * Random numbers by Philox 4x32-10. Element i is made of word i % 4 of counter (floor(i / 4), 0, stream, 0) under
 * the seed as key, so that it depends on i, seed and stream alone:
 *
 *     uniform: floor(word / 2^8) / 2^24, in [0, 1)
 *     normal:  words a, b of each half of the four give radius * cos(angle), radius * sin(angle) with
 *              radius = sqrt(-2 log((floor(a / 2^8) + 1) / 2^24)), angle = 2 pi floor(b / 2^8) / 2^24
 *
 * Operands: seed [2] u32; then the epilogue's; out [count].
 * Tile: 64 invocations of one step: one counter's four elements, or one where the epilogue takes no four.
 * log, sin and cos are series of our own: a CPU adapter's built-ins are good to 2^-11 only, and log's bound
 * near 1 is absolute. Angles are reduced to an eighth of a turn in integers, exactly.
 * Host: outputs longer than a binding are cut.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import type { DType } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type Lowering, read, write } from '../kernel.ts';
import { splitRange, windowOf } from '../pointwise/access.ts';
import {
  emitFusion,
  type Fusion,
  identity,
  largestWindow,
  offsetAlignment,
  takesFourLanes,
} from '../pointwise/fusion.ts';
import { declare, enables, store } from '../storage.ts';
import { PHILOX_WGSL } from './philox.ts';

/** Uniform in [0, 1), or normal with mean 0 and variance 1. */
export type Distribution = 'uniform' | 'normal';

/** Random numbers of one stream. */
export interface RandomSpec {
  readonly count: number;
  readonly distribution: Distribution;
  /** Any 32-bit word: the numbers of different streams are independent. */
  readonly stream: number;
  readonly epilogue?: { readonly fusion: Fusion; readonly dtype: DType };
}

const WORKGROUP = 64;

const DISTRIBUTIONS: Record<Distribution, string> = {
  uniform: `fn distribute(words: vec4<u32>) -> vec4<f32> {
  return vec4<f32>(words >> vec4<u32>(8u)) * ${2 ** -24};
}
`,
  normal: `// -2 log(n / 2^24) for whole n in 1 to 2^24: n = 2^e m with m near 1, log m = 2 artanh((m - 1) / (m + 1)).
fn minusTwiceLog(n: u32) -> f32 {
  let bits = bitcast<u32>(f32(n));
  let high = (bits & 0x7fffffu) > 0x3504f3u;
  let m = bitcast<f32>((bits & 0x7fffffu) | select(0x3f800000u, 0x3f000000u, high));
  let e = f32(i32(bits >> 23u) - 127 - 24 + select(0, 1, high));
  let s = (m - 1.0) / (m + 1.0);
  let s2 = s * s;
  let series = 2.0 * s * (1.0 + s2 * (${1 / 3} + s2 * (0.2 + s2 * (${1 / 7} + s2 * ${1 / 9}))));
  return max(0.0, -2.0 * (e * ${Math.LN2} + series));
}
// (cos, sin) of n / 2^24 turns.
fn direction(n: u32) -> vec2<f32> {
  let quarter = (n + 0x200000u) >> 22u;
  let x = f32(i32(n) - i32(quarter << 22u)) * ${(2 * Math.PI) / 2 ** 24};
  let x2 = x * x;
  let s = x * (1.0 + x2 * (${-1 / 6} + x2 * (${1 / 120} + x2 * (${-1 / 5040} + x2 * ${1 / 362880}))));
  let c = 1.0 + x2 * (-0.5 + x2 * (${1 / 24} + x2 * (${-1 / 720} + x2 * (${1 / 40320} - x2 * ${1 / 3628800}))));
  let turned = select(vec2<f32>(c, s), vec2<f32>(-s, c), (quarter & 1u) == 1u);
  return select(turned, -turned, (quarter & 2u) == 2u);
}
fn distribute(words: vec4<u32>) -> vec4<f32> {
  let n = words >> vec4<u32>(8u);
  return vec4<f32>(
    sqrt(minusTwiceLog(n.x + 1u)) * direction(n.y),
    sqrt(minusTwiceLog(n.z + 1u)) * direction(n.w),
  );
}
`,
};

/** Output [count]: input 0 is the seed [2] u32, then the epilogue's. */
export function lowerRandom(spec: RandomSpec, caps: DeviceCaps): Lowering {
  const { count, distribution, stream } = spec;
  const { fusion, dtype } = spec.epilogue ?? { fusion: identity([count]), dtype: 'f32' };
  const lanes = takesFourLanes(fusion) ? 4 : 1;
  const fused = emitFusion(fusion, 2, dtype, lanes, caps);
  const code = wgsl`${enables([dtype, ...fusion.operands.map((operand) => operand.dtype)], caps)}
struct Params { start: u32, end: u32, stream: u32, atOut: u32, ${fused.fields} }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> seed: array<vec2<u32>>;
${fused.declarations}
${declare(2 + fusion.operands.length, 'out', dtype, 'read_write', caps, lanes)}
${fused.code}
${PHILOX_WGSL}
${DISTRIBUTIONS[distribution]}
@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let i = params.start + (${WORKGROUP_INDEX} * ${WORKGROUP}u + lane) * ${lanes}u;
  if (i >= params.end) { return; }
  let values = distribute(philox4x32(vec4<u32>(i >> 2u, 0u, params.stream, 0u), seed[0]));
  let o = (params.atOut + i) / ${lanes}u;
  ${store('out', dtype, 'o', `fused(i, ${lanes === 4 ? 'values' : 'values[i & 3u]'})`, caps, lanes)}
}
`;
  const limit = caps.limits.maxStorageBufferBindingSize;
  const window = (start: number, end: number) =>
    windowOf(start, end - 1, count, dtype, offsetAlignment(caps));
  const runs = splitRange(
    count,
    4 * WORKGROUP,
    (start, end) => window(start, end).byteLength <= limit && largestWindow(fused, start, end) <= limit,
    () => new TooLargeError(`random: ${4 * WORKGROUP} numbers do not fit in a binding of ${limit} bytes`),
  );
  return {
    scratch: [],
    dispatches: runs.map(([start, end]) => {
      const out = window(start, end);
      const { windows, uniforms } = fused.windows(start, end);
      return {
        label: `random/${distribution} x${lanes}`,
        wgsl: code,
        operands: [
          read(0),
          ...windows.map(({ byteOffset, byteLength }, k) => read(1 + k, { byteOffset, byteLength })),
          write(0, { byteOffset: out.byteOffset, byteLength: out.byteLength }),
        ],
        uniforms: [start, end, stream, -out.firstElement >>> 0, ...uniforms],
        workgroups: lineGrid(Math.ceil((end - start) / lanes / WORKGROUP), caps),
      };
    }),
  };
}
