/**
 * Attention for GPUs: tiles of queries, keys and values in workgroup memory, scores and outputs in registers.
 *
 * Of the 64 invocations, invocation (g, c) = (index / 8, index % 8) has queries g, g + 8, g + 16, g + 24. It
 * scores them against keys 4c .. 4c + 3 of the tile, 16 scores in registers; then it adds up component vec4s
 * c, c + 8, c + 16, c + 24 of their outputs, for which the weights of the whole tile pass through workgroup
 * memory. So both products read 8 vec4s for 16 vec4 multiply-adds.
 *
 * Tile: 32 queries of one head by 32 keys, the head's components in chunks of 8 vec4s. Rows of workgroup memory
 * are padded by one vec4, and keys are stored in the order 0, 4, 8 .. 1, 5, 9 .., so that invocations read
 * different banks. Queries stay in workgroup memory where it is large enough, else they are loaded by chunk.
 * Host: nothing beyond the spec's.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type AttentionKernel, type AttentionSpec, NO_MAXIMUM } from './sections.ts';
import { addChunk, chunksOf, FOUR, four, SCORED, scoreChunk, stage, THREADS, TOKENS } from './tiles.ts';

/** Bytes of a padded tile row of `vectors` vec4s, times 32 rows. */
const tileBytes = (vectors: number) => 32 * (vectors + 1) * 16;

/** Whether the queries can stay in workgroup memory beside the rest. */
export function queriesFit({ headDim }: AttentionSpec, caps: DeviceCaps): boolean {
  const vectors = headDim / 4;
  const others = tileBytes(chunksOf(vectors)[0].width) + tileBytes(TOKENS / 4) + TOKENS * 9 * 4;
  return tileBytes(vectors) + others <= caps.limits.maxComputeWorkgroupStorageSize;
}

/** @param resident keeps the queries in workgroup memory, which must hold them. */
export function tiledKernel(spec: AttentionSpec, resident: boolean): AttentionKernel {
  const vectors = spec.headDim / 4;
  const chunks = chunksOf(vectors);
  const { width } = chunks[0];
  const queryStride = (resident ? vectors : width) + 1;
  const keyStride = width + 1;

  const stageQ = (at: number, count: number) =>
    stage(
      'tileQ',
      queryStride,
      count,
      `queryAt(batch, head, min(firstQuery + row, params.queries - 1u)) + ${at}u`,
      'params.scale * load_q(source)',
      'row',
    );
  const stageKeys = (name: 'k' | 'v', at: number, count: number) =>
    stage(
      'tileKV',
      keyStride,
      count,
      `keysAt + min(firstKey + row, lastKey) * params.tokenStride + ${at}u`,
      `load_${name}(source)`,
      name === 'k' ? SCORED : 'row',
    );
  const keys = { name: 'tileKV', stride: keyStride };

  return {
    label: `tiled ${TOKENS}x${TOKENS}${resident ? ' resident' : ''}`,
    rows: TOKENS,
    rowsEach: FOUR.length,
    enables: '',
    main: (split) => wgsl`
var<workgroup> tileQ: array<vec4<f32>, ${32 * queryStride}>;
var<workgroup> tileKV: array<vec4<f32>, ${32 * keyStride}>;
var<workgroup> weights: array<vec4<f32>, ${32 * 9}>;
var<workgroup> partial: array<f32, ${32 * 9}>;

// Over the eight invocations of a query, each in the same order.
fn maximumOf(row: u32) -> f32 {
  var m = partial[row * 9u];
  for (var i = 1u; i < 8u; i++) { m = max(m, partial[row * 9u + i]); }
  return m;
}
fn sumOf(row: u32) -> f32 {
  var l = partial[row * 9u];
  for (var i = 1u; i < 8u; i++) { l += partial[row * 9u + i]; }
  return l;
}

@compute @workgroup_size(${THREADS})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) index: u32) {
  let tile = ${WORKGROUP_INDEX};
  if (tile >= params.workgroups) { return; }
  let head = (tile / params.blocks) % params.heads;
  let batch = tile / params.blocks / params.heads;
  let firstQuery = (tile % params.blocks) * ${TOKENS}u;
  let keysAt = keyAt(batch, head);
  let lastKey = params.keys - 1u;
  let g = index / 8u;
  let c = index % 8u;
${four(
  (r) => wgsl`
  let row${r} = g + ${8 * r}u;
  let query${r} = firstQuery + row${r};
  let safe${r} = min(query${r}, params.queries - 1u);
  var m${r} = f32(${NO_MAXIMUM});
  // This invocation's share of the sum of weights.
  var l${r} = 0.0;
  ${chunks.map((_, n) => `var o${r}_${n} = vec4<f32>();`).join(' ')}
#if ${split}
  let statisticsAt${r} = params.stateAt + statisticsAt(batch, head, safe${r});
  if (params.first == 0u) {
    m${r} = state[statisticsAt${r}].x;
    if (c == 0u) { l${r} = state[statisticsAt${r}].y; }
    ${chunks
      .map(
        ({ at, width: w }, n) =>
          `if (c < ${w}u) { o${r}_${n} = out[params.outAt + queryAt(batch, head, safe${r}) + ${at}u + c]; }`,
      )
      .join('\n    ')}
  }
#endif
`,
)}
#if ${resident}
  ${stageQ(0, vectors)}
#endif
  for (var firstKey = 0u; firstKey < params.keys; firstKey += ${TOKENS}u) {
    let key = firstKey + 4u * c;
    let scores = vec4<f32>(${FOUR.map((j) => `keyScore(batch, key + ${j}u)`).join(', ')});
#if ${spec.bias !== undefined}
    ${four((r) => `var s${r} = scores + vec4<f32>(${FOUR.map((j) => `biasOf(batch, head, safe${r}, min(key + ${j}u, lastKey))`).join(', ')});`)}
#else
    ${four((r) => `var s${r} = scores;`)}
#endif
    ${chunks
      .map(
        ({ at, width: w }) => wgsl`
    workgroupBarrier();
#if ${!resident}
    ${stageQ(at, w)}
#endif
    ${stageKeys('k', at, w)}
    workgroupBarrier();
    ${scoreChunk('s', w, { name: 'tileQ', stride: queryStride, at: resident ? at : 0 }, keys)}`,
      )
      .join('\n')}
    ${four((r) => `partial[row${r} * 9u + c] = max(max(s${r}.x, s${r}.y), max(s${r}.z, s${r}.w));`)}
    workgroupBarrier();
    ${four(
      (r) => `
    let max${r} = max(m${r}, maximumOf(row${r}));
    let fade${r} = exp(m${r} - max${r});
    m${r} = max${r};
    let p${r} = exp(s${r} - vec4<f32>(max${r}));
    weights[row${r} * 9u + c] = p${r};
    l${r} = l${r} * fade${r} + ((p${r}.x + p${r}.y) + (p${r}.z + p${r}.w));
    ${chunks.map((_, n) => `o${r}_${n} *= fade${r};`).join(' ')}`,
    )}
    ${chunks
      .map(
        ({ at, width: w }, n) => wgsl`
#if ${n > 0}
    workgroupBarrier();
#endif
    ${stageKeys('v', at, w)}
    workgroupBarrier();
    ${addChunk((r) => `o${r}_${n}`, w, keys)}`,
      )
      .join('\n')}
  }
  // The last maxima were read before the barriers of the values.
  ${four((r) => `partial[row${r} * 9u + c] = l${r};`)}
  workgroupBarrier();
${four(
  (r) => wgsl`
  if (query${r} < params.queries) {
    let sum = sumOf(row${r});
    var weight = normaliser(sum);
#if ${split}
    if (c == 0u) { state[statisticsAt${r}] = vec2<f32>(m${r}, sum); }
    if (params.last == 0u) { weight = 1.0; }
#endif
    let at = params.outAt + queryAt(batch, head, query${r}) + c;
    ${chunks.map(({ at, width: w }, n) => `if (c < ${w}u) { out[at + ${at}u] = o${r}_${n} * weight; }`).join('\n    ')}
    if (c == 0u) { lse[params.lseAt + statisticsAt(batch, head, query${r})] = logSumExp(m${r}, sum); }
  }`,
)}
}
`,
  };
}
