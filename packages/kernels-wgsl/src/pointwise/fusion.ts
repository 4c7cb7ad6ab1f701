/**
 * Code for a fused elementwise expression: `fn fused(i, acc) -> value`, where `i` is the flat index into the
 * op's output. The pointwise kernel is this function in a loop; matmul, convolution and norms call it on what
 * they have accumulated, as their epilogue.
 *
 * Dimensions that every operand walks in step are merged first, so most fusions need no index arithmetic at
 * all and share one pipeline across shapes. Operand k adds one word `at<k>` to the uniforms: where element 0
 * of the operand lies in the window that is bound, which is what makes tensors larger than a binding work.
 */
import type { DeviceCaps } from '../caps.ts';
import { type DType, valueType } from '../dtype.ts';
import { declare, type Lanes, lanesType, load, requireWritten } from '../storage.ts';
import {
  type Access,
  type AccessDim,
  contiguousStrides,
  elementCount,
  elementRange,
  type Window,
  windowOf,
} from './access.ts';
import { type Expression, evaluate, helperFunctions, substitute, toWgsl, walk } from './expression.ts';

/** A tensor that an expression reads. */
export interface FusedOperand {
  readonly dtype: DType;
  readonly access: Access;
  /** Elements of the tensor behind the access. */
  readonly count: number;
}

/** Elementwise work over an output: an expression and what it reads. */
export interface Fusion {
  /** Shape of the output that `i` runs over. */
  readonly shape: readonly number[];
  readonly expression: Expression;
  readonly operands: readonly FusedOperand[];
}

/** An epilogue that changes nothing. */
export const identity = (shape: readonly number[]): Fusion => ({
  shape,
  expression: { kind: 'accumulator' },
  operands: [],
});

const inStep = (outer: AccessDim, inner: AccessDim, innerSize: number): boolean =>
  outer.divisor === 1 &&
  inner.divisor === 1 &&
  outer.shift === 0 &&
  inner.shift === 0 &&
  outer.stride === inner.stride * innerSize;

/** Drops dimensions of size 1 and merges those that every operand walks in step. */
export function collapse(fusion: Fusion): Fusion {
  const pinned = new Set<number>();
  walk(fusion.expression, (node) => {
    if (node.kind === 'coordinate') pinned.add(node.dim);
  });
  const shape: number[] = [];
  const dims: AccessDim[][] = fusion.operands.map(() => []);
  const newDim = new Map<number, number>();
  let mergeable = false;
  for (let d = 0; d < fusion.shape.length; d++) {
    const size = fusion.shape[d];
    if (size === 1 && !pinned.has(d)) {
      // A shifted or divided dimension of size 1 reads coordinate floor(shift / divisor), a constant.
      continue;
    }
    const last = shape.length - 1;
    const merge =
      mergeable &&
      !pinned.has(d) &&
      fusion.operands.every((operand, k) => inStep(dims[k][last], operand.access.dims[d], size));
    if (merge) {
      shape[last] *= size;
      for (const [k, operand] of fusion.operands.entries()) dims[k][last] = operand.access.dims[d];
    } else {
      newDim.set(d, shape.length);
      shape.push(size);
      for (const [k, operand] of fusion.operands.entries()) dims[k].push(operand.access.dims[d]);
    }
    mergeable = !pinned.has(d);
  }
  const constantPart = (access: Access) =>
    access.dims.reduce(
      (sum, dim, d) =>
        fusion.shape[d] === 1 && !pinned.has(d)
          ? sum + dim.stride * Math.floor(dim.shift / dim.divisor)
          : sum,
      access.offset,
    );
  return {
    shape,
    operands: fusion.operands.map((operand, k) => ({
      ...operand,
      access: { offset: constantPart(operand.access), dims: dims[k] },
    })),
    expression: substitute(fusion.expression, (leaf) =>
      leaf.kind === 'coordinate' ? { kind: 'coordinate', dim: newDim.get(leaf.dim)! } : undefined,
    ),
  };
}

const last = <T>(items: readonly T[]): T | undefined => items[items.length - 1];

/** How the four lanes of one step read an operand. */
function laneMode({ access }: FusedOperand): 'vector' | 'splat' | 'gather' {
  const inner = last(access.dims);
  if (!inner || inner.stride === 0) return 'splat';
  const outerAligned = access.dims.slice(0, -1).every((dim) => dim.stride % 4 === 0);
  const unit = inner.stride === 1 && inner.divisor === 1 && inner.shift === 0;
  return unit && outerAligned && access.offset % 4 === 0 ? 'vector' : 'gather';
}

/** Whether four consecutive outputs from a multiple of 4 on lie in one row, so that they can share a step. */
export function takesFourLanes(fusion: Fusion): boolean {
  const { shape, operands, expression } = collapse(fusion);
  if ((last(shape) ?? 1) % 4 === 0) return true;
  let usesCoordinates = false;
  walk(expression, (node) => {
    if (node.kind === 'coordinate') usesCoordinates = true;
  });
  // In one dimension the last step may run into the padding that every tensor has, and nowhere else.
  return shape.length <= 1 && !usesCoordinates && operands.every((operand) => laneMode(operand) !== 'gather');
}

/** An expression as WGSL, to be put into a kernel. */
export interface FusedCode {
  /** WGSL outside functions: bindings of the operands and helper functions. */
  readonly declarations: string;
  /** Fields of the uniform struct, e.g. `at0: u32, at1: u32,`. */
  readonly fields: string;
  /** `fn fused(i: u32, acc: T) -> T`. */
  readonly code: string;
  /** The operands' windows and the values of `fields` for outputs [start, end). */
  windows(start: number, end: number): { windows: Window[]; uniforms: number[] };
}

/** `stride * floor((c + shift) / divisor)` in WGSL, for a stride that is not 0. */
export function indexTerm({ stride, shift, divisor }: AccessDim, c: string): string {
  const shifted = shift > 0 ? `(${c} + ${shift}u)` : c;
  const divided = divisor > 1 ? `(${shifted} / ${divisor}u)` : shifted;
  return stride === 1 ? divided : `${divided} * ${stride}u`;
}

/** The parts that functions over a fusion are put together from. */
interface FusionParts {
  readonly type: string;
  readonly declarations: string;
  readonly fields: string;
  /** Elements that are loaded one by one for a step of operand k: four where its lanes lie apart, else one. */
  indices(k: number): number;
  /** WGSL value of operand k from the names of its element indices. */
  value(k: number, indices: readonly string[]): string;
  /** The same of an operand whose lanes lie side by side, from step `s` of the array called `array`. */
  valueOfStep(k: number, array: string, s: string): string;
  /** The expression, given the names of coordinates; operand k is named `x<k>`, the accumulator `acc`. */
  body(coordinate: (d: number) => string): string;
  windows: FusedCode['windows'];
}

/**
 * @param fusion collapsed.
 * @param block where given, operands whose lanes lie side by side are arrays of arrays of so many steps.
 */
export function fusionParts(
  fusion: Fusion,
  firstBinding: number,
  dtype: DType,
  lanes: Lanes,
  caps: DeviceCaps,
  block?: number,
): FusionParts {
  requireWritten(dtype);
  const { shape, operands, expression } = fusion;
  const scalar = valueType(dtype);
  const type = lanesType(dtype, lanes);
  const modes = operands.map((operand) => (lanes === 1 ? 'splat' : laneMode(operand)));
  const convert = (k: number, value: string, n: Lanes) =>
    valueType(operands[k].dtype) === scalar ? value : `${lanesType(dtype, n)}(${value})`;
  const declarations = operands
    .map((operand, k) => {
      const [binding, name] = [firstBinding + k, `operand${k}`];
      return modes[k] === 'vector'
        ? declare(binding, name, operand.dtype, 'read', caps, 4, block)
        : declare(binding, name, operand.dtype, 'read', caps);
    })
    .join('\n');
  // `load` reads its index twice; only packed dtypes do, and theirs is shifted once by the compiler.
  const valueOfStep = (k: number, array: string, s: string) =>
    convert(k, load(array, operands[k].dtype, s, caps, 4), 4);
  return {
    type,
    declarations: `${declarations}\n${helperFunctions(expression, type)}`,
    fields: operands.map((_, k) => `at${k}: u32,`).join(' '),
    valueOfStep,
    indices: (k) => (modes[k] === 'gather' ? 4 : 1),
    value(k, indices) {
      const name = `operand${k}`;
      if (modes[k] === 'vector') return valueOfStep(k, name, `(${indices[0]} >> 2u)`);
      const values = indices.map((index) => convert(k, load(name, operands[k].dtype, index, caps), 1));
      return lanes === 1 ? values[0] : `${type}(${values.join(', ')})`;
    },
    body: (coordinate) =>
      toWgsl(expression, type, (leaf) => {
        if (leaf.kind === 'operand') return `x${leaf.index}`;
        if (leaf.kind === 'accumulator') return 'acc';
        if (leaf.kind !== 'coordinate') throw new Error(`unexpected leaf ${leaf.kind}`);
        const c = coordinate(leaf.dim);
        if (lanes === 1) return `${scalar}(${c})`;
        return leaf.dim === shape.length - 1
          ? `${type}(${[0, 1, 2, 3].map((l) => `${scalar}(${c} + ${l}u)`).join(', ')})`
          : `${type}(${scalar}(${c}))`;
      }),
    windows(start, end) {
      const windows = operands.map(({ access, count, dtype: operandType }) => {
        const [low, high] = elementRange(access, shape, start, end);
        return windowOf(low, Math.min(high, count - 1), count, operandType, offsetAlignment(caps));
      });
      return {
        windows,
        uniforms: operands.map(({ access }, k) => (access.offset - windows[k].firstElement) >>> 0),
      };
    },
  };
}

/**
 * @param firstBinding binding index of operand 0; the others follow.
 * @param dtype output dtype; fixes the type T of values (f32, i32 or u32).
 * @param lanes 4 only if `takesFourLanes(fusion)`.
 */
export function emitFusion(
  original: Fusion,
  firstBinding: number,
  dtype: DType,
  lanes: Lanes,
  caps: DeviceCaps,
): FusedCode {
  const fusion = collapse(original);
  const { shape, operands } = fusion;
  const parts = fusionParts(fusion, firstBinding, dtype, lanes, caps);
  const strides = contiguousStrides(shape);
  const needed = new Set<number>();
  const coordinate = (d: number) => {
    needed.add(d);
    return `c${d}`;
  };
  const loads = operands.map(({ access }, k) => {
    const indices = Array.from({ length: parts.indices(k) }, (_, lane) => {
      const terms = access.dims.flatMap((dim, d) => {
        if (dim.stride === 0) return [];
        const c = coordinate(d);
        return [indexTerm(dim, lane > 0 && d === shape.length - 1 ? `(${c} + ${lane}u)` : c)];
      });
      return [`params.at${k}`, ...terms].join(' + ');
    });
    const lets = indices.map((index, lane) => `  let e${k}_${lane} = ${index};\n`).join('');
    return `${lets}  let x${k} = ${parts.value(
      k,
      indices.map((_, lane) => `e${k}_${lane}`),
    )};\n`;
  });
  const body = parts.body(coordinate);
  const coordinates = [...needed]
    .sort((a, b) => a - b)
    .map((d) => {
      const row = strides[d] === 1 ? 'i' : `i / ${strides[d]}u`;
      return `  let c${d} = ${d === 0 ? row : `(${row}) % ${shape[d]}u`};\n`;
    })
    .join('');
  return {
    declarations: parts.declarations,
    fields: parts.fields,
    code: `fn fused(i: u32, acc: ${parts.type}) -> ${parts.type} {\n${coordinates}${loads.join('')}  return ${body};\n}\n`,
    windows: parts.windows,
  };
}

/** Window starts are multiples of this: the device's rule, and whole vec4s. */
export const offsetAlignment = (caps: DeviceCaps): number =>
  Math.max(16, caps.limits.minStorageBufferOffsetAlignment);

/** Bytes of the largest window that the fusion's operands need for outputs [start, end). */
export const largestWindow = (code: Pick<FusedCode, 'windows'>, start: number, end: number): number =>
  Math.max(0, ...code.windows(start, end).windows.map((window) => window.byteLength));

/** The fusion in float64: `accumulators` has one value an output, `operands` the tensors' values. */
export function fusionReference(
  fusion: Fusion,
  operands: readonly ArrayLike<number>[],
  accumulators?: ArrayLike<number>,
): Float64Array {
  const strides = contiguousStrides(fusion.shape);
  return Float64Array.from({ length: elementCount(fusion.shape) }, (_, i) => {
    const coordinates = fusion.shape.map((size, d) => Math.floor(i / strides[d]) % size);
    return evaluate(fusion.expression, (leaf) => {
      if (leaf.kind === 'accumulator') return accumulators![i];
      if (leaf.kind === 'coordinate') return coordinates[leaf.dim];
      if (leaf.kind !== 'operand') return Number.NaN;
      const { access } = fusion.operands[leaf.index];
      const element = access.dims.reduce(
        (sum, dim, d) => sum + dim.stride * Math.floor((coordinates[d] + dim.shift) / dim.divisor),
        access.offset,
      );
      return operands[leaf.index][element];
    });
  });
}
