/**
 * Convolution in f16 on the matrix units of a GPU: an implicit matrix product on matmul's tile
 * (`matmul/matrix-tile.ts`). Rows of A are output pixels, columns of B output channels, steps of K taps and input
 * channels; no patches are gathered in memory, but 8 channels of a tap at a time as the tile is loaded:
 *
 *     A[pixel, (tap, c)] = x16[pixel's place under the tap, c], or 0 outside,      B[(tap, c), n] = weight16[n][tap, c]
 *
 * x and the cache are staged as f16 with one power of two for all (`staging.ts`), the weight as f16 rows of output
 * channels with one each (`matmul/stage-half.ts`); both are undone on the f32 sum.
 *
 * Host: inChannels a multiple of 8; no gradients. Sections as `sections.ts` cuts them, of the staged x.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { byteLength } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { lineGrid, WORKGROUP_INDEX } from '../grid.ts';
import { type Dispatch, type Lowering, read, scratch, type Variant, write } from '../kernel.ts';
import { type MatrixBuild, type MatrixTile, matrixBuild, matrixTiles, STEP } from '../matmul/matrix-tile.ts';
import { stageHalf } from '../matmul/stage-half.ts';
import { elementCount } from '../pointwise/access.ts';
import { emitFusion, type FusedCode, offsetAlignment } from '../pointwise/fusion.ts';
import { declare, enables, store } from '../storage.ts';
import { loadedBytes, resultBytes } from '../traffic.ts';
import { type ConvSpec, convOutputShape } from './geometry.ts';
import { convSections } from './sections.ts';
import { SCALES, STAGED_WEIGHT, stageScale, stageX } from './staging.ts';
import { sourceNames } from './tile.ts';

/** Scratch of the staged x, before that of the cache. */
const STAGED_X = STAGED_WEIGHT + 1;

const tilesOf = (spec: ConvSpec, caps: DeviceCaps): MatrixTile[] => {
  const [batch, frames, height, width, channels] = convOutputShape(spec);
  return matrixTiles(batch * frames * height * width, channels, caps);
};

export const matrixConv: Variant<ConvSpec> = {
  name: 'matrix',
  suspect: true,
  applies: (spec, caps) =>
    spec.precision === 'f16' &&
    spec.adjoint === undefined &&
    spec.inChannels % 8 === 0 &&
    tilesOf(spec, caps).length > 0,
  candidates: tilesOf,
  lower: (spec, caps, tuning) =>
    lowerMatrixConv(spec, caps, matrixBuild((tuning as MatrixTile) ?? tilesOf(spec, caps)[0], caps)),
};

/** Uniforms before the sources' places and the epilogue's. */
const FIELDS = [
  'firstPixel', // of this dispatch, counted over the batch
  'pixels',
  'columnTiles',
  'inFrames', // of x in one clip
  'outFrames',
  'height',
  'width',
  'outHeight',
  'outWidth',
  'inChannels',
  'outChannels',
  'k', // taps times channels
  'pitch', // k, padded
  'atOut', // where element 0 lies in the bound window, modulo 2^32
] as const;

/** Stages the operands and runs the tile that `build` makes. */
export function lowerMatrixConv(spec: ConvSpec, caps: DeviceCaps, build: MatrixBuild): Lowering {
  const { frames, height, width, inChannels, outChannels, kernel, cached } = spec;
  const [, outFrames, outHeight, outWidth] = convOutputShape(spec);
  const k = elementCount(kernel) * inChannels;
  const pitch = Math.ceil(k / STEP) * STEP;
  const weightBytes = byteLength(outChannels * pitch, 'f16');
  const limit = caps.limits.maxStorageBufferBindingSize;
  if (weightBytes > limit) {
    throw new TooLargeError(
      `conv: a weight of ${weightBytes} bytes does not fit in a binding of ${limit} bytes`,
    );
  }

  // The scale of x and its inverse lie at the start of the scales, those of the channels one alignment further.
  const alignment = offsetAlignment(caps);
  const scale = stageScale(spec, caps);
  const x = stageX(spec, STAGED_X, caps);
  const weight = stageHalf(
    {
      ...{ source: read(1), dtype: spec.weightDtype, at: 0 },
      ...{ rows: outChannels, k, pitch, strideRow: 1, strideStep: outChannels },
      half: scratch(STAGED_WEIGHT, 'read_write'),
      scales: { ...scratch(SCALES, 'read_write'), byteOffset: alignment, byteLength: 4 * outChannels },
    },
    caps,
  );

  const inputs = 2 + (cached ? 1 : 0);
  const builds = [false, true].map((byTaps) => {
    const names = sourceNames(spec, byTaps);
    const fused = emitFusion(spec.fusion, 3 + names.length, spec.outputDtype, 1, caps);
    return { fused, ...matrixConvCode(spec, names, fused, build, caps) };
  });
  const dispatches = convSections(spec, 'f16', builds[0].fused, caps).map((section): Dispatch => {
    const { fused, code, kernel: tile } = builds[Number(section.byTaps)];
    const { windows, uniforms } = fused.windows(...section.elements);
    const [firstPixel, endPixel] = section.elements.map((element) => element / outChannels);
    const columnTiles = Math.ceil(outChannels / tile.columns);
    const pixels = endPixel - firstPixel;
    const rowTiles = Math.ceil(pixels / tile.rows);
    const sourceBytes = section.sources.reduce((sum, { window }) => sum + window.byteLength, 0);
    const fields: Record<(typeof FIELDS)[number], number> = {
      ...{ firstPixel, pixels, columnTiles },
      ...{
        inFrames: frames,
        outFrames,
        height,
        width,
        outHeight,
        outWidth,
        inChannels,
        outChannels,
        k,
        pitch,
      },
      atOut: -section.out.firstElement >>> 0,
    };
    return {
      label: `conv/${tile.label}`,
      wgsl: code,
      operands: [
        scratch(STAGED_WEIGHT, 'read'),
        ...section.sources.map(({ name, window: { byteOffset, byteLength: bytes } }) => ({
          ...scratch(name === 'x' ? STAGED_X : STAGED_X + 1, 'read'),
          ...{ byteOffset, byteLength: bytes },
        })),
        scratch(SCALES, 'read'),
        ...windows.map((window, i) => read(inputs + i, window)),
        write(0, section.out),
      ],
      uniforms: [
        ...FIELDS.map((field) => fields[field]),
        ...section.sources.map(({ at }) => at),
        ...uniforms,
      ],
      workgroups: lineGrid(columnTiles * rowTiles, caps),
      work: {
        flops: 2 * pixels * outChannels * k,
        // Taps that overlap come from the cache.
        bytes:
          loadedBytes({ tiles: [rowTiles, columnTiles], bytes: [sourceBytes, weightBytes], band: 1 }) +
          resultBytes(pixels * outChannels, spec.outputDtype, windows),
      },
    };
  });
  return {
    dispatches: [...scale.dispatches, ...x.dispatches, weight, ...dispatches],
    scratch: [scale.partial, alignment + byteLength(outChannels, 'f32'), weightBytes, ...x.scratch],
  };
}

/** Bindings: weight, `sources` as `sourceNames` has them, scales, the epilogue's, out. */
function matrixConvCode(
  spec: ConvSpec,
  sources: readonly string[],
  fused: FusedCode,
  build: MatrixBuild,
  caps: DeviceCaps,
) {
  const { kernel: taps, stride, padding, upsample, outputDtype, fusion } = spec;
  const [kt, kh, kw] = taps;
  const last = kt - 1;
  const shift = upsample.keepFirst ? upsample.time - 1 : 0;
  const word = (name: string, frame: string) =>
    `return x${name}[(params.at${name} + (${frame}) * params.height * params.width * params.inChannels + place) / 8u];`;
  const find = sources.includes('Tap0')
    ? `switch (tap) { ${sources.map((name, i) => `case ${i}u${i === last ? ', default' : ''}: { ${word(name, '0u')} }`).join(' ')} }`
    : kt === 1
      ? word('X', `clip * params.inFrames + (t + ${shift}u) / ${upsample.time}u`)
      : sources.includes('Cache')
        ? `if (t + tap < ${last}u) { ${word('Cache', `clip * ${last}u + t + tap`)} }
  ${word('X', `clip * params.inFrames + t + tap - ${last}u`)}`
        : word('X', `clip * params.inFrames + max(t + tap, ${last}u) - ${last}u`);

  const kernel = build({
    a: {
      line: (n, line) => `let pixel${n} = params.firstPixel + min(row + ${line}, params.pixels - 1u);
  let up${n} = i32(pixel${n} / params.outWidth % params.outHeight * ${stride}u) - (${padding.top});
  let across${n} = i32(pixel${n} % params.outWidth * ${stride}u) - (${padding.left});
  let clip${n} = pixel${n} / (params.outWidth * params.outHeight) / params.outFrames;
  let t${n} = pixel${n} / (params.outWidth * params.outHeight) % params.outFrames;`,
      step: (k) => `let channel = ${k} % params.inChannels;
    let position = ${k} / params.inChannels;
    let tap = position / ${kh * kw}u;
    let dy = i32(position / ${kw}u % ${kh}u);
    let dx = i32(position % ${kw}u);`,
      word: (n) => `gather(clip${n}, t${n}, up${n} + dy, across${n} + dx, tap, channel)`,
    },
    b: {
      line: (n, line) =>
        `let weightAt${n} = min(column + ${line}, params.outChannels - 1u) * (params.pitch / 8u);`,
      word: (n, k) => `weight[weightAt${n} + ${k} / 8u]`,
    },
    start: (rows, columns) => `let tile = ${WORKGROUP_INDEX};
  let row = tile / params.columnTiles * ${rows}u;
  let column = tile % params.columnTiles * ${columns}u;`,
    steps: ['0u', 'params.pitch'],
    unseen: 'min(params.k, 1u)',
  });
  const scalesAt = 2 + sources.length;
  const code = wgsl`${enables([outputDtype, 'f16', ...fusion.operands.map((o) => o.dtype)], caps)}${kernel.enables}
struct Params {
  ${[...FIELDS, ...sources.map((name) => `at${name}`)].map((field) => `${field}: u32,`).join(' ')}
  ${fused.fields}
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<vec4<u32>>;
${sources.map((name, i) => `@group(0) @binding(${2 + i}) var<storage, read> x${name}: array<vec4<u32>>;`).join('\n')}
${declare(scalesAt, 'scales', 'f32', 'read', caps)}
${fused.declarations}
${declare(scalesAt + 1 + fusion.operands.length, 'out', outputDtype, 'read_write', caps)}
${fused.code}
// 8 channels of the up-sampled pixel (up, across) that output frame t meets at a tap in time.
fn gather(clip: u32, t: u32, up: i32, across: i32, tap: u32, channel: u32) -> vec4<u32> {
  let inside = up >= 0 && up < i32(params.height * ${upsample.space}u)
    && across >= 0 && across < i32(params.width * ${upsample.space}u);
  if (!inside || tap >= ${kt}u) { return vec4<u32>(); }
  let place = (u32(up) / ${upsample.space}u * params.width + u32(across) / ${upsample.space}u) * params.inChannels + channel;
  ${find}
}
fn finish(row: u32, column: u32, sum: f32) {
  if (row >= params.pixels || column >= params.outChannels) { return; }
  let i = (params.firstPixel + row) * params.outChannels + column;
  let o = params.atOut + i;
  ${store('out', outputDtype, 'o', `fused(i, sum * scales[1] * scales[${offsetAlignment(caps) / 4}u + column])`, caps)}
}
${kernel.code}`;
  return { kernel, code };
}
