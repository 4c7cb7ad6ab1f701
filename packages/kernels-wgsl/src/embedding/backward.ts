/**
 * Gradient of an embedding's table: dtable[v, c] = sum over n with min(ids[n], V - 1) = v of g[n, c], added in
 * the order of n, without atomics.
 *
 * Operands: ids [count] u32; g [count, channels] f32; dtable [V, channels] f32.
 * Kernels: `heads` marks all V rows as unused; `chains` finds for every n the next index of the same row, and
 * writes the first of each row's; `sums` lets each row follow its chain. Few indices are cheap to search
 * through, and in many for few rows the next is near. Chains are summed by 64, so that long sums stay accurate.
 * Tile: 64 invocations, in `sums` of one step: four channels where `channels` is a multiple of 4, else one.
 * Host: dtable longer than a binding is cut into runs of rows; g into runs of indices, which add to what is
 * there. ids, and a word for each row, must fit in a binding.
 */
import type { DeviceCaps } from '../caps.ts';
import { byteLength } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type Lowering, read, scratch, write } from '../kernel.ts';
import { splitRange, type Window, windowOf } from '../pointwise/access.ts';
import { offsetAlignment } from '../pointwise/fusion.ts';
import { declare, type Lanes } from '../storage.ts';
import type { EmbeddingShape } from './shapes.ts';

const WORKGROUP = 64;
/** End of a chain. */
const NONE = '0xffffffffu';

const HEADS = 0;
const NEXT = 1;

const bound = ({ byteOffset, byteLength: length }: Window) => ({ byteOffset, byteLength: length });

/** The gradient of the table [vocabulary, channels], f32: inputs ids and the gradient of the result. */
export function lowerEmbeddingBackward(
  { count, vocabulary, channels }: EmbeddingShape,
  caps: DeviceCaps,
): Lowering {
  const lanes: Lanes = channels % 4 === 0 ? 4 : 1;
  const type = lanes === 4 ? 'vec4<f32>' : 'f32';
  const limit = caps.limits.maxStorageBufferBindingSize;
  const words = Math.max(count, vocabulary);
  if (byteLength(words, 'u32') > limit) {
    throw new TooLargeError(`embedding: ${words} indices or rows do not fit in a binding of ${limit} bytes`);
  }
  const main = `@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let i = ${WORKGROUP_INDEX} * ${WORKGROUP}u + lane;`;
  const heads = `struct Params { rows: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<u32>;
${main}
  if (i < params.rows) { heads[i] = ${NONE}; }
}
`;
  const chains = `struct Params { count: u32, last: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> heads: array<u32>;
@group(0) @binding(3) var<storage, read_write> next: array<u32>;
${main}
  if (i >= params.count) { return; }
  let row = min(ids[i], params.last);
  var after = i + 1u;
  while (after < params.count && min(ids[after], params.last) != row) { after++; }
  next[i] = select(${NONE}, after, after < params.count);
  var before = i;
  while (before > 0u && min(ids[before - 1u], params.last) != row) { before--; }
  if (before == 0u) { heads[row] = i; }
}
`;
  const sums = `struct Params { start: u32, end: u32, steps: u32, first: u32, last: u32, atG: u32, atOut: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> heads: array<u32>;
@group(0) @binding(2) var<storage, read> next: array<u32>;
${declare(3, 'g', 'f32', 'read', caps, lanes)}
${declare(4, 'out', 'f32', 'read_write', caps, lanes)}
${main.replace('let i = ', 'let i = params.start + ')}
  if (i >= params.end) { return; }
  let step = i % params.steps;
  var total = ${type}(0);
  if (params.first > 0u) { total = out[params.atOut + i]; }
  var part = ${type}(0);
  var added = 0u;
  for (var n = heads[i / params.steps]; n < params.last; n = next[n]) {
    if (n < params.first) { continue; }
    part += g[params.atG + n * params.steps + step];
    added++;
    if (added % 64u == 0u) {
      total += part;
      part = ${type}(0);
    }
  }
  out[params.atOut + i] = total + part;
}
`;
  const steps = channels / lanes;
  const alignment = offsetAlignment(caps);
  const window = (start: number, end: number, rows: number) =>
    windowOf(start * channels, end * channels - 1, rows * channels, 'f32', alignment);
  const cut = (rows: number) =>
    splitRange(
      rows,
      1,
      (start, end) => window(start, end, rows).byteLength <= limit,
      () => new TooLargeError(`embedding: a row of ${channels} does not fit in a binding of ${limit} bytes`),
    );
  const line = (items: number) => lineGrid(Math.ceil(items / WORKGROUP), caps);
  return {
    scratch: [byteLength(vocabulary, 'u32'), byteLength(count, 'u32')],
    dispatches: [
      {
        label: 'embedding/heads',
        wgsl: heads,
        operands: [scratch(HEADS, 'read_write')],
        uniforms: [vocabulary],
        workgroups: line(vocabulary),
      },
      {
        label: 'embedding/chains',
        wgsl: chains,
        operands: [read(0), scratch(HEADS, 'read_write'), scratch(NEXT, 'read_write')],
        uniforms: [count, vocabulary - 1],
        workgroups: line(count),
      },
      ...cut(vocabulary).flatMap(([start, end]) =>
        cut(count).map(([first, last]) => {
          const g = window(first, last, count);
          const out = window(start, end, vocabulary);
          return {
            label: `embedding/sums x${lanes}`,
            wgsl: sums,
            operands: [
              scratch(HEADS, 'read'),
              scratch(NEXT, 'read'),
              read(1, bound(g)),
              write(0, bound(out)),
            ],
            uniforms: [
              ...[start * steps, end * steps, steps, first, last],
              (-g.firstElement / lanes) >>> 0,
              (-out.firstElement / lanes) >>> 0,
            ],
            workgroups: line((end - start) * steps),
          };
        }),
      ),
    ],
  };
}
