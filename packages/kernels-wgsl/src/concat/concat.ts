/**
 * Concatenation along one dimension, and padding: row r of the output is row r of every segment, one after the
 * other, where a row is the joined dimension and all after it.
 *
 *     out[r, offset_k + j] = segment_k[r, j]
 *
 * Operands: the segments that are tensors, in order, [rows, words_k]; out [rows, sum of words]. All are 32-bit
 * words, moved as they are, so the dtype does not matter; packed halves need rows of whole words.
 * Tile: one dispatch a segment, lines of steps (`grid.ts`): four words where sizes and offset allow, else one.
 * Host: segments or outputs longer than a binding are cut.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { TooLargeError } from '../errors.ts';
import { eachInLine, lineGrid, lineTile, WORKGROUP_BUILTINS } from '../grid.ts';
import { type Dispatch, type Lowering, read, write } from '../kernel.ts';
import { splitRange, windowOf } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import { declare } from '../storage.ts';

/** One of the segments that are joined: an input, or a constant. */
export interface ConcatSegment {
  /** Words of one row. */
  readonly words: number;
  /** The bits that fill this segment; left out, the segment is the next input. */
  readonly fill?: number;
}

/** Segments that are joined row by row. */
export interface ConcatSpec {
  readonly rows: number;
  readonly segments: readonly ConcatSegment[];
}

/** One dispatch a segment, and more where a segment or the output is longer than a binding. */
export function lowerConcat({ rows, segments }: ConcatSpec, caps: DeviceCaps): Lowering {
  const rowWords = segments.reduce((sum, { words }) => sum + words, 0);
  const dispatches: Dispatch[] = [];
  let offset = 0;
  let input = 0;
  for (const segment of segments) {
    dispatches.push(...copySegment(segment, rows, rowWords, offset, input, caps));
    offset += segment.words;
    if (segment.fill === undefined) input++;
  }
  return { dispatches, scratch: [] };
}

function copySegment(
  { words, fill }: ConcatSegment,
  rows: number,
  rowWords: number,
  offset: number,
  input: number,
  caps: DeviceCaps,
): Dispatch[] {
  const lanes = words % 4 === 0 && rowWords % 4 === 0 && offset % 4 === 0 ? 4 : 1;
  const copies = fill === undefined;
  const tile = lineTile(caps);
  const code = wgsl`
struct Params { start: u32, end: u32, steps: u32, rowSteps: u32, atSegment: u32, atOut: u32, fill: u32, }
@group(0) @binding(0) var<uniform> params: Params;
#if ${copies}
${declare(1, 'segment', 'u32', 'read', caps, lanes)}
#endif
${declare(copies ? 2 : 1, 'out', 'u32', 'read_write', caps, lanes)}

@compute @workgroup_size(${tile.workgroup})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  ${eachInLine(
    tile,
    `  let o = params.atOut + i / params.steps * params.rowSteps + i % params.steps;
  out[o] = ${copies ? 'segment[params.atSegment + i]' : `${lanes === 4 ? 'vec4<u32>' : 'u32'}(params.fill)`};`,
  )}
}
`;
  const alignment = offsetAlignment(caps);
  const limit = caps.limits.maxStorageBufferBindingSize;
  const place = (i: number) => Math.floor(i / words) * rowWords + offset + (i % words);
  const inputWindow = (start: number, end: number) =>
    windowOf(start, end - 1, rows * words, 'u32', alignment);
  const outWindow = (start: number, end: number) =>
    windowOf(place(start), place(end - 1), rows * rowWords, 'u32', alignment);
  const fits = (start: number, end: number) =>
    (!copies || inputWindow(start, end).byteLength <= limit) && outWindow(start, end).byteLength <= limit;
  const tooLarge = () => new TooLargeError(`concat: nothing fits in a binding of ${limit} bytes`);
  // Runs are whole rows, or lie in one: the other segments' words between two rows may be more than a binding.
  const wholeRows = rowWords * 4 + 2 * alignment <= limit;
  const runs = wholeRows
    ? splitRange(rows, 1, (start, end) => fits(start * words, end * words), tooLarge).map(
        ([start, end]) => [start * words, end * words] as const,
      )
    : Array.from({ length: rows }, (_, r) => r * words).flatMap((at) =>
        splitRange(words, 4, (start, end) => fits(at + start, at + end), tooLarge).map(
          ([start, end]) => [at + start, at + end] as const,
        ),
      );
  return runs.map(([start, end]) => {
    const from = inputWindow(start, end);
    const out = outWindow(start, end);
    const operands = [write(0, { byteOffset: out.byteOffset, byteLength: out.byteLength })];
    if (copies) operands.unshift(read(input, { byteOffset: from.byteOffset, byteLength: from.byteLength }));
    return {
      label: `${copies ? 'concat' : 'fill'}/x${lanes}`,
      wgsl: code,
      operands,
      uniforms: [
        start / lanes,
        end / lanes,
        words / lanes,
        rowWords / lanes,
        (-from.firstElement / lanes) >>> 0,
        ((offset - out.firstElement) / lanes) >>> 0,
        fill ?? 0,
      ],
      workgroups: lineGrid(Math.ceil((end - start) / lanes / tile.block), caps),
    };
  });
}
