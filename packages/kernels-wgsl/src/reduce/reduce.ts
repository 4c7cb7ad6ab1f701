/**
 * Sums, means and maxima of rows: out[r] = x[r, 0] op x[r, 1] op ... op x[r, length - 1]. Rows whose elements
 * do not lie side by side are `columns.ts`.
 *
 * Operands: those of the expression x [rows, length]; out [rows] f32.
 * Tile: teams of 1 to 64 invocations (`rows.ts`) on chunks of at most 1,024 elements, four a step where rows are
 * whole vec4s. Longer rows take several passes, each over the results of the one before: every invocation sums
 * few values, which keeps long sums accurate, and one long row fills the device.
 * Host: operands longer than a binding are cut between chunks.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { byteLength } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import {
  type Dispatch,
  f32Bits,
  type KernelTarget,
  type Lowering,
  lowerChosen,
  scratch,
  type Variant,
  write,
} from '../kernel.ts';
import { splitRange } from '../pointwise/access.ts';
import { declare } from '../storage.ts';
import { lowerColumns } from './columns.ts';
import { eachStep, reduceTeam, rowOfLane, rowTile } from './rows.ts';
import { denseSource, readSource } from './source.ts';
import type { ReduceSpec } from './spec.ts';

const CHUNK = 1024;

const REDUCE_VARIANTS: readonly Variant<ReduceSpec>[] = [
  { name: 'rows', applies: ({ inner }) => inner === 1, lower: lowerRows },
  { name: 'columns', applies: ({ inner }) => inner > 1, lower: lowerColumns },
];

/** Output [rows], f32: inputs are the operands of the source's expression. */
export const lowerReduce = (spec: ReduceSpec, target: KernelTarget): Lowering =>
  lowerChosen('reduce', REDUCE_VARIANTS, spec, target);

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
  const source = readSource(pass === 0 ? spec.source : denseSource(rows * length, 'f32'), length, pass, caps);
  const { lanes } = source;
  const chunks = Math.ceil(length / CHUNK);
  const type = lanes === 4 ? 'vec4<f32>' : 'f32';
  const tile = rowTile(Math.min(CHUNK, length) / lanes, caps);
  const adds = reduction === 'sum' || reduction === 'mean';
  const combine = adds
    ? (a: string, b: string) => `${a} + ${b}`
    : (a: string, b: string) => `max(${a}, ${b})`;
  const lanesTogether = adds
    ? 'dot(total, vec4<f32>(1.0))'
    : 'max(max(total.x, total.y), max(total.z, total.w))';
  const value = `fused(at * ${lanes}u, ${type}(0))`;

  const code = wgsl`${tile.enables}${source.enables}
struct Params { start: u32, end: u32, chunks: u32, chunkSteps: u32, steps: u32, scale: f32, ${source.code.fields} }
@group(0) @binding(0) var<uniform> params: Params;
${source.code.declarations}
${declare(source.bindings + 1, 'out', 'f32', 'read_write', caps)}
${reduceTeam(tile, adds ? 'add' : 'max')}
${source.code.code}
fn loadX(at: u32) -> ${type} { return ${reduction === 'absMax' ? `abs(${value})` : value}; }

@compute @workgroup_size(${tile.workgroup})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let own = params.start + ${WORKGROUP_INDEX} * ${tile.rows}u + ${rowOfLane(tile)};
  let live = own < params.end;
  let unit = select(params.start, own, live);
  let first = unit % params.chunks * params.chunkSteps;
  let steps = min(params.chunkSteps, params.steps - first);
  let at = unit / params.chunks * params.steps + first;
  var total = ${adds ? `${type}(0)` : 'loadX(at)'};
  ${eachStep(tile, 'steps', false, `    total = ${combine('total', 'loadX(at + s)')};`)}
  let result = team_${adds ? 'add' : 'max'}(lane, ${lanes === 4 ? lanesTogether : 'total'});
  if (live && lane % ${tile.team}u == 0u) { out[unit] = result * params.scale; }
}
`;
  const limit = caps.limits.maxStorageBufferBindingSize;
  const firstElement = (unit: number) => Math.floor(unit / chunks) * length + (unit % chunks) * CHUNK;
  const runs = splitRange(
    rows * chunks,
    1,
    (start, end) => source.fits(firstElement(start), firstElement(end)),
    () => new TooLargeError(`reduce: ${CHUNK} elements do not fit in a binding of ${limit} bytes`),
  );
  return runs.map(([start, end]) => {
    const x = source.bind(firstElement(start), firstElement(end));
    return {
      label: `reduce/${reduction} pass ${pass} team ${tile.team} x${lanes}`,
      wgsl: code,
      operands: [...x.operands, isLast ? write(0) : scratch(pass, 'read_write')],
      uniforms: [
        start,
        end,
        chunks,
        CHUNK / lanes,
        length / lanes,
        f32Bits(isLast && reduction === 'mean' ? 1 / spec.length : 1),
        ...x.uniforms,
      ],
      workgroups: lineGrid(Math.ceil((end - start) / tile.rows), caps),
    };
  });
}
