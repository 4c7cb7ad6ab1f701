/**
 * Attention gradients for devices that run a subgroup as the lanes of one CPU vector, as `rows.ts` does the
 * forward pass: an invocation keeps rows (queries for dq, keys for dk and dv) and what it sums up for them, and
 * goes through the other tokens in blocks of one per lane, which broadcasts share.
 *
 * Tile: one subgroup: lanes · rows tokens of one head, by `lanes` others.
 * Host: subgroups of one size, which is the workgroup's.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import type { AttentionKernel, AttentionSpec } from './sections.ts';

/** Tokens of a subgroup: 32 are a third faster than 16, but the code of wide heads takes long to compile. */
const tokensOf = (headDim: number) => (headDim > 64 ? [8, 16] : [32, 16, 8]);

/** Tokens that a lane keeps. */
export const sweepCandidates = (spec: AttentionSpec, own: 'query' | 'key', lanes: number): number[] => {
  const tokens = own === 'key' ? spec.keys : spec.queries;
  return [
    ...new Set(
      tokensOf(spec.headDim).map((count) => Math.min(Math.max(1, count / lanes), Math.ceil(tokens / lanes))),
    ),
  ];
};

const times = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n');

export function rowsSweep(
  spec: AttentionSpec,
  own: 'query' | 'key',
  lanes: number,
  rows: number,
): AttentionKernel {
  const byKeys = own === 'key';
  const vectors = spec.headDim / 4;
  const each = (line: (r: number, j: number) => string) =>
    times(lanes, (j) => times(rows, (r) => line(r, j)));
  // Scores are a · c, weights' gradients b · e: a and b are the rows', c and e the others'.
  const [a, b, c, e] = byKeys ? ['k', 'v', 'q', 'g'] : ['q', 'g', 'k', 'v'];
  const [first, second] = byKeys ? ['dk', 'dv'] : ['dq', ''];
  const [count, others] = byKeys ? ['params.keys', 'params.queries'] : ['params.queries', 'params.keys'];
  const keyOf = (token: string) => `keyAt(batch, head) + ${token} * params.tokenStride`;
  const queryOf = (token: string) => `queryAt(batch, head, ${token})`;
  const [ownAt, otherAt] = byKeys ? [keyOf, queryOf] : [queryOf, keyOf];
  const biasAt = byKeys ? 'first + j, token' : 'token, first + j';

  const dots = (into: string, from: string, other: string) =>
    times(
      vectors,
      (d) => `{
      let wide = load_${other}(at + ${d}u);
      ${times(lanes, (j) => `let o${j} = subgroupBroadcast(wide, ${j}u);`)}
      ${each((r, j) =>
        ['x', 'y', 'z', 'w']
          .map(
            (part) =>
              `${into}${r}_${j} = fma(${from}[${r * vectors + d}].${part}, o${j}.${part}, ${into}${r}_${j});`,
          )
          .join(' '),
      )}
    }`,
    );
  const sums = (into: string, weight: string, other: string) =>
    times(
      vectors,
      (d) => `{
      let wide = load_${other}(at + ${d}u);
      ${times(lanes, (j) => `let o${j} = subgroupBroadcast(wide, ${j}u);`)}
      ${times(rows, (r) => `var sum${r} = ${into}[${r * vectors + d}];`)}
      ${each((r, j) => `sum${r} = fma(vec4<f32>(${weight}${r}_${j}), o${j}, sum${r});`)}
      ${times(rows, (r) => `${into}[${r * vectors + d}] = sum${r};`)}
    }`,
    );

  // As in `rows.ts`, loops with bounds from `params` keep the arrays in memory.
  return {
    label: `backward by ${byKeys ? 'keys' : 'queries'}, rows ${lanes}x${rows}`,
    rows: lanes * rows,
    rowsEach: rows,
    enables: 'enable subgroups;',
    main: (split) => wgsl`
@compute @workgroup_size(${lanes})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let index = ${WORKGROUP_INDEX};
  if (index >= params.workgroups) { return; }
  let head = (index / params.blocks) % params.heads;
  let batch = index / params.blocks / params.heads;
  let firstToken = index % params.blocks * ${lanes * rows}u + lane;
  var a: array<vec4<f32>, ${rows * vectors}>;
  var b: array<vec4<f32>, ${rows * vectors}>;
  var x: array<vec4<f32>, ${rows * vectors}>;
#if ${byKeys}
  var y: array<vec4<f32>, ${rows * vectors}>;
#else
  var own: array<vec2<f32>, ${rows}>;
#endif
  for (var r = 0u; r < params.blockRows; r++) {
    let token = min(firstToken + r * ${lanes}u, ${count} - 1u);
    let at = ${ownAt('token')};
    for (var d = 0u; d < params.vectors; d++) {
      a[r * ${vectors}u + d] = params.scale * load_${a}(at + d);
      b[r * ${vectors}u + d] = load_${b}(at + d);
      x[r * ${vectors}u + d] = vec4<f32>();
#if ${byKeys}
      y[r * ${vectors}u + d] = vec4<f32>();
#endif
#if ${split}
      if (params.first == 0u) {
        x[r * ${vectors}u + d] = load_${first}(at + d);
#if ${byKeys}
        y[r * ${vectors}u + d] = load_${second || first}(at + d);
#endif
      }
#endif
    }
#if ${!byKeys}
    own[r] = statistics[params.statisticsAt + statisticsAt(batch, head, token)];
#endif
  }
#if ${!byKeys}
  ${times(rows, (r) => `let lse${r} = own[${r}].x;\nlet delta${r} = own[${r}].y;`)}
#endif
#if ${spec.bias !== undefined}
  var biases: array<f32, ${rows * lanes}>;
#endif
  for (var first = 0u; first < ${others}; first += ${lanes}u) {
    let other = min(first + lane, ${others} - 1u);
    let at = ${otherAt('other')};
#if ${byKeys}
    let about = statistics[params.statisticsAt + statisticsAt(batch, head, other)];
    // No weight for a query that is not there.
    let lse = select(3.4e38, about.x, first + lane < ${others});
    ${times(lanes, (j) => `let lse${j} = subgroupBroadcast(lse, ${j}u);\nlet delta${j} = subgroupBroadcast(about.y, ${j}u);\nlet score${j} = 0.0;`)}
#else
    let ownScore = keyScore(batch, first + lane);
    ${times(lanes, (j) => `let score${j} = subgroupBroadcast(ownScore, ${j}u);`)}
#endif
#if ${spec.bias !== undefined}
    for (var r = 0u; r < params.blockRows; r++) {
      let token = min(firstToken + r * ${lanes}u, ${count} - 1u);
      for (var j = 0u; j < min(${lanes}u, ${others} - first); j++) {
        biases[r * ${lanes}u + j] = biasOf(batch, head, ${biasAt});
      }
    }
    ${each((r, j) => `var s${r}_${j} = score${j} + biases[${r * lanes + j}];`)}
#else
    ${each((r, j) => `var s${r}_${j} = score${j};`)}
#endif
    ${dots('s', 'a', c)}
    ${each((r, j) => `var t${r}_${j} = 0.0;`)}
    ${dots('t', 'b', e)}
    ${each((r, j) => `let p${r}_${j} = exp(s${r}_${j} - lse${byKeys ? j : r});`)}
    ${each((r, j) => `let w${r}_${j} = params.scale * p${r}_${j} * (t${r}_${j} - delta${byKeys ? j : r});`)}
    ${sums('x', 'w', c)}
#if ${byKeys}
    ${sums('y', 'p', e)}
#endif
  }
  for (var r = 0u; r < params.blockRows; r++) {
    let token = firstToken + r * ${lanes}u;
    if (token < ${count}) {
      let at = ${ownAt('token')};
      for (var d = 0u; d < params.vectors; d++) {
        ${first}[params.${first}At + at + d] = x[r * ${vectors}u + d];
#if ${byKeys}
        ${second || first}[params.${second || first}At + at + d] = y[r * ${vectors}u + d];
#endif
      }
    }
  }
}
`,
  };
}
