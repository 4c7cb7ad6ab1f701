/**
 * Rows of a table by index: out[n, c] = table[min(ids[n], V - 1), c]. Indices out of range take the last row,
 * so that no index can read outside the table.
 *
 * Operands: ids [count] u32; table [V, channels] f32, f16 or bf16; out [count, channels] f32.
 * Tile: 64 invocations of one step: four channels where `channels` is a multiple of 4, else one.
 * Host: a table longer than a binding is cut into runs of rows, one dispatch each, which writes the outputs
 * whose index lies in its run; outputs longer than a binding are cut as well.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import type { DType } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type Lowering, read, write } from '../kernel.ts';
import { splitRange, windowOf } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import { declare, enables, type Lanes, load } from '../storage.ts';
import type { EmbeddingShape } from './shapes.ts';

/** Rows of a table by index. */
export interface EmbeddingSpec extends EmbeddingShape {
  /** Dtype of the table. */
  readonly dtype: DType;
}

const WORKGROUP = 64;

/** The rows [count, channels], f32: inputs ids [count] u32 and the table [vocabulary, channels]. */
export function lowerEmbedding(
  { count, vocabulary, channels, dtype }: EmbeddingSpec,
  caps: DeviceCaps,
): Lowering {
  const lanes: Lanes = channels % 4 === 0 ? 4 : 1;
  const code = wgsl`${enables([dtype], caps)}
struct Params {
  start: u32, end: u32, steps: u32, last: u32, rowStart: u32, rowEnd: u32, atIds: u32, atTable: u32, atOut: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'ids', 'u32', 'read', caps)}
${declare(2, 'rows', dtype, 'read', caps, lanes)}
${declare(3, 'out', 'f32', 'read_write', caps, lanes)}

@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let i = params.start + ${WORKGROUP_INDEX} * ${WORKGROUP}u + lane;
  if (i >= params.end) { return; }
  let row = min(ids[params.atIds + i / params.steps], params.last);
  if (row < params.rowStart || row >= params.rowEnd) { return; }
  let e = params.atTable + row * params.steps + i % params.steps;
  out[params.atOut + i] = ${load('rows', dtype, 'e', caps, lanes)};
}
`;
  const alignment = offsetAlignment(caps);
  const limit = caps.limits.maxStorageBufferBindingSize;
  const tooLarge = () =>
    new TooLargeError(`embedding: a row of ${channels} does not fit in a binding of ${limit} bytes`);
  const tableWindow = (start: number, end: number) =>
    windowOf(start * channels, end * channels - 1, vocabulary * channels, dtype, alignment);
  const idsWindow = (start: number, end: number) => windowOf(start, end - 1, count, 'u32', alignment);
  const outWindow = (start: number, end: number) =>
    windowOf(start * channels, end * channels - 1, count * channels, 'f32', alignment);
  const tables = splitRange(
    vocabulary,
    1,
    (start, end) => tableWindow(start, end).byteLength <= limit,
    tooLarge,
  );
  const runs = splitRange(
    count,
    1,
    (start, end) => idsWindow(start, end).byteLength <= limit && outWindow(start, end).byteLength <= limit,
    tooLarge,
  );
  const bound = ({ byteOffset, byteLength }: { byteOffset: number; byteLength: number }) => ({
    byteOffset,
    byteLength,
  });
  return {
    scratch: [],
    dispatches: runs.flatMap(([start, end]) =>
      tables.map(([rowStart, rowEnd]) => {
        const ids = idsWindow(start, end);
        const table = tableWindow(rowStart, rowEnd);
        const out = outWindow(start, end);
        const steps = channels / lanes;
        return {
          label: `embedding/x${lanes}`,
          wgsl: code,
          operands: [read(0, bound(ids)), read(1, bound(table)), write(0, bound(out))],
          uniforms: [
            start * steps,
            end * steps,
            steps,
            vocabulary - 1,
            rowStart,
            rowEnd,
            -ids.firstElement >>> 0,
            (-table.firstElement / lanes) >>> 0,
            (-out.firstElement / lanes) >>> 0,
          ],
          workgroups: lineGrid(Math.ceil(((end - start) * steps) / WORKGROUP), caps),
        };
      }),
    ),
  };
}
