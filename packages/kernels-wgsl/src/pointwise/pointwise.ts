/**
 * Elementwise kernel: out[i] = expression(operands at i), any number of broadcast, strided or up-sampled
 * operands, one pass over memory. A step is four consecutive elements when rows allow, else one.
 *
 * Tile: `grid` 64 invocations of one step each. Where a subgroup is a CPU's vector, one subgroup a workgroup that
 * runs through a block of steps: `rows` through the rows of a block of columns, so that what the column decides is
 * loaded once (`row-fusion.ts`), a few rows side by side where they are long, for a loop within the loop costs as
 * much as their work; `line` straight on, where there are no rows or they are shorter than the vector. `blocks`, before
 * `line`, where every operand is one number or dense from its binding's first element on, and whole blocks make up
 * the output: bindings are arrays of blocks, each found once, and what is left to check in one is a constant.
 * Host: outputs and operands longer than a binding are cut into runs of whole steps, or of whole blocks of rows.
 */

import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { cpuLanes, type DeviceCaps } from '../caps.ts';
import { byteLength, type DType } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type Dispatch, type Lowering, type Operand, read, scratch, write } from '../kernel.ts';
import { declare, enables, type Lanes, lanesType, PACK_BF16, store, storesSingly } from '../storage.ts';
import { elementCount, splitRange, strided, type Window, windowOf } from './access.ts';
import { operand as operandLeaf, walk } from './expression.ts';
import {
  collapse,
  emitFusion,
  type FusedCode,
  type Fusion,
  fusionParts,
  largestWindow,
  offsetAlignment,
  takesFourLanes,
} from './fusion.ts';
import { emitRowFusion } from './row-fusion.ts';

const WORKGROUP = 64;
/** Runs are cut at multiples of this many elements. */
const QUANTUM = 1024;
/** Steps of a block that one subgroup runs through, and blocks that keep a few cores busy. */
const BLOCK_STEPS = 2048;
const ENOUGH_BLOCKS = 16;
/** The least steps of a block whose size is part of the code. */
const LEAST_BLOCK = 256;
/** The most rows that are written out side by side: more spill, and take longer to compile. */
const ROWS_TOGETHER = 4;

/** Elementwise work as a kernel of its own; `dtype` is the output's. */
export interface PointwiseSpec extends Fusion {
  readonly dtype: DType;
}

/** One pass over the output, of four elements a step where the accesses allow; inputs are the operands. */
export function lowerPointwise(spec: PointwiseSpec, caps: DeviceCaps): Lowering {
  const four = takesFourLanes(spec);
  if (four || storesSingly(spec.dtype, caps)) {
    return { dispatches: runs(spec, four ? 4 : 1, caps), scratch: [] };
  }
  // A packed dtype cannot be stored one element at a time: compute in f32, then pack the dense result.
  const count = elementCount(spec.shape);
  const compute = runs({ ...spec, dtype: 'f32' }, 1, caps).map((dispatch) => ({
    ...dispatch,
    operands: dispatch.operands.map((operand) =>
      operand.source === 'output' ? { ...operand, source: 'scratch' as const } : operand,
    ),
  }));
  const dense = { dtype: 'f32' as const, access: strided([1]), count };
  const pack = runs(
    { shape: [count], operands: [dense], expression: operandLeaf(0), dtype: spec.dtype },
    4,
    caps,
  ).map((dispatch) => ({
    ...dispatch,
    operands: dispatch.operands.map((operand) =>
      operand.source === 'input' ? { ...operand, ...scratch(0, 'read') } : operand,
    ),
  }));
  return { dispatches: [...compute, ...pack], scratch: [byteLength(count, 'f32')] };
}

/** Independent steps in flight: more of them hide the latency of loads, and take longer to compile. */
const stepsInFlight = (vector: number): number => (vector > 4 ? 2 : 4);

function runs(spec: PointwiseSpec, lanes: Lanes, caps: DeviceCaps): Dispatch[] {
  const vector = cpuLanes(caps);
  if (vector === 0) return grid(spec, lanes, caps);
  const { shape } = collapse(spec);
  const columns = shape[shape.length - 1] ?? 1;
  const walked = shape.length > 1 && columns >= vector * lanes && rows(spec, columns, lanes, vector, caps);
  return walked || blocks(spec, lanes, vector, caps) || line(spec, lanes, vector, caps);
}

function grid(spec: PointwiseSpec, lanes: Lanes, caps: DeviceCaps): Dispatch[] {
  const fused = emitFusion(spec, 1, spec.dtype, lanes, caps);
  const code = `${head(spec, lanes, 'start: u32, end: u32', fused, caps)}
@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let s = params.start + ${WORKGROUP_INDEX} * ${WORKGROUP}u + lane;
  if (s < params.end) { ${storeStep(spec, lanes, 's', `fused(s * ${lanes}u, zero)`, caps)} }
}
`;
  return cutElements(spec, fused, caps).map((run) => {
    const [start, end] = [run.start / lanes, Math.ceil(run.end / lanes)];
    return {
      label: `pointwise/x${lanes}`,
      wgsl: code,
      operands: run.operands,
      uniforms: [(-run.atOut / lanes) >>> 0, start, end, ...run.uniforms],
      workgroups: lineGrid(Math.ceil((end - start) / WORKGROUP), caps),
    };
  });
}

function blocks(spec: PointwiseSpec, lanes: Lanes, vector: number, caps: DeviceCaps): Dispatch[] | undefined {
  const { shape, operands, expression } = collapse(spec);
  let pinned = false;
  walk(expression, (node) => {
    if (node.kind === 'coordinate') pinned = true;
  });
  if (lanes === 1 || shape.length !== 1 || pinned) return undefined;
  const steps = shape[0] / lanes;
  let block = BLOCK_STEPS;
  while (block >= LEAST_BLOCK && (block * ENOUGH_BLOCKS > steps || steps % block !== 0)) block /= 2;
  if (block < LEAST_BLOCK) return undefined;
  const parts = fusionParts({ shape, operands, expression }, 1, spec.dtype, lanes, caps, block);
  const isOne = operands.map(({ access }) => access.dims[0].stride === 0);
  const found = cut(spec, parts, shape[0], QUANTUM, (element) => element, caps);
  const dense = (run: Run) =>
    run.start === 0 && run.atOut === 0 && isOne.every((one, k) => one || run.uniforms[k] === 0);
  if (found?.length !== 1 || !dense(found[0]) || isOne.some((_, k) => parts.indices(k) > 1)) return undefined;
  const [run] = found;
  const flights = stepsInFlight(vector);
  const before = isOne.map((one, k) =>
    one ? `let x${k} = ${parts.value(k, [`params.at${k}`])};` : `let block${k} = &operand${k}[index];`,
  );
  const values = isOne.map((one, k) => (one ? '' : `let x${k} = ${parts.valueOfStep(k, `block${k}`, 's')};`));
  const value = parts.body(() => '');
  const code = `${head(spec, lanes, 'blocks: u32', { ...parts, code: '' }, caps, block)}
@compute @workgroup_size(${vector})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let index = ${WORKGROUP_INDEX};
  if (index >= params.blocks) { return; }
  ${before.join('\n  ')}
  let result = &out[index];
  for (var turn = 0u; turn < ${block / vector / flights}u; turn++) {
    let first = turn * ${vector * flights}u + lane;
    ${Array.from(
      { length: flights },
      (_, k) =>
        `{ let s = first + ${k * vector}u; ${values.join(' ')} ${store('result', spec.dtype, 's', value, caps, lanes)} }`,
    ).join('\n    ')}
  }
}
`;
  return [
    {
      label: `pointwise/blocks x${lanes}`,
      wgsl: code,
      operands: run.operands,
      uniforms: [run.atOut, steps / block, ...run.uniforms],
      workgroups: lineGrid(steps / block, caps),
    },
  ];
}

function line(spec: PointwiseSpec, lanes: Lanes, vector: number, caps: DeviceCaps): Dispatch[] {
  const fused = emitFusion(spec, 1, spec.dtype, lanes, caps);
  const flights = stepsInFlight(vector);
  const flight = flights * vector;
  const step = (at: string) => storeStep(spec, lanes, at, `fused(${at} * ${lanes}u, zero)`, caps);
  const code = `${head(spec, lanes, 'start: u32, end: u32, block: u32', fused, caps)}
@compute @workgroup_size(${vector})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let first = params.start + ${WORKGROUP_INDEX} * params.block;
  let end = min(first + params.block, params.end);
  var s = first;
  for (; s + ${flight}u <= end; s += ${flight}u) {
    ${Array.from({ length: flights }, (_, k) => `{ let at = s + lane + ${k * vector}u; ${step('at')} }`).join('\n    ')}
  }
  for (s += lane; s < end; s += ${vector}u) { ${step('s')} }
}
`;
  return cutElements(spec, fused, caps).map((run) => {
    const [start, end] = [run.start / lanes, Math.ceil(run.end / lanes)];
    const block = Math.ceil(Math.min(BLOCK_STEPS, (end - start) / ENOUGH_BLOCKS) / flight) * flight;
    return {
      label: `pointwise/line x${lanes}`,
      wgsl: code,
      operands: run.operands,
      uniforms: [(-run.atOut / lanes) >>> 0, start, end, block, ...run.uniforms],
      workgroups: lineGrid(Math.ceil((end - start) / block), caps),
    };
  });
}

function rows(
  spec: PointwiseSpec,
  columns: number,
  lanes: Lanes,
  vector: number,
  caps: DeviceCaps,
): Dispatch[] | undefined {
  const fused = emitRowFusion(spec, columns, 1, spec.dtype, lanes, caps);
  const steps = columns / lanes;
  const columnSteps = Math.min(steps, BLOCK_STEPS);
  const columnBlocks = Math.ceil(steps / columnSteps);
  const wanted = Math.min(BLOCK_STEPS, (fused.outers * fused.rows * steps) / ENOUGH_BLOCKS) / columnSteps;
  const long = columnSteps * ROWS_TOGETHER * 1.5 > BLOCK_STEPS;
  const flights = long ? divisor(fused.rows, ROWS_TOGETHER) : stepsInFlight(vector);
  const blockRows = long ? flights : Math.max(1, Math.round(wanted / flights)) * flights;
  const blocks = Math.ceil(fused.rows / blockRows);
  const step = (k: number) =>
    storeStep(spec, lanes, `o + ${k * steps}u`, `fusedRow(column, r + ${k}u, zero)`, caps);
  const flight = Array.from({ length: flights }, (_, k) => step(k)).join('\n      ');
  const fields = 'start: u32, end: u32, blocks: u32, blockRows: u32, rows: u32';
  const code = wgsl`${head(spec, lanes, fields, fused, caps)}
@compute @workgroup_size(${vector})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let index = ${WORKGROUP_INDEX};
  let block = params.start + index / ${columnBlocks}u;
  if (block >= params.end) { return; }
  let firstRow = block % params.blocks * params.blockRows;
  let firstColumn = index % ${columnBlocks}u * ${columnSteps}u;
  let endColumn = min(firstColumn + ${columnSteps}u, ${steps}u);
  let outer = fusedOuter(block / params.blocks);
  for (var s = firstColumn; s < endColumn; s += ${vector}u) {
    let c = s + lane;
#if ${steps % vector !== 0}
    if (c >= endColumn) { continue; }
#endif
    let column = fusedColumn(outer, c * ${lanes}u);
    var o = (block / params.blocks * params.rows + firstRow) * ${steps}u + c;
    var r = firstRow;
#if ${long}
      ${flight}
#else
    let endRow = min(firstRow + params.blockRows, params.rows);
    for (; r + ${flights}u <= endRow; r += ${flights}u) {
      ${flight}
      o += ${flights * steps}u;
    }
#if ${fused.rows % flights !== 0}
    for (; r < endRow; r++) {
      ${step(0)}
      o += ${steps}u;
    }
#endif
#endif
  }
}
`;
  const firstElement = (block: number) =>
    (Math.floor(block / blocks) * fused.rows + Math.min(fused.rows, (block % blocks) * blockRows)) * columns;
  return cut(spec, fused, fused.outers * blocks, 1, firstElement, caps)?.map((run) => ({
    label: `pointwise/rows x${lanes}`,
    wgsl: code,
    operands: run.operands,
    uniforms: [
      (-run.atOut / lanes) >>> 0,
      run.start,
      run.end,
      blocks,
      blockRows,
      fused.rows,
      ...run.uniforms,
    ],
    workgroups: lineGrid((run.end - run.start) * columnBlocks, caps),
  }));
}

/** The largest divisor of `n` that is at most `most`. */
function divisor(n: number, most: number): number {
  let found = Math.min(n, most);
  while (n % found !== 0) found--;
  return found;
}

/** Everything before `main`. */
function head(
  { dtype, operands }: PointwiseSpec,
  lanes: Lanes,
  fields: string,
  fused: Pick<FusedCode, 'fields' | 'declarations' | 'code'>,
  caps: DeviceCaps,
  block?: number,
): string {
  return wgsl`${enables([dtype, ...operands.map((operand) => operand.dtype)], caps)}
struct Params { atOut: u32, ${fields}, ${fused.fields} }
@group(0) @binding(0) var<uniform> params: Params;
${fused.declarations}
${declare(operands.length + 1, 'out', dtype, 'read_write', caps, lanes, block)}
#if ${dtype === 'bf16'}
${PACK_BF16}
#endif
const zero = ${lanesType(dtype, lanes)}(0);
${fused.code}
`;
}

/** Stores the value of the step `s` of the whole output; only elements from `atOut` on are bound. */
const storeStep = ({ dtype }: PointwiseSpec, lanes: Lanes, s: string, value: string, caps: DeviceCaps) =>
  store('out', dtype, `params.atOut + ${s}`, value, caps, lanes);

interface Run {
  readonly start: number;
  readonly end: number;
  readonly operands: Operand[];
  /** Of the fusion. */
  readonly uniforms: readonly number[];
  /** The first element of the output that is bound. */
  readonly atOut: number;
}

/** Runs of units of work that fit in bindings, unit u from element `firstElement(u)` on; undefined where one does not. */
function cut(
  spec: PointwiseSpec,
  fused: Pick<FusedCode, 'windows'>,
  units: number,
  quantum: number,
  firstElement: (unit: number) => number,
  caps: DeviceCaps,
): Run[] | undefined {
  const count = elementCount(spec.shape);
  const limit = caps.limits.maxStorageBufferBindingSize;
  const elements = (start: number, end: number) => [firstElement(start), firstElement(end)] as const;
  const outWindow = (first: number, end: number) =>
    windowOf(first, end - 1, count, spec.dtype, offsetAlignment(caps));
  let tooLarge = false;
  const fits = (start: number, end: number) => {
    const range = elements(start, end);
    const fit = outWindow(...range).byteLength <= limit && largestWindow(fused, ...range) <= limit;
    if (!fit && end - start <= quantum) tooLarge = true;
    return fit || tooLarge;
  };
  const pieces = splitRange(
    units,
    quantum,
    fits,
    () => new TooLargeError('a unit of work that does not fit'),
  );
  if (tooLarge) return undefined;
  return pieces.map(([start, end]) => {
    const range = elements(start, end);
    const out = outWindow(...range);
    const { windows, uniforms } = fused.windows(...range);
    const bound = ({ byteOffset, byteLength: length }: Window) => ({ byteOffset, byteLength: length });
    const operands = [...windows.map((window, k) => read(k, bound(window))), write(0, bound(out))];
    return { start, end, operands, uniforms, atOut: out.firstElement };
  });
}

function cutElements(spec: PointwiseSpec, fused: FusedCode, caps: DeviceCaps): Run[] {
  const found = cut(spec, fused, elementCount(spec.shape), QUANTUM, (element) => element, caps);
  if (found) return found;
  throw new TooLargeError(
    `pointwise: an operand of shape [${spec.shape}] does not fit in a binding of ${caps.limits.maxStorageBufferBindingSize} bytes`,
  );
}
