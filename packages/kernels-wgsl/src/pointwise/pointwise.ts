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
import {
  type Dispatch,
  type KernelTarget,
  type Lowering,
  lazily,
  lowerChosen,
  type Operand,
  read,
  scratch,
  type Variant,
  write,
} from '../kernel.ts';
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

/** The dispatches of one way through memory; undefined where it does not suit the spec. */
type Way = (spec: PointwiseSpec, lanes: Lanes, caps: DeviceCaps) => Dispatch[] | undefined;

const POINTWISE_VARIANTS: readonly Variant<PointwiseSpec>[] = [
  variant('rows', rows, (spec, caps) => rows(...computed(spec, caps), caps) !== undefined),
  variant('blocks', blocks, (spec, caps) => blocks(...computed(spec, caps), caps) !== undefined),
  variant('line', line, (_, caps) => cpuLanes(caps) > 0),
  variant('grid', grid, () => true),
];

/**
 * One pass over the output by the variant that was chosen for the class of `spec`, else by the first that applies;
 * four elements a step where the accesses allow. Inputs are the operands.
 */
export function lowerPointwise(spec: PointwiseSpec, target: KernelTarget): Lowering {
  const collapsed = collapse(spec);
  const classed = { ...collapsed, dtype: spec.dtype, reads: readsOf(collapsed) };
  return lowerChosen('pointwise', POINTWISE_VARIANTS, classed, target);
}

/** Each operand's type and the dimensions along which it changes, e.g. `f32:01` for a row: what makes one way faster. */
const readsOf = ({ operands }: Fusion): string[] =>
  operands.map(
    ({ dtype, access }) => `${dtype}:${access.dims.map(({ stride }) => Math.sign(stride)).join('')}`,
  );

/** What the kernel itself stores, f32 where a packed dtype cannot be stored one element at a time; and its lanes. */
function computed(spec: PointwiseSpec, caps: DeviceCaps): [PointwiseSpec, Lanes] {
  if (takesFourLanes(spec)) return [spec, 4];
  return [storesSingly(spec.dtype, caps) ? spec : { ...spec, dtype: 'f32' }, 1];
}

function variant(name: string, way: Way, applies: Variant<PointwiseSpec>['applies']): Variant<PointwiseSpec> {
  return {
    name,
    applies,
    lower(spec, caps) {
      const [stored, lanes] = computed(spec, caps);
      const dispatches = way(stored, lanes, caps)!;
      return stored === spec ? { dispatches, scratch: [] } : packed(spec, dispatches, caps);
    },
  };
}

/** `compute` into scratch, and its results packed. */
function packed({ shape, dtype }: PointwiseSpec, compute: readonly Dispatch[], caps: DeviceCaps): Lowering {
  const count = elementCount(shape);
  const dense = { dtype: 'f32' as const, access: strided([1]), count };
  const pack = lowerPointwise(
    { shape: [count], operands: [dense], expression: operandLeaf(0), dtype },
    { caps },
  );
  const rebound = (
    dispatches: readonly Dispatch[],
    source: Operand['source'],
    access: Operand['access'],
  ): Dispatch[] =>
    dispatches.map((dispatch) => ({
      ...dispatch,
      operands: dispatch.operands.map((operand) =>
        operand.source === source ? { ...operand, ...scratch(0, access) } : operand,
      ),
    }));
  return {
    dispatches: [...rebound(compute, 'output', 'read_write'), ...rebound(pack.dispatches, 'input', 'read')],
    scratch: [byteLength(count, 'f32')],
  };
}

/** Independent steps in flight: more of them hide the latency of loads, and take longer to compile. */
const stepsInFlight = (vector: number): number => (vector > 4 ? 2 : 4);

function grid(spec: PointwiseSpec, lanes: Lanes, caps: DeviceCaps): Dispatch[] {
  const fused = emitFusion(spec, 1, spec.dtype, lanes, caps);
  const code = lazily(
    () => `${head(spec, lanes, 'start: u32, end: u32', fused, caps)}
@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let s = params.start + ${WORKGROUP_INDEX} * ${WORKGROUP}u + lane;
  if (s < params.end) { ${storeStep(spec, lanes, 's', `fused(s * ${lanes}u, zero)`, caps)} }
}
`,
  );
  return cutElements(spec, fused, caps).map((run) => {
    const [start, end] = [run.start / lanes, Math.ceil(run.end / lanes)];
    return {
      label: `pointwise/x${lanes}`,
      get wgsl() {
        return code();
      },
      operands: run.operands,
      uniforms: [(-run.atOut / lanes) >>> 0, start, end, ...run.uniforms],
      workgroups: lineGrid(Math.ceil((end - start) / WORKGROUP), caps),
    };
  });
}

function blocks(spec: PointwiseSpec, lanes: Lanes, caps: DeviceCaps): Dispatch[] | undefined {
  const vector = cpuLanes(caps);
  const { shape, operands, expression } = spec;
  let pinned = false;
  walk(expression, (node) => {
    if (node.kind === 'coordinate') pinned = true;
  });
  if (vector === 0 || lanes === 1 || shape.length !== 1 || pinned) return undefined;
  const steps = shape[0] / lanes;
  let block = BLOCK_STEPS;
  while (block >= LEAST_BLOCK && (block * ENOUGH_BLOCKS > steps || steps % block !== 0)) block /= 2;
  if (block < LEAST_BLOCK) return undefined;
  const parts = fusionParts(spec, 1, spec.dtype, lanes, caps, block);
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
  const code = lazily(
    () => `${head(spec, lanes, 'blocks: u32', { ...parts, code: '' }, caps, block)}
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
`,
  );
  return [
    {
      label: `pointwise/blocks x${lanes}`,
      get wgsl() {
        return code();
      },
      operands: run.operands,
      uniforms: [run.atOut, steps / block, ...run.uniforms],
      workgroups: lineGrid(steps / block, caps),
    },
  ];
}

function line(spec: PointwiseSpec, lanes: Lanes, caps: DeviceCaps): Dispatch[] {
  const vector = cpuLanes(caps);
  const fused = emitFusion(spec, 1, spec.dtype, lanes, caps);
  const flights = stepsInFlight(vector);
  const flight = flights * vector;
  const step = (at: string) => storeStep(spec, lanes, at, `fused(${at} * ${lanes}u, zero)`, caps);
  const code = lazily(
    () => `${head(spec, lanes, 'start: u32, end: u32, block: u32', fused, caps)}
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
`,
  );
  return cutElements(spec, fused, caps).map((run) => {
    const [start, end] = [run.start / lanes, Math.ceil(run.end / lanes)];
    const block = Math.ceil(Math.min(BLOCK_STEPS, (end - start) / ENOUGH_BLOCKS) / flight) * flight;
    return {
      label: `pointwise/line x${lanes}`,
      get wgsl() {
        return code();
      },
      operands: run.operands,
      uniforms: [(-run.atOut / lanes) >>> 0, start, end, block, ...run.uniforms],
      workgroups: lineGrid(Math.ceil((end - start) / block), caps),
    };
  });
}

function rows(spec: PointwiseSpec, lanes: Lanes, caps: DeviceCaps): Dispatch[] | undefined {
  const vector = cpuLanes(caps);
  const columns = spec.shape[spec.shape.length - 1] ?? 1;
  if (vector === 0 || spec.shape.length < 2 || columns < vector * lanes) return undefined;
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
  const code = lazily(
    () => wgsl`${head(spec, lanes, fields, fused, caps)}
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
`,
  );
  const firstElement = (block: number) =>
    (Math.floor(block / blocks) * fused.rows + Math.min(fused.rows, (block % blocks) * blockRows)) * columns;
  return cut(spec, fused, fused.outers * blocks, 1, firstElement, caps)?.map((run) => ({
    label: `pointwise/rows x${lanes}`,
    get wgsl() {
      return code();
    },
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
  const sections = splitRange(
    units,
    quantum,
    fits,
    () => new TooLargeError('a unit of work that does not fit'),
  );
  if (tooLarge) return undefined;
  return sections.map(([start, end]) => {
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
    `pointwise: ${QUANTUM} elements do not fit in a binding of ${caps.limits.maxStorageBufferBindingSize} bytes`,
  );
}
