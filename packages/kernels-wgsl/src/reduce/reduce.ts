/**
 * Sums, means and maxima of rows: out[r] = x[r, 0] op x[r, 1] op ... op x[r, length - 1]. Rows whose elements
 * do not lie side by side are `columns.ts`.
 *
 * Operands: x [rows, length]; out [rows] f32.
 * Tile: teams of 1 to 64 invocations (`rows.ts`) on chunks of at most 1,024 elements, four a step where rows are
 * whole vec4s. Longer rows take several passes, each over the results of the one before: every invocation sums
 * few values, which keeps long sums accurate, and one long row fills the device.
 * Host: x longer than a binding is cut between chunks.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { byteLength } from '../dtype.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type Dispatch, f32Bits, type Lowering, read, scratch, write } from '../kernel.ts';
import { splitRange, windowOf } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import { declare, enables, type Lanes, load } from '../storage.ts';
import { lowerColumns } from './columns.ts';
import { ROW_WORKGROUP, reduceTeam, rowTile } from './rows.ts';
import type { ReduceSpec } from './spec.ts';

const CHUNK = 1024;

export function lowerReduce(spec: ReduceSpec, caps: DeviceCaps): Lowering {
  return spec.inner === 1 ? lowerRows(spec, caps) : lowerColumns(spec, caps);
}

function lowerRows(spec: ReduceSpec, caps: DeviceCaps): Lowering {
  const dispatches: Dispatch[] = [];
  const scratchBytes: number[] = [];
  let { length } = spec;
  let pass = 0;
  do {
    const chunks = Math.ceil(length / CHUNK);
    dispatches.push(...lowerPass(spec, length, pass, chunks === 1, caps));
    if (chunks > 1) scratchBytes.push(byteLength(spec.rows * chunks, 'f32'));
    length = chunks;
    pass++;
  } while (length > 1);
  return { dispatches, scratch: scratchBytes };
}

/** Pass 0 reads x, pass k the k-th scratch buffer; the last one writes the output. */
function lowerPass(
  spec: ReduceSpec,
  length: number,
  pass: number,
  isLast: boolean,
  caps: DeviceCaps,
): Dispatch[] {
  const { rows, reduction } = spec;
  const dtype = pass === 0 ? spec.dtype : 'f32';
  const chunks = Math.ceil(length / CHUNK);
  const lanes: Lanes = length % 4 === 0 ? 4 : 1;
  const type = lanes === 4 ? 'vec4<f32>' : 'f32';
  const tile = rowTile(Math.min(CHUNK, length) / lanes, caps);
  const adds = reduction === 'sum' || reduction === 'mean';
  const combine = adds
    ? (a: string, b: string) => `${a} + ${b}`
    : (a: string, b: string) => `max(${a}, ${b})`;
  const lanesTogether = adds
    ? 'dot(total, vec4<f32>(1.0))'
    : 'max(max(total.x, total.y), max(total.z, total.w))';
  const value = load('x', dtype, 'at', caps, lanes);

  const code = wgsl`${enables([dtype], caps)}
struct Params { start: u32, end: u32, chunks: u32, chunkSteps: u32, steps: u32, scale: f32, atX: u32, }
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'x', dtype, 'read', caps, lanes)}
${declare(2, 'out', 'f32', 'read_write', caps)}
${reduceTeam(tile, combine)}
fn loadX(at: u32) -> ${type} { return ${reduction === 'absMax' ? `abs(${value})` : value}; }

@compute @workgroup_size(${ROW_WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let own = params.start + ${WORKGROUP_INDEX} * ${tile.rows}u + lane / ${tile.team}u;
  let live = own < params.end;
  let unit = select(params.start, own, live);
  let first = unit % params.chunks * params.chunkSteps;
  let steps = min(params.chunkSteps, params.steps - first);
  let at = params.atX + unit / params.chunks * params.steps + first;
  let place = lane % ${tile.team}u;

  var total = ${adds ? `${type}(0)` : 'loadX(at)'};
  for (var s = place; s < steps; s += ${tile.team}u) { total = ${combine('total', 'loadX(at + s)')}; }
  let result = reduceTeam(lane, ${lanes === 4 ? lanesTogether : 'total'});
  if (live && place == 0u) { out[unit] = result * params.scale; }
}
`;
  const limit = caps.limits.maxStorageBufferBindingSize;
  const firstElement = (unit: number) => Math.floor(unit / chunks) * length + (unit % chunks) * CHUNK;
  const window = (start: number, end: number) =>
    windowOf(firstElement(start), firstElement(end) - 1, rows * length, dtype, offsetAlignment(caps));
  const runs = splitRange(
    rows * chunks,
    1,
    (start, end) => window(start, end).byteLength <= limit,
    () => new Error(`reduce: ${CHUNK} elements do not fit in a binding of ${limit} bytes`),
  );
  return runs.map(([start, end]) => {
    const x = window(start, end);
    const from = { byteOffset: x.byteOffset, byteLength: x.byteLength };
    return {
      label: `reduce/${reduction} pass ${pass} team ${tile.team} x${lanes}`,
      wgsl: code,
      operands: [
        pass === 0 ? read(0, from) : { ...scratch(pass - 1, 'read'), ...from },
        isLast ? write(0) : scratch(pass, 'read_write'),
      ],
      uniforms: [
        start,
        end,
        chunks,
        CHUNK / lanes,
        length / lanes,
        f32Bits(isLast && reduction === 'mean' ? 1 / spec.length : 1),
        (-x.firstElement / lanes) >>> 0,
      ],
      workgroups: lineGrid(Math.ceil((end - start) / tile.rows), caps),
    };
  });
}
