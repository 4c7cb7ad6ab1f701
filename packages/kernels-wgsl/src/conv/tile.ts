/**
 * The code of the convolution: each invocation holds a tile of P pixels of one output row times C output
 * channels in registers, and walks kernel taps and input channels:
 *
 *     acc[p][n] += x[frame(t, i), y*stride + dy - top, (x0 + p)*stride + dx - left, c] * w[i, dy, dx, c, n]
 *
 * The columns that the P pixels need for all dx are loaded once per (i, dy, c) and stay in registers. Columns
 * and rows outside x are read from a clamped address and replaced by zero, so nothing in the loops branches.
 * More input channels a step than one would save nothing on a CPU and make its compiler several times slower.
 *
 * Where invocations of a subgroup run in lanes of a CPU (`share` > 0), a load costs as much as many
 * multiplications, lane by lane, even when all lanes want the same weight. There the lanes of a subgroup take
 * pixels and the same channels; each lane loads another weight, and broadcasts hand them round.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import type { Tuning } from '../kernel.ts';
import { type FusedCode, takesFourLanes } from '../pointwise/fusion.ts';
import { declare, enables, type Lanes, load, store } from '../storage.ts';
import type { ConvSpec } from './geometry.ts';

export interface ConvTile extends Tuning {
  /** P, even. */
  readonly pixels: number;
  /** C; with `share` a multiple of it or all output channels. */
  readonly channels: number;
  /** Size of the subgroups that share weights, or 0. */
  readonly share: number;
  readonly workgroup: number;
  /** Input channels of one unrolled step: 4, where rows are whole vec4s, or 1, which it is with `share`. */
  readonly step: 1 | 4;
}

/** Each column that a tile of 8 pixels reads has a bit in a mask of 32. */
export const WIDEST_KERNEL = 25;

/** Uniforms before the epilogue's. */
export const CONV_FIELDS = [
  'firstFrame', // of this dispatch, counted over the batch
  'lastFrame', // exclusive
  'firstRow', // of the output
  'lastRow', // exclusive
  'inFrames', // of x in one clip
  'outFrames',
  'height',
  'width',
  'outHeight',
  'outWidth',
  'inChannels',
  'outChannels',
  'top',
  'tilesPerRow',
  'blocks', // of C output channels
  'groupsPerFrame',
  'atOut', // where element 0 lies in the bound window, modulo 2^32
] as const;

/** What is bound of x: itself and the cache, or its frames by taps in time. Uniforms at<name> are their places. */
export const sourceNames = ({ kernel, cached }: ConvSpec, byTaps: boolean): string[] =>
  byTaps ? range(kernel[0]).map((i) => `Tap${i}`) : cached ? ['X', 'Cache'] : ['X'];

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Lanes of the epilogue. */
export const convLanes = (spec: ConvSpec, tile: ConvTile): Lanes =>
  tile.channels % 4 === 0 && spec.outChannels % 4 === 0 && takesFourLanes(spec.fusion) ? 4 : 1;

/** What the parts of the code share: sizes that are unrolled, vector types, and which columns a tile reads. */
function partsOf(spec: ConvSpec, tile: ConvTile, caps: DeviceCaps) {
  const { pixels: P, channels: C, share, step: K } = tile;
  const { stride, padding, upsample, kernel, outChannels } = spec;
  // Accumulators are vectors of V channels.
  const V = C % 4 === 0 ? 4 : C < 4 ? C : 1;
  // Pixel p at tap dx reads up-sampled column p*stride + dx - left of the tile, which is one of `columns`.
  const columnOf = (j: number) => Math.floor((j - padding.left) / upsample.space);
  const firstColumn = columnOf(0);
  return {
    ...{ spec, caps, P, C, V, K, share, firstColumn },
    half: spec.precision === 'f16',
    vec: V === 1 ? 'f32' : `vec${V}<f32>`,
    xLanes: (K === 4 ? 4 : 1) as Lanes,
    wLanes: (share === 0 && V === 4 && outChannels % 4 === 0 ? 4 : 1) as Lanes,
    outLanes: convLanes(spec, tile),
    ragged: outChannels % C !== 0,
    columns: range(columnOf((P - 1) * stride + kernel[2] - 1) - firstColumn + 1),
    columnAt: (p: number, dx: number) => columnOf(p * stride + dx) - firstColumn,
  };
}

type Parts = ReturnType<typeof partsOf>;

/** Column `column` of this row of a source at channel c, zero outside of x. */
function loadColumn({ K, half }: Parts, source: string, column: number): string {
  const ok = `(mask & ${2 ** column}u) != 0u`;
  const at = `at + column${column}`;
  const rounded = (value: string, type: string) =>
    half ? `${type}(${type.replace('f32', 'f16')}(${value} * xScale))` : value;
  if (K === 4) {
    const zero = 'vec4<f32>(0)';
    return `let x${column} = select(${zero}, ${rounded(`${source}[(${at} + c) >> 2u]`, 'vec4<f32>')}, ${ok});`;
  }
  return `let x${column} = select(0.0, ${rounded(`${source}[${at} + c]`, 'f32')}, ${ok});`;
}

const weightAt = ({ spec, caps }: Parts, i: string, lanes: Lanes) =>
  load('weight', spec.weightDtype, i, caps, lanes);

/** Names w<k>_<g> of the weights of channel k and vector g of this step, all at tap dx. */
const loadWeights = (parts: Parts): string =>
  (parts.share > 0 ? sharedWeights(parts) : ownWeights(parts)).join('\n');

/** Each lane loads another weight, and broadcasts hand them round. */
function sharedWeights(parts: Parts): string[] {
  const { C, V, share, ragged, vec } = parts;
  const loads = range(Math.ceil(C / share)).flatMap((r) => {
    const n = `n0 + ${r * share}u + shareLane`;
    const inside = C % share === 0 && !ragged;
    return [
      `let i${r} = wAt + ${inside ? n : `min(${n}, params.outChannels - 1u)`};`,
      `let r${r} = ${weightAt(parts, `i${r}`, 1)};`,
    ];
  });
  const vectors = range(C / V).map((g) => {
    const values = range(V).map((v) => {
      const n = g * V + v;
      return `subgroupBroadcast(r${Math.floor(n / share)}, ${n % share}u)`;
    });
    return `let w0_${g} = ${vec}(${values.join(', ')});`;
  });
  return [...loads, ...vectors];
}

/** Each invocation loads all weights that it needs. */
function ownWeights(parts: Parts): string[] {
  const { C, V, K, wLanes, ragged, vec } = parts;
  return range(K).flatMap((k) =>
    range(C / V).flatMap((g) => {
      const row = `wAt + ${k}u * params.outChannels`;
      if (wLanes === 4) {
        const n = ragged ? `min(n${g}, params.outChannels - 4u)` : `n${g}`;
        return [
          `let i${k}_${g} = (${row} + ${n}) >> 2u;`,
          `let w${k}_${g} = ${weightAt(parts, `i${k}_${g}`, 4)};`,
        ];
      }
      const places = range(V).map((v) => {
        const n = ragged ? `min(n${g} + ${v}u, params.outChannels - 1u)` : `n${g} + ${v}u`;
        return `let i${k}_${g}_${v} = ${row} + ${n};`;
      });
      const values = range(V).map((v) => weightAt(parts, `i${k}_${g}_${v}`, 1));
      return [...places, `let w${k}_${g} = ${vec}(${values.join(', ')});`];
    }),
  );
}

/** The products of this step at tap dx. */
const multiply = ({ P, C, V, K, vec, columnAt }: Parts, dx: number): string =>
  range(K)
    .flatMap((k) =>
      range(P).flatMap((p) =>
        range(C / V).map((g) => {
          const value = K === 4 ? `x${columnAt(p, dx)}[${k}]` : `x${columnAt(p, dx)}`;
          return `acc${p}_${g} = fma(${V === 1 ? value : `${vec}(${value})`}, w${k}_${g}, acc${p}_${g});`;
        }),
      ),
    )
    .join('\n');

/** Taps [from, to) in time, out of one source. */
function taps(parts: Parts, source: string, frame: string, from: string, to: string): string {
  const { columns, K, spec } = parts;
  const { stride, upsample } = spec;
  const [, kh, kw] = spec.kernel;
  return `
  for (var i = ${from}; i < ${to}; i++) {
    let frameAt = params.at${source} + (${frame}) * frameSize;
    for (var dy = 0u; dy < ${kh}u; dy++) {
      let up = i32(y * ${stride}u + dy) - i32(params.top);
      let row = u32(clamp(up, 0, i32(params.height * ${upsample.space}u) - 1)) / ${upsample.space}u;
      let mask = select(0u, columnMask, up >= 0 && up < i32(params.height * ${upsample.space}u));
      let at = frameAt + row * params.width * params.inChannels;
      let tapAt = (i * ${kh}u + dy) * ${kw}u * params.inChannels;
      for (var c = 0u; c < params.inChannels; c += ${K}u) {
        ${columns.map((column) => loadColumn(parts, `x${source}`, column)).join('\n')}
        ${range(kw)
          .map((dx) => {
            const wAt = `let wAt = (tapAt + ${dx}u * params.inChannels + c) * params.outChannels;`;
            return `{ ${wAt}\n${loadWeights(parts)}\n${multiply(parts, dx)} }`;
          })
          .join('\n')}
      }
    }
  }`;
}

/** All taps in time: that of frame t + i - (kt - 1), which is before x while i < kt - 1 - t. */
function walk(parts: Parts, sources: readonly string[]): string {
  const { kernel, upsample, adjoint, cached } = parts.spec;
  const [kt] = kernel;
  const last = kt - 1;
  const clip = 'clip * params.inFrames';
  if (sources.includes('Tap0'))
    return range(kt)
      .map((i) => taps(parts, `Tap${i}`, '0u', `${i}u`, `${i + 1}u`))
      .join('\n');
  if (adjoint) {
    const folded = adjoint === 'folded';
    return `let lastTouched = t${folded ? ` + ${last}u` : ''};
  for (var touched = ${folded ? 'select(lastTouched, 0u, t == 0u)' : 'lastTouched'}; touched <= lastTouched; touched++) {
    let before = ${last}u - min(touched, ${last}u);
    let end = min(${kt}u, params.inFrames + ${last}u - touched);
    ${taps(parts, 'X', `${clip} + touched + i - ${last}u`, 'before', 'end')}
  }`;
  }
  if (cached)
    return `let split = ${last}u - min(t, ${last}u);
  ${taps(parts, 'Cache', `clip * ${last}u + t + i`, '0u', 'split')}
  ${taps(parts, 'X', `${clip} + t + i - ${last}u`, 'split', `${kt}u`)}`;
  const shift = upsample.keepFirst ? upsample.time - 1 : 0;
  const frame =
    kt > 1 ? `${clip} + max(t + i, ${last}u) - ${last}u` : `${clip} + (t + ${shift}u) / ${upsample.time}u`;
  return taps(parts, 'X', frame, '0u', `${kt}u`);
}

/** Scales, epilogue and stores of pixel p. */
function finish({ spec, caps, C, V, vec, half, outLanes, ragged }: Parts): string {
  return range(C / V)
    .flatMap((g) => {
      const n = (v: number) => `n${g} + ${v}u`;
      const sum = `sums[p * ${C / V}u + ${g}u]`;
      const inverse = range(V).map((v) => `scales[2u + min(${n(v)}, params.outChannels - 1u)]`);
      const value = half ? `${sum} * scales[1] * ${vec}(${inverse.join(', ')})` : sum;
      const stores = range(outLanes === 4 ? 1 : V).map((v) => {
        const one = outLanes === 4 || V === 1 ? `value${g}` : `value${g}[${v}]`;
        const i = `let i = pixel * params.outChannels + ${n(v)}; let o = (params.atOut + i) / ${outLanes}u;`;
        const put = `${i} ${store('out', spec.outputDtype, 'o', `fused(i, ${one})`, caps, outLanes)}`;
        return ragged ? `if (${n(v)} < params.outChannels) { ${put} }` : `{ ${put} }`;
      });
      return [`let value${g} = ${value};`, ...stores];
    })
    .join('\n');
}

/** Where each of the tile's columns lies, and a mask of those inside x. */
const placeColumns = ({ columns }: Parts): string =>
  columns
    .map(
      (j) => `let column${j} = u32(clamp(firstColumn + ${j}, 0, width - 1)) * params.inChannels;
  columnMask |= select(0u, ${2 ** j}u, firstColumn + ${j} >= 0 && firstColumn + ${j} < width);`,
    )
    .join('\n');

/** Bindings: weight, `sources` as `sourceNames` has them, scales if f16, the epilogue's, out. */
export function convCode(
  spec: ConvSpec,
  tile: ConvTile,
  sources: readonly string[],
  fused: FusedCode,
  caps: DeviceCaps,
): string {
  const parts = partsOf(spec, tile, caps);
  const { P, C, V, share, half, vec, xLanes, wLanes, outLanes, firstColumn } = parts;
  const { stride, upsample, weightDtype } = spec;
  const { workgroup } = tile;
  const scalesAt = 2 + sources.length;
  const outAt = scalesAt + (half ? 1 : 0) + spec.fusion.operands.length;
  const used = [weightDtype, spec.outputDtype, ...spec.fusion.operands.map((o) => o.dtype)];
  return wgsl`${half ? 'enable f16;\n' : enables(used, caps)}
#if ${share > 0}
enable subgroups;
#endif
struct Params { ${CONV_FIELDS.map((field) => `${field}: u32,`).join(' ')} ${sources.map((name) => `at${name}: u32,`).join(' ')} ${fused.fields} }
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'weight', weightDtype, 'read', caps, wLanes)}
${sources.map((name, k) => declare(2 + k, `x${name}`, 'f32', 'read', caps, xLanes)).join('\n')}
#if ${half}
${declare(scalesAt, 'scales', 'f32', 'read', caps)}
#endif
${fused.declarations}
${declare(outAt, 'out', spec.outputDtype, 'read_write', caps, outLanes)}
${fused.code}
@compute @workgroup_size(${workgroup})
fn main(${WORKGROUP_BUILTINS},
  @builtin(local_invocation_index) lane: u32${share > 0 ? ',\n  @builtin(subgroup_invocation_id) shareLane: u32' : ''}) {
  let group = ${WORKGROUP_INDEX};
  let frame = params.firstFrame + group / params.groupsPerFrame;
  let inFrame = group % params.groupsPerFrame;
  let tiles = params.tilesPerRow * (params.lastRow - params.firstRow);
#if ${share > 0}
  let n0 = inFrame % params.blocks * ${C}u;
  let tile = inFrame / params.blocks * ${workgroup}u + lane;
#else
  let id = inFrame * ${workgroup}u + lane;
  let n0 = id % params.blocks * ${C}u;
  let tile = id / params.blocks;
#endif
  // Invocations without work compute the last tile and store nothing: lanes that share must stay together.
  let y = params.firstRow + min(tile, tiles - 1u) / params.tilesPerRow;
  let pixel0 = min(tile, tiles - 1u) % params.tilesPerRow * ${P}u;
  let clip = min(frame, params.lastFrame - 1u) / params.outFrames;
  let t = min(frame, params.lastFrame - 1u) % params.outFrames;
  let frameSize = params.height * params.width * params.inChannels;
  ${range(C / V)
    .slice(1)
    .map((g) => `let n${g} = n0 + ${g * V}u;`)
    .join('\n')}
#if ${half}
  let xScale = scales[0];
#endif
  let firstColumn = i32(pixel0 * ${stride}u / ${upsample.space}u) + (${firstColumn});
  let width = i32(params.width);
  var columnMask = 0u;
  ${placeColumns(parts)}
  ${range(P)
    .flatMap((p) => range(C / V).map((g) => `var acc${p}_${g} = ${vec}(0);`))
    .join('\n')}
  ${walk(parts, sources)}
  // A loop, because the epilogue unrolled P times takes compilers seconds; its array is not for the sums above,
  // which must stay in registers.
  var sums: array<${vec}, ${(P * C) / V}>;
  ${range(P)
    .flatMap((p) => range(C / V).map((g) => `sums[${(p * C) / V + g}] = acc${p}_${g};`))
    .join('\n')}
  let live = tile < tiles && frame < params.lastFrame;
  let count = select(0u, min(${P}u, params.outWidth - pixel0), live);
  for (var p = 0u; p < count; p++) {
    let pixel = (frame * params.outHeight + y) * params.outWidth + pixel0 + p;
    ${finish(parts)}
  }
}
`;
}
