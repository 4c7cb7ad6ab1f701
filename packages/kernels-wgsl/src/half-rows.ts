/**
 * Results as scaled halves, which is how products in f16 want their operands (`matmul/stage-half.ts`): a kernel
 * that makes such rows stores half as many bytes, and nobody turns them into halves afterwards.
 *
 *     half[r, c] = value[r, c] · 2^-e[r],   scale[r] = 2^e[r],   |half| < 2^top
 *
 * The largest value of a row is not known before all of it is computed. So e follows from a bound, by what is known
 * before: how large what the kernel accumulates can be, and the largest operands of its epilogue. A bound that is 2^b
 * too large costs nothing as long as b stays below some top: the largest value of a row is then still where `stageHalf`
 * would have it with a top of 0, and what is lost are values 2^-14 as large.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from './caps.ts';
import { bytesOf, type DType, valueType } from './dtype.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from './grid.ts';
import { type Dispatch, f32Bits, type Operand, read, write } from './kernel.ts';
import { elementCount, elementRange, windowOf } from './pointwise/access.ts';
import { type Expression, toWgsl } from './pointwise/expression.ts';
import { type Fusion, offsetAlignment } from './pointwise/fusion.ts';
import { magnitude } from './pointwise/magnitude.ts';
import { declare, enables, type Lanes, load } from './storage.ts';

/** Halves of a left operand are below 2^this, and those of a right one below 1: their products are halves too. */
export const HALF_TOP = 15;

/** Elements of an operand whose largest is looked for by each workgroup. */
const MOST_ELEMENTS = 1 << 16;
const WORKGROUP = 256;

/** Elements [from, end) of a bound window, the largest magnitude of which is wanted. */
export interface Range {
  readonly operand: Operand;
  readonly dtype: DType;
  readonly from: number;
  readonly end: number;
}

/** A bound of what `fusion` makes of an accumulator. */
export interface FusedBound {
  readonly expression: Expression;
  /** Of the operands. */
  readonly ranges: readonly Range[];
}

/** @param firstInput of the operands. Undefined where there is no bound, or none that is found in a moment. */
export function fusedBound(fusion: Fusion, firstInput: number, caps: DeviceCaps): FusedBound | undefined {
  const expression = magnitude(fusion.expression);
  const all = elementCount(fusion.shape);
  const ranges = fusion.operands.map(({ dtype, access, count }, k): Range => {
    const [low, high] = elementRange(access, fusion.shape, 0, all);
    const { firstElement, ...bytes } = windowOf(low, high, count, dtype, offsetAlignment(caps));
    return {
      operand: read(firstInput + k, bytes),
      ...{ dtype, from: low - firstElement, end: high + 1 - firstElement },
    };
  });
  const small = ranges.every(
    ({ from, end, dtype }) => end - from <= MOST_ELEMENTS && valueType(dtype) === 'f32',
  );
  return small ? expression && { expression, ranges } : undefined;
}

export interface BoundRowsSpec {
  readonly rows: number;
  /** Of `HalfRows`. */
  readonly top: number;
  readonly bound: FusedBound;
  /** What the accumulator's bound is a multiple of: the largest of each range. */
  readonly ranges: readonly Range[];
  /** Scales of the accumulator's rows. */
  readonly rowScales?: Operand;
  readonly factor: number;
  /** WGSL of the accumulator's bound, from `params.factor`, `largest0` and on, and `rowScale`. */
  readonly accumulator: string;
}

/**
 * The scale of each row.
 * @param output the outputs of the op before it.
 */
export function boundRows(spec: BoundRowsSpec, caps: DeviceCaps, output = 1): Dispatch {
  const { rows, top, bound, rowScales } = spec;
  const ranges = [...spec.ranges, ...bound.ranges];
  const [own, apart] = [spec.ranges.length, rowScales !== undefined];
  const value = toWgsl(bound.expression, 'f32', (leaf) =>
    leaf.kind === 'operand' ? `largest${own + leaf.index}` : 'accumulated',
  );
  const each = (line: (range: Range, k: number) => string) => ranges.map(line).join('\n');
  const fields = ranges.map((_, k) => `from${k}: u32, end${k}: u32,`).join(' ');
  const loaded = ranges.reduce((sum, { from, end, dtype }) => sum + (end - from) * bytesOf(dtype), 0);
  return {
    label: 'half-rows/bound',
    wgsl: wgsl`${enables(
      ranges.map(({ dtype }) => dtype),
      caps,
    )}
struct Params { rows: u32, factor: f32, top: u32, ${fields} }
@group(0) @binding(0) var<uniform> params: Params;
${each(({ dtype }, k) => declare(k + 1, `range${k}`, dtype, 'read', caps))}
#if ${apart}
${declare(ranges.length + 1, 'rowScales', 'f32', 'read', caps)}
#endif
${declare(ranges.length + (apart ? 2 : 1), 'scales', 'f32', 'read_write', caps)}
var<workgroup> lanesMost: array<f32, ${WORKGROUP}>;
fn largest(lane: u32, value: f32) -> f32 {
  workgroupBarrier();
  lanesMost[lane] = value;
  for (var width = ${WORKGROUP / 2}u; width > 0u; width /= 2u) {
    workgroupBarrier();
    if (lane < width) { lanesMost[lane] = max(lanesMost[lane], lanesMost[lane + width]); }
  }
  workgroupBarrier();
  return lanesMost[0];
}
@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  ${each(
    ({ dtype }, k) => `var most${k} = 0.0;
  for (var i = params.from${k} + lane; i < params.end${k}; i += ${WORKGROUP}u) { most${k} = max(most${k}, abs(${load(`range${k}`, dtype, 'i', caps)})); }
  let largest${k} = largest(lane, most${k});`,
  )}
  let row = ${WORKGROUP_INDEX} * ${WORKGROUP}u + lane;
  if (row >= params.rows) { return; }
#if ${apart}
  let rowScale = rowScales[row];
#endif
  let accumulated = ${spec.accumulator};
  // The exponent field of the bound: 2^(field - 126) is the power of two just above it.
  let field = clamp(bitcast<u32>(${value}) >> 23u, params.top, 252u);
  scales[row] = bitcast<f32>((field + 1u - params.top) << 23u);
}
`,
    operands: [...ranges.map(({ operand }) => operand), ...(rowScales ? [rowScales] : []), write(output)],
    uniforms: [rows, f32Bits(spec.factor), top, ...ranges.flatMap(({ from, end }) => [from, end])],
    workgroups: lineGrid(Math.ceil(rows / WORKGROUP), caps),
    work: { flops: rows, bytes: loaded + 4 * rows * (apart ? 2 : 1) },
  };
}

/** What `storeHalf` calls: by the power of two in `outScales`. */
export const rowScaleInverse =
  'fn down(row: u32) -> f32 { return bitcast<f32>((254u << 23u) - bitcast<u32>(outScales[row])); }\n';

/** Binding of the scales, for `storeHalf`. */
export const declareRowScales = (binding: number, caps: DeviceCaps): string =>
  `${declare(binding, 'outScales', 'f32', 'read', caps)}
${rowScaleInverse}`;

/** Statement that stores `value` of a row in `out`. A NaN stays one, other than in results that are f16 themselves. */
export const storeHalf = (at: string, value: string, row: string, lanes: Lanes = 1): string =>
  `out[${at}] = ${lanes === 1 ? 'f16' : 'vec4<f16>'}(${value} * down(${row}));`;

/** Output 1, which `boundRows` has written. */
export const rowScalesOperand: Operand = { source: 'output', index: 1, access: 'read' };
