/**
 * Which splats each tile has to draw, nearest first. Splats are visited in depth order and every (tile, splat)
 * pair gets the next number, so one stable sort of the pairs by tile leaves each tile's splats together and still
 * in depth order. Pairs are handled a window [first, end) of their numbers at a time, so that any number of them
 * needs a bounded amount of memory: a tile keeps what it has drawn from window to window.
 */
import { WORKGROUP_BUILTINS, WORKGROUP_NUMBER } from './compute.ts';
import { PROJECTED_WGSL } from './project.ts';

export const TILE_THREADS = 64;

const INDEX = `let i = (${WORKGROUP_NUMBER}) * ${TILE_THREADS} + local;`;

/** Tiles that the i-th nearest splat reaches. */
export const COUNT_TILES = /* wgsl */ `
${PROJECTED_WGSL}
@group(0) @binding(0) var<uniform> count: vec4u;
@group(0) @binding(1) var<storage, read> projected: array<Projected>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> pairs: array<u32>;
@compute @workgroup_size(${TILE_THREADS}) fn main(${WORKGROUP_BUILTINS}) {
  ${INDEX}
  if (i >= count.x) { return; }
  let splat = order[i];
  let columns = projected[splat].columns;
  let rows = projected[splat].rows;
  pairs[i] = ((columns >> 16) - (columns & 0xffff)) * ((rows >> 16) - (rows & 0xffff));
}`;

/** Writes the window's pairs; `starts` are the exclusive sums of what COUNT_TILES wrote. */
export const EMIT_PAIRS = /* wgsl */ `
${PROJECTED_WGSL}
// splats, first pair, end of pairs, tiles a row
@group(0) @binding(0) var<uniform> window: vec4u;
@group(0) @binding(1) var<storage, read> projected: array<Projected>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read_write> keys: array<u32>;
@group(0) @binding(5) var<storage, read_write> values: array<u32>;
@compute @workgroup_size(${TILE_THREADS}) fn main(${WORKGROUP_BUILTINS}) {
  ${INDEX}
  if (i >= window.x) { return; }
  var pair = starts[i];
  if (pair >= window.z) { return; }
  let splat = order[i];
  let columns = projected[splat].columns;
  let rows = projected[splat].rows;
  for (var y = rows & 0xffff; y < (rows >> 16); y++) {
    let next = pair + (columns >> 16) - (columns & 0xffff);
    if (next > window.y && pair < window.z) {
      for (var x = columns & 0xffff; x < (columns >> 16); x++) {
        if (pair >= window.y && pair < window.z) {
          keys[pair - window.y] = y * window.w + x;
          values[pair - window.y] = splat;
        }
        pair++;
      }
    }
    pair = next;
  }
}`;

/** First and end of each tile's run in the sorted pairs; tiles without any keep what is there. */
export const TILE_RUNS = /* wgsl */ `
@group(0) @binding(0) var<uniform> count: vec4u;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
// [tile, 2]
@group(0) @binding(2) var<storage, read_write> runs: array<u32>;
@compute @workgroup_size(${TILE_THREADS}) fn main(${WORKGROUP_BUILTINS}) {
  ${INDEX}
  if (i >= count.x) { return; }
  let tile = keys[i];
  if (i == 0 || keys[max(i, 1) - 1] != tile) { runs[2 * tile] = i; }
  if (i + 1 == count.x || keys[min(i + 1, count.x - 1)] != tile) { runs[2 * tile + 1] = i + 1; }
}`;
