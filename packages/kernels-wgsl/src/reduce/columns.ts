/**
 * Reductions along a middle dimension: out[r, c] = x[r, 0, c] op x[r, 1, c] op ... op x[r, length - 1, c].
 *
 * Operands: those of the expression x [rows, length, inner]; out [rows, inner] f32.
 * Tile: one invocation a column (four where `inner` allows) of one chunk of at most 256 elements, so that
 * neighbours read neighbours and no invocation waits for another. Longer columns take several passes.
 * Host: operands and out longer than a binding are cut between chunks, which get shorter if one alone is too long.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { byteLength } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type Dispatch, f32Bits, type Lowering, scratch, write } from '../kernel.ts';
import { splitRange, windowOf } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import { declare } from '../storage.ts';
import { denseSource, readSource } from './source.ts';
import type { ReduceSpec } from './spec.ts';

const CHUNK = 256;
const WORKGROUP = 64;

export function lowerColumns(spec: ReduceSpec, caps: DeviceCaps): Lowering {
  const room = caps.limits.maxStorageBufferBindingSize - 2 * offsetAlignment(caps);
  const chunk = Math.max(2, Math.min(CHUNK, Math.floor(room / (4 * spec.inner))));
  const dispatches: Dispatch[] = [];
  const scratchBytes: number[] = [];
  let { length } = spec;
  do {
    const chunks = Math.ceil(length / chunk);
    dispatches.push(...lowerPass(spec, length, chunk, scratchBytes.length, caps));
    if (chunks > 1) scratchBytes.push(byteLength(spec.rows * chunks * spec.inner, 'f32'));
    length = chunks;
  } while (length > 1);
  return { dispatches, scratch: scratchBytes };
}

/** Pass 0 reads x, pass k the k-th scratch buffer; the last one writes the output. */
function lowerPass(
  spec: ReduceSpec,
  length: number,
  chunk: number,
  pass: number,
  caps: DeviceCaps,
): Dispatch[] {
  const { rows, inner, reduction } = spec;
  const source = readSource(
    pass === 0 ? spec.source : denseSource(rows * length * inner, 'f32'),
    inner,
    pass,
    caps,
  );
  const { lanes } = source;
  const type = lanes === 4 ? 'vec4<f32>' : 'f32';
  const chunks = Math.ceil(length / chunk);
  const isLast = chunks === 1;
  const adds = reduction === 'sum' || reduction === 'mean';
  const value = `fused(at * ${lanes}u, ${type}(0))`;

  const code = wgsl`${source.enables}
struct Params { start: u32, end: u32, chunks: u32, chunk: u32, length: u32, columns: u32, scale: f32, atOut: u32, ${source.code.fields} }
@group(0) @binding(0) var<uniform> params: Params;
${source.code.declarations}
${declare(source.bindings + 1, 'out', 'f32', 'read_write', caps, lanes)}
${source.code.code}
fn loadX(at: u32) -> ${type} { return ${reduction === 'absMax' ? `abs(${value})` : value}; }

@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let i = params.start * params.columns + ${WORKGROUP_INDEX} * ${WORKGROUP}u + lane;
  if (i >= params.end * params.columns) { return; }
  let unit = i / params.columns;
  let first = unit % params.chunks * params.chunk;
  let count = min(params.chunk, params.length - first);
  let at = (unit / params.chunks * params.length + first) * params.columns + i % params.columns;
  var total = loadX(at);
  for (var s = 1u; s < count; s++) {
    let next = loadX(at + s * params.columns);
    total = ${adds ? 'total + next' : 'max(total, next)'};
  }
  out[params.atOut + i] = total * params.scale;
}
`;
  const limit = caps.limits.maxStorageBufferBindingSize;
  const alignment = offsetAlignment(caps);
  const firstElement = (unit: number) =>
    (Math.floor(unit / chunks) * length + (unit % chunks) * chunk) * inner;
  const outWindow = (start: number, end: number) =>
    windowOf(start * inner, end * inner - 1, rows * chunks * inner, 'f32', alignment);
  const runs = splitRange(
    rows * chunks,
    1,
    (start, end) =>
      source.fits(firstElement(start), firstElement(end)) &&
      outWindow(start, end).byteLength <= limit &&
      (end - start) * inner < 2 ** 31,
    () =>
      new TooLargeError(`reduce: two rows of ${inner} elements do not fit in a binding of ${limit} bytes`),
  );
  return runs.map(([start, end]) => {
    const x = source.bind(firstElement(start), firstElement(end));
    const out = outWindow(start, end);
    const to = { byteOffset: out.byteOffset, byteLength: out.byteLength };
    return {
      label: `reduce/${reduction} columns pass ${pass} x${lanes}`,
      wgsl: code,
      operands: [...x.operands, isLast ? write(0, to) : { ...scratch(pass, 'read_write'), ...to }],
      uniforms: [
        start,
        end,
        chunks,
        chunk,
        length,
        inner / lanes,
        f32Bits(isLast && reduction === 'mean' ? 1 / spec.length : 1),
        (-out.firstElement / lanes) >>> 0,
        ...x.uniforms,
      ],
      workgroups: lineGrid(Math.ceil(((end - start) * inner) / lanes / WORKGROUP), caps),
    };
  });
}
