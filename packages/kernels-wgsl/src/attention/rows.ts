/**
 * Attention for devices that run a subgroup as the lanes of one CPU vector, where a load is done lane by lane
 * and costs like many multiplications.
 *
 * An invocation keeps `rows` queries and their outputs and goes through the keys in blocks of one per lane:
 * each lane loads one key, and broadcasts share it, so a load serves rows · lanes queries. All scores of a
 * block are known before its values are read, so outputs are rescaled once a block.
 *
 * Tile: one subgroup: lanes · rows queries of one head, by `lanes` keys.
 * Host: subgroups of one size, which is the workgroup's.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type AttentionKernel, type AttentionSpec, NO_MAXIMUM } from './sections.ts';

/** Queries of a subgroup, best guess first: where lavapipe (8 lanes) and SwiftShader (4 lanes) are fastest. */
const QUERIES = [32, 16, 64, 8];
/** Products of the innermost loops, which are unrolled: more take compilers long. */
const MOST_PRODUCTS = 1024;

/** Queries that a lane keeps. */
export const rowsCandidates = ({ queries, headDim }: AttentionSpec, lanes: number): number[] => [
  ...new Set(
    QUERIES.filter((count, i) => i === 0 || count * (headDim / 4) <= MOST_PRODUCTS).map((count) =>
      Math.max(1, Math.min(count / lanes, Math.ceil(queries / lanes))),
    ),
  ),
];

const times = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n');

/** Terms joined as a balanced tree: the shortest chain of dependent operations. */
function tree(terms: readonly string[], join: (a: string, b: string) => string): string {
  if (terms.length === 1) return terms[0];
  const half = terms.length >> 1;
  return join(tree(terms.slice(0, half), join), tree(terms.slice(half), join));
}

export function rowsKernel(spec: AttentionSpec, lanes: number, rows: number): AttentionKernel {
  const vectors = spec.headDim / 4;
  const each = (line: (r: number, j: number) => string) =>
    times(lanes, (j) => times(rows, (r) => line(r, j)));
  const block = (name: string, r: number) => Array.from({ length: lanes }, (_, j) => `${name}${r}_${j}`);
  const dot = (r: number, j: number, d: number) =>
    ['x', 'y', 'z', 'w']
      .map((c) => `s${r}_${j} = fma(q[${r * vectors + d}].${c}, k${j}.${c}, s${r}_${j});`)
      .join(' ');

  // Loops with bounds from `params`, which no compiler unrolls, keep q and o in memory: as hundreds of registers
  // that live across the loop that every load is, they cost LLVM half a minute. In the unrolled middle, where
  // the time goes, they are read at constant places, which is one vector load.
  return {
    label: `rows ${lanes}x${rows}`,
    rows: lanes * rows,
    rowsEach: rows,
    enables: 'enable subgroups;',
    main: (split) => wgsl`
@compute @workgroup_size(${lanes})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let index = ${WORKGROUP_INDEX};
  if (index >= params.workgroups) { return; }
  let block = index % params.blocks;
  let head = (index / params.blocks) % params.heads;
  let batch = index / params.blocks / params.heads;
  let firstQuery = block * ${lanes * rows}u + lane;
  let keysAt = keyAt(batch, head);
  var q: array<vec4<f32>, ${rows * vectors}>;
  var o: array<vec4<f32>, ${rows * vectors}>;
  var maxima: array<f32, ${rows}>;
  var sums: array<f32, ${rows}>;
  for (var r = 0u; r < params.blockRows; r++) {
    let query = min(firstQuery + r * ${lanes}u, params.queries - 1u);
    let at = queryAt(batch, head, query);
    for (var d = 0u; d < params.vectors; d++) {
      q[r * ${vectors}u + d] = params.scale * load_q(at + d);
      o[r * ${vectors}u + d] = vec4<f32>();
    }
    maxima[r] = ${NO_MAXIMUM};
    sums[r] = 0.0;
#if ${split}
    if (params.first == 0u) {
      let before = state[params.stateAt + statisticsAt(batch, head, query)];
      maxima[r] = before.x;
      sums[r] = before.y;
      for (var d = 0u; d < params.vectors; d++) { o[r * ${vectors}u + d] = out[params.outAt + at + d]; }
    }
#endif
  }
  ${times(rows, (r) => `var m${r} = maxima[${r}];\nvar l${r} = sums[${r}];`)}
#if ${spec.bias !== undefined}
  var biases: array<f32, ${rows * lanes}>;
#endif
  for (var first = 0u; first < params.keys; first += ${lanes}u) {
    let ownScore = keyScore(batch, first + lane);
    let ownAt = keysAt + min(first + lane, params.keys - 1u) * params.tokenStride;
    ${times(lanes, (j) => `let score${j} = subgroupBroadcast(ownScore, ${j}u);`)}
#if ${spec.bias !== undefined}
    for (var r = 0u; r < params.blockRows; r++) {
      let query = min(firstQuery + r * ${lanes}u, params.queries - 1u);
      for (var j = 0u; j < min(${lanes}u, params.keys - first); j++) {
        biases[r * ${lanes}u + j] = biasOf(batch, head, query, first + j);
      }
    }
    ${each((r, j) => `var s${r}_${j} = score${j} + biases[${r * lanes + j}];`)}
#else
    ${each((r, j) => `var s${r}_${j} = score${j};`)}
#endif
    ${times(
      vectors,
      (d) => `{
      let k = load_k(ownAt + ${d}u);
      ${times(lanes, (j) => `let k${j} = subgroupBroadcast(k, ${j}u);`)}
      ${each((r, j) => dot(r, j, d))}
    }`,
    )}
    ${times(
      rows,
      (r) => `
    let max${r} = max(m${r}, ${tree(block('s', r), (a, b) => `max(${a}, ${b})`)});
    let fade${r} = exp(m${r} - max${r});
    m${r} = max${r};
    ${times(lanes, (j) => `let p${r}_${j} = exp(s${r}_${j} - max${r});`)}
    l${r} = l${r} * fade${r} + ${tree(block('p', r), (a, b) => `(${a} + ${b})`)};`,
    )}
    ${times(
      vectors,
      (d) => `{
      let v = load_v(ownAt + ${d}u);
      ${times(lanes, (j) => `let v${j} = subgroupBroadcast(v, ${j}u);`)}
      ${times(rows, (r) => `var sum${r} = o[${r * vectors + d}] * fade${r};`)}
      ${each((r, j) => `sum${r} = fma(vec4<f32>(p${r}_${j}), v${j}, sum${r});`)}
      ${times(rows, (r) => `o[${r * vectors + d}] = sum${r};`)}
    }`,
    )}
  }
  ${times(rows, (r) => `maxima[${r}] = m${r};\nsums[${r}] = l${r};`)}
  for (var r = 0u; r < params.blockRows; r++) {
    let query = firstQuery + r * ${lanes}u;
    if (query < params.queries) {
      var weight = normaliser(sums[r]);
#if ${split}
      state[params.stateAt + statisticsAt(batch, head, query)] = vec2<f32>(maxima[r], sums[r]);
      if (params.last == 0u) { weight = 1.0; }
#endif
      let at = params.outAt + queryAt(batch, head, query);
      for (var d = 0u; d < params.vectors; d++) { out[at + d] = o[r * ${vectors}u + d] * weight; }
      lse[params.lseAt + statisticsAt(batch, head, query)] = logSumExp(maxima[r], sums[r]);
    }
  }
}
`,
  };
}
