/**
 * Attention gradients for GPUs, tiled as `tiled.ts` does the forward pass: of the 64 invocations, invocation
 * (g, c) = (index / 8, index % 8) has rows g, g + 8, g + 16, g + 24 of the tile (queries for dq, keys for dk
 * and dv). It computes their products with others 4c .. 4c + 3, which pass through workgroup memory as weights,
 * and adds up component vec4s c, c + 8, .. of its rows' gradients.
 *
 * Tile: 32 rows of one head by 32 others, the head's components in chunks of 8 vec4s; 14 KiB of workgroup
 * memory. Rows of it are padded by one vec4, and others are stored in the order 0, 4, 8 .. 1, 5, 9 .. for the
 * first products, so that invocations read different banks.
 * Host: nothing beyond the spec's.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import type { AttentionKernel, AttentionSpec } from './sections.ts';
import { addChunk, chunksOf, FOUR, four, SCORED, scoreChunk, stage, THREADS, TOKENS } from './tiles.ts';

export function tiledSweep(spec: AttentionSpec, own: 'query' | 'key'): AttentionKernel {
  const byKeys = own === 'key';
  const vectors = spec.headDim / 4;
  const chunks = chunksOf(vectors);
  const stride = chunks[0].width + 1;
  // Scores are a · c, weights' gradients b · e: a and b are the rows', c and e the others'.
  const [a, b, c, e] = byKeys ? ['k', 'v', 'q', 'g'] : ['q', 'g', 'k', 'v'];
  const [count, others] = byKeys ? ['params.keys', 'params.queries'] : ['params.queries', 'params.keys'];
  const keyOf = (token: string) => `keyAt(batch, head) + ${token} * params.tokenStride`;
  const queryOf = (token: string) => `queryAt(batch, head, ${token})`;
  const [ownAt, otherAt] = byKeys ? [keyOf, queryOf] : [queryOf, keyOf];
  const outputs = byKeys
    ? [
        { name: 'dk', sum: 'x', weight: 'w', from: c },
        { name: 'dv', sum: 'y', weight: 'p', from: e },
      ]
    : [{ name: 'dq', sum: 'x', weight: 'w', from: c }];

  const safeOwn = ownAt(`min(firstToken + row, ${count} - 1u)`);
  const safeOther = otherAt(`min(first + row, ${others} - 1u)`);
  const products = (into: string, mine: string, other: string, scale: string) =>
    chunks
      .map(
        ({ at, width: w }) => `
    workgroupBarrier();
    ${stage('tileOwn', stride, w, `${safeOwn} + ${at}u`, `${scale}load_${mine}(source)`, 'row')}
    ${stage('tileOther', stride, w, `${safeOther} + ${at}u`, `load_${other}(source)`, SCORED)}
    workgroupBarrier();
    ${scoreChunk(into, w, { name: 'tileOwn', stride, at: 0 }, { name: 'tileOther', stride })}`,
      )
      .join('\n');
  const sums = ({ sum, weight, from }: (typeof outputs)[number]) => `
    workgroupBarrier();
    ${four((r) => `weights[row${r} * 9u + c] = ${weight}${r};`)}
    ${chunks
      .map(
        ({ at, width: w }, n) => `
    workgroupBarrier();
    ${stage('tileOther', stride, w, `${safeOther} + ${at}u`, `load_${from}(source)`, 'row')}
    workgroupBarrier();
    ${addChunk((r) => `${sum}${r}_${n}`, w, { name: 'tileOther', stride })}`,
      )
      .join('\n')}`;
  const vector = (element: (j: number) => string) => `vec4<f32>(${FOUR.map(element).join(', ')})`;
  const bias = (r: number) => {
    const other = (j: number) => `min(other + ${j}u, ${others} - 1u)`;
    const order = (j: number) => (byKeys ? `${other(j)}, safe${r}` : `safe${r}, ${other(j)}`);
    return vector((j) => `biasOf(batch, head, ${order(j)})`);
  };

  return {
    label: `backward by ${byKeys ? 'keys' : 'queries'}, tiled ${TOKENS}x${TOKENS}`,
    rows: TOKENS,
    rowsEach: FOUR.length,
    enables: '',
    main: (split) => wgsl`
var<workgroup> tileOwn: array<vec4<f32>, ${TOKENS * stride}>;
var<workgroup> tileOther: array<vec4<f32>, ${TOKENS * stride}>;
var<workgroup> weights: array<vec4<f32>, ${TOKENS * 9}>;

@compute @workgroup_size(${THREADS})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) index: u32) {
  let tile = ${WORKGROUP_INDEX};
  if (tile >= params.workgroups) { return; }
  let head = (tile / params.blocks) % params.heads;
  let batch = tile / params.blocks / params.heads;
  let firstToken = (tile % params.blocks) * ${TOKENS}u;
  let g = index / 8u;
  let c = index % 8u;
${four(
  (r) => wgsl`
  let row${r} = g + ${8 * r}u;
  let token${r} = firstToken + row${r};
  let safe${r} = min(token${r}, ${count} - 1u);
#if ${!byKeys}
  let own${r} = statistics[params.statisticsAt + statisticsAt(batch, head, safe${r})];
#endif
  ${outputs.map(({ sum }) => chunks.map((_, n) => `var ${sum}${r}_${n} = vec4<f32>();`).join(' ')).join('\n  ')}
#if ${split}
  if (params.first == 0u) {
    let at = ${ownAt(`safe${r}`)} + c;
    ${outputs
      .map(({ name, sum }) =>
        chunks
          .map(({ at, width: w }, n) => `if (c < ${w}u) { ${sum}${r}_${n} = load_${name}(at + ${at}u); }`)
          .join('\n    '),
      )
      .join('\n    ')}
  }
#endif
`,
)}
  for (var first = 0u; first < ${others}; first += ${TOKENS}u) {
    let other = first + 4u * c;
#if ${byKeys}
    ${four((j) => `let about${j} = statistics[params.statisticsAt + statisticsAt(batch, head, min(other + ${j}u, ${others} - 1u))];`)}
    // No weight for a query that is not there.
    let lse = ${vector((j) => `select(3.4e38, about${j}.x, other + ${j}u < ${others})`)};
    let delta = ${vector((j) => `about${j}.y`)};
    let scores = vec4<f32>();
#else
    let scores = ${vector((j) => `keyScore(batch, other + ${j}u)`)};
#endif
#if ${spec.bias !== undefined}
    ${four((r) => `var s${r} = scores + ${spec.bias ? bias(r) : ''};`)}
#else
    ${four((r) => `var s${r} = scores;`)}
#endif
    ${products('s', a, c, 'params.scale * ')}
    ${four((r) => `var t${r} = vec4<f32>();`)}
    ${products('t', b, e, '')}
    ${four((r) =>
      byKeys
        ? `let p${r} = exp(s${r} - lse);\nlet w${r} = params.scale * p${r} * (t${r} - delta);`
        : `let p${r} = exp(s${r} - vec4<f32>(own${r}.x));\nlet w${r} = params.scale * p${r} * (t${r} - vec4<f32>(own${r}.y));`,
    )}
    ${outputs.map(sums).join('\n')}
  }
${four(
  (r) => `
  if (token${r} < ${count}) {
    let at = ${ownAt(`token${r}`)} + c;
    ${outputs
      .map(({ name, sum }) =>
        chunks
          .map(
            ({ at, width: w }, n) =>
              `if (c < ${w}u) { ${name}[params.${name}At + at + ${at}u] = ${sum}${r}_${n}; }`,
          )
          .join('\n    '),
      )
      .join('\n    ')}
  }`,
)}
}
`,
  };
}
