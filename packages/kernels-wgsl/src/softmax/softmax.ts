/**
 * Softmax over the last dimension C, and its gradient:
 *
 *     m = max(x),  y = exp(x - m) / sum(exp(x - m))
 *     dx = y (g - sum(g y))
 *
 * Operands: forward x [rows, C], then the epilogue's, out [rows, C]; backward y and g [rows, C] f32, out dx.
 * Tile: teams of 1 to 64 invocations a row (`reduce/rows.ts`), four columns a step where C is a multiple of 4.
 * Forward reads a row twice: once for m and the sum, each invocation keeping its own largest value so far and its
 * sum scaled to it (Milakov and Gimelshein 2018), two steps a rescaling; then for y. Sums are f32.
 * Host: rows longer in total than a binding are cut into runs of whole rows.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import type { DType } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type Dispatch, type Lowering, type Operand, read, write } from '../kernel.ts';
import { splitRange, type Window, windowOf } from '../pointwise/access.ts';
import {
  emitFusion,
  type FusedCode,
  type Fusion,
  identity,
  largestWindow,
  offsetAlignment,
  takesFourLanes,
} from '../pointwise/fusion.ts';
import { eachStep, type RowTile, reduceTeam, rowOfLane, rowTile } from '../reduce/rows.ts';
import { declare, enables, type Lanes, lanesType, load, store } from '../storage.ts';

/** Softmax of x [rows, columns] over its columns. */
export interface SoftmaxSpec {
  readonly rows: number;
  readonly columns: number;
  /** Dtype of x. */
  readonly dtype: DType;
  readonly epilogue?: { readonly fusion: Fusion; readonly dtype: DType };
}

/** Where the largest value starts; a row of -inf only has no softmax and gives NaN. */
const LOWEST = '-3.4028234e38';

/** Output [rows, columns]: input x, then the epilogue's. */
export function lowerSoftmax(spec: SoftmaxSpec, caps: DeviceCaps): Lowering {
  const { rows, columns, dtype } = spec;
  const { fusion, dtype: outDtype } = spec.epilogue ?? { fusion: identity([rows * columns]), dtype: 'f32' };
  const lanes: Lanes = columns % 4 === 0 && takesFourLanes(fusion) ? 4 : 1;
  const steps = columns / lanes;
  const tile = rowTile(steps, caps);
  const type = lanesType('f32', lanes);
  const fused = emitFusion(fusion, 2, outDtype, lanes, caps);
  const largest = lanes === 4 ? 'max(max(v.x, v.y), max(v.z, v.w))' : 'v';
  const inRow = (s: string, whole: boolean) =>
    whole
      ? `loadX(at + ${s})`
      : `select(${type}(${LOWEST}), loadX(at + min(${s}, steps - 1u)), ${s} < steps)`;
  /** Step s and the team's next one share a rescaling; what is beyond the row adds nothing. */
  const pair = `let s = base + ${tile.team === 1 ? '0u' : `lane % ${tile.team}u`};
    let next = s + ${tile.team}u;
    let a = ${inRow('s', steps % tile.team === 0)};
    let b = ${inRow('next', steps % (2 * tile.team) === 0)};
    let v = max(a, b);
    let grown = max(largest, ${largest});
    sum = sum * exp(largest - grown) + (exp(a - grown) + exp(b - grown));
    largest = grown;`;
  const code = wgsl`${tile.enables}${enables([dtype, outDtype, ...fusion.operands.map((operand) => operand.dtype)], caps)}
struct Params { start: u32, end: u32, steps: u32, atX: u32, atOut: u32, ${fused.fields} }
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'x', dtype, 'read', caps, lanes)}
${fused.declarations}
${declare(2 + fusion.operands.length, 'out', outDtype, 'read_write', caps, lanes)}
${fused.code}
${reduceTeam(tile, 'add', 'max')}
fn loadX(at: u32) -> ${type} { return ${load('x', dtype, 'at', caps, lanes)}; }

${main(tile)} {
  ${rowStart(tile)}
  let at = params.atX + first;
  var largest = ${LOWEST};
  var sum = ${type}(0);
  for (var base = 0u; base < steps; base += ${2 * tile.team}u) {
    ${pair}
  }
  let top = team_max(lane, largest);
  let total = team_add(lane, ${sumOf('sum', lanes)} * exp(largest - top));
  let scale = 1.0 / total;
  ${eachStep(
    tile,
    'steps',
    steps % tile.team === 0,
    `    let y = exp(loadX(at + s) - top) * scale;
    ${store('out', outDtype, 'params.atOut + first + s', `fused((first + s) * ${lanes}u, y)`, caps, lanes)}`,
  )}
}
`;
  return {
    scratch: [],
    dispatches: runs(spec, [dtype], outDtype, lanes, tile, caps, fused).map((run) => ({
      ...run,
      label: `softmax/team ${tile.team} x${lanes}`,
      wgsl: code,
    })),
  };
}

/** The gradient dx [rows, columns], f32: inputs are the forward's result and its gradient. */
export function lowerSoftmaxBackward(
  { rows, columns }: Pick<SoftmaxSpec, 'rows' | 'columns'>,
  caps: DeviceCaps,
): Lowering {
  const lanes: Lanes = columns % 4 === 0 ? 4 : 1;
  const steps = columns / lanes;
  const tile = rowTile(steps, caps);
  const type = lanesType('f32', lanes);
  const whole = steps % tile.team === 0;
  const code = wgsl`${tile.enables}
struct Params { start: u32, end: u32, steps: u32, atY: u32, atG: u32, atOut: u32 }
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'y', 'f32', 'read', caps, lanes)}
${declare(2, 'g', 'f32', 'read', caps, lanes)}
${declare(3, 'dx', 'f32', 'read_write', caps, lanes)}
${reduceTeam(tile, 'add')}
${main(tile)} {
  ${rowStart(tile)}
  let atY = params.atY + first;
  let atG = params.atG + first;
  var sum = ${type}(0);
  ${eachStep(tile, 'steps', whole, '    sum += y[atY + s] * g[atG + s];')}
  let along = team_add(lane, ${sumOf('sum', lanes)});
  ${eachStep(tile, 'steps', whole, '    dx[params.atOut + first + s] = y[atY + s] * (g[atG + s] - along);')}
}
`;
  return {
    scratch: [],
    dispatches: runs({ rows, columns }, ['f32', 'f32'], 'f32', lanes, tile, caps).map((run) => ({
      ...run,
      label: `softmax/backward team ${tile.team} x${lanes}`,
      wgsl: code,
    })),
  };
}

const sumOf = (value: string, lanes: Lanes) => (lanes === 4 ? `dot(${value}, vec4<f32>(1.0))` : value);

const main = ({ workgroup }: RowTile) => `@compute @workgroup_size(${workgroup})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32)`;

/** `first` and `steps` of this invocation's row; 0 steps past the end. */
const rowStart = (
  tile: RowTile,
) => `let row = params.start + ${WORKGROUP_INDEX} * ${tile.rows}u + ${rowOfLane(tile)};
  let live = row < params.end;
  let first = select(params.start, row, live) * params.steps;
  let steps = select(0u, params.steps, live);`;

/** Runs of rows that fit in bindings, the inputs and the output all [rows, columns]. */
function runs(
  { rows, columns }: Pick<SoftmaxSpec, 'rows' | 'columns'>,
  inputs: readonly DType[],
  outDtype: DType,
  lanes: Lanes,
  tile: RowTile,
  caps: DeviceCaps,
  fused?: FusedCode,
): Pick<Dispatch, 'operands' | 'uniforms' | 'workgroups'>[] {
  const limit = caps.limits.maxStorageBufferBindingSize;
  const window = (start: number, end: number, type: DType) =>
    windowOf(start * columns, end * columns - 1, rows * columns, type, offsetAlignment(caps));
  const sections = splitRange(
    rows,
    1,
    (start, end) =>
      [...inputs, outDtype].every((type) => window(start, end, type).byteLength <= limit) &&
      (!fused || largestWindow(fused, start * columns, end * columns) <= limit),
    () => new TooLargeError(`softmax: a row of ${columns} does not fit in a binding of ${limit} bytes`),
  );
  const bound = ({ byteOffset, byteLength }: Window) => ({ byteOffset, byteLength });
  return sections.map(([start, end]) => {
    const dense = [...inputs, outDtype].map((type) => window(start, end, type));
    const out = dense[inputs.length];
    const extra = fused?.windows(start * columns, end * columns) ?? { windows: [], uniforms: [] };
    const operands: Operand[] = [...dense.slice(0, -1), ...extra.windows].map((one, k) =>
      read(k, bound(one)),
    );
    return {
      operands: [...operands, write(0, bound(out))],
      uniforms: [
        ...[start, end, columns / lanes],
        ...dense.map(({ firstElement }) => (-firstElement / lanes) >>> 0),
        ...extra.uniforms,
      ],
      workgroups: lineGrid(Math.ceil((end - start) / tile.rows), caps),
    };
  });
}
