/**
 * Layer normalization over the last dimension C, and its root-mean-square form (`center` false, T5):
 *
 *     mean = sum(x) / C,  rstd = 1 / sqrt(sum((x - mean)^2) / C + eps),  y = (x - mean) * rstd * gamma + beta
 *     rms:                rstd = 1 / sqrt(sum(x^2) / C + eps),           y = x * rstd * gamma
 *
 * With `rotation` the result, as tokens of heads, is rotated by position as `rotary/rotary.ts` does it.
 *
 * Operands: x [rows, C]; gamma [C] and beta [C] where given, in this order; the rotation's cosines and sines; then the
 * epilogue's; out [rows, C].
 * Tile: `teams` of 1 to 64 invocations a row (`reduce/rows.ts`), four channels a step where C is a multiple of 4.
 * Where a subgroup is a CPU's vector, `vectors`: it takes as many rows as it has lanes, finds their moments one by one
 * (`moments.ts`), each kept in the row's lane, and then walks down them column by column, so that gamma, beta and the
 * epilogue's vectors are loaded once.
 * Host: rows longer in total than a binding are cut into runs of whole rows. Results may be scaled halves
 * (`half-rows.ts`).
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import type { DType } from '../dtype.ts';
import { TooLargeError } from '../errors.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import {
  type BoundRowsSpec,
  boundRows,
  declareRowScales,
  type FusedBound,
  fusedBound,
  type Range,
  rowScalesOperand,
  storeHalf,
} from '../half-rows.ts';
import {
  type Dispatch,
  f32Bits,
  type HalfRows,
  type KernelTarget,
  type Lowering,
  lowerChosen,
  type Operand,
  read,
  type Variant,
  type Work,
  write,
} from '../kernel.ts';
import { splitRange, type Window, windowOf } from '../pointwise/access.ts';
import {
  emitFusion,
  type FusedCode,
  type Fusion,
  identity,
  largestWindow,
  offsetAlignment,
  takesFourLanes,
} from '../pointwise/fusion.ts';
import { emitRowFusion } from '../pointwise/row-fusion.ts';
import { eachStep, type RowTile, rowOfLane, rowTile } from '../reduce/rows.ts';
import { type Rotation, rotaryTableBytes } from '../rotary/rotary.ts';
import { declare, enables, type Lanes, lanesType, load, store } from '../storage.ts';
import { resultBytes } from '../traffic.ts';
import { rowMoments } from './moments.ts';

interface Epilogue {
  readonly fusion: Fusion;
  readonly dtype: DType;
  /** Where results are wished as scaled halves (`half-rows.ts`); f32 results only. */
  readonly halfRows?: HalfRows | undefined;
}

/** Layer normalization of x [rows, channels] over its channels. */
export interface LayerNormSpec {
  readonly rows: number;
  readonly channels: number;
  readonly eps: number;
  /** Whether the mean is subtracted. */
  readonly center: boolean;
  /** Dtype of x. */
  readonly dtype: DType;
  readonly gamma?: DType;
  readonly beta?: DType;
  /** Of the result; without an epilogue. */
  readonly rotation?: Rotation;
  readonly epilogue?: Epilogue;
}

/** What is stored: values of `dtype`, or scaled halves, for which `bound` is found first. */
interface Result {
  readonly fusion: Fusion;
  readonly dtype: DType;
  readonly halved: (HalfRows & { readonly bound: FusedBound }) | undefined;
}

/** What a variant is made of: the result, the channels of a step, and the tile. */
function partsOf(spec: LayerNormSpec, caps: DeviceCaps): [Result, Lanes, RowTile] {
  const { rows, channels } = spec;
  const { fusion, dtype, halfRows }: Epilogue = spec.epilogue ?? {
    fusion: identity([rows * channels]),
    dtype: 'f32',
  };
  const bindings = fusionBinding(spec) + fusion.operands.length + 1;
  const may =
    halfRows !== undefined &&
    halfRows.length % channels === 0 &&
    caps.features.f16 &&
    bindings <= caps.limits.maxStorageBuffersPerShaderStage;
  const bound = may ? fusedBound(fusion, fusionBinding(spec) - 1, caps) : undefined;
  const lanes: Lanes = channels % 4 === 0 && takesFourLanes(fusion) ? 4 : 1;
  const halved = bound && { bound, ...halfRows! };
  return [{ fusion, dtype: halved ? 'f16' : dtype, halved }, lanes, rowTile(channels / lanes, caps)];
}

function lowered(spec: LayerNormSpec, caps: DeviceCaps, kernel: typeof vectors): Lowering {
  const parts = partsOf(spec, caps);
  const [{ halved }] = parts;
  const dispatches = kernel(spec, ...parts, caps);
  return halved
    ? { scratch: [], halved: true, dispatches: [boundRows(boundOf(spec, halved), caps), ...dispatches] }
    : { scratch: [], dispatches };
}

/** Nothing normalized is larger than the root of the channels; a rotation adds two components at the most. */
function boundOf(
  { rows, channels, gamma, beta, rotation }: LayerNormSpec,
  { bound, length, top }: NonNullable<Result['halved']>,
): BoundRowsSpec {
  const range = (index: number, dtype: DType): Range => ({
    operand: read(index),
    dtype,
    from: 0,
    end: channels,
  });
  return {
    ...{ rows: (rows * channels) / length, top, bound, factor: Math.sqrt(channels) },
    ranges: [...(gamma ? [range(1, gamma)] : []), ...(beta ? [range(gamma ? 2 : 1, beta)] : [])],
    accumulator: `${rotation ? '2.0 * ' : ''}(params.factor${gamma ? ' * largest0' : ''}${beta ? ` + largest${gamma ? 1 : 0}` : ''})`,
  };
}

const LAYER_NORM_VARIANTS: readonly Variant<LayerNormSpec>[] = [
  {
    name: 'vectors',
    applies: (spec, caps) => partsOf(spec, caps)[2].subgroup,
    lower: (spec, caps) => lowered(spec, caps, vectors),
  },
  {
    name: 'teams',
    applies: () => true,
    lower: (spec, caps) => lowered(spec, caps, teams),
  },
];

/**
 * Layer normalization by the variant that was chosen for the class of `spec`, else by the first that applies.
 * Output [rows, channels]: inputs x, then gamma and beta where given, the epilogue's.
 */
export const lowerLayerNorm = (spec: LayerNormSpec, target: KernelTarget): Lowering =>
  lowerChosen('layerNorm', LAYER_NORM_VARIANTS, spec, target);

/** One subgroup a workgroup, which takes rows of one outer index of the epilogue. */
function vectors(
  spec: LayerNormSpec,
  { fusion, dtype: outDtype, halved }: Result,
  lanes: Lanes,
  tile: RowTile,
  caps: DeviceCaps,
): Dispatch[] {
  const { channels, gamma, beta } = spec;
  const steps = channels / lanes;
  const fused = emitRowFusion(fusion, channels, fusionBinding(spec), outDtype, lanes, caps);
  const flights = Array.from({ length: Math.min(fused.rows, tile.team) }, (_, k) => k);
  const ragged = fused.rows % flights.length !== 0;
  const output = (k: number) => {
    const value = `fusedRow(column, firstRow + ${k}u, y${k})`;
    const at = `params.atOut + row${k} * params.steps + s`;
    const stored = halved
      ? storeHalf(at, value, halfRow(spec, halved, `row${k}`), lanes)
      : store('out', outDtype, at, value, caps, lanes);
    return `    let y${k} = ${rotated(spec, `row${k} * params.steps + s`, `affine(normalized(loadX(at${k} + s), moments${k}), gammaS, betaS)`)};
    ${ragged && k > 0 ? `if (firstRow + ${k}u < params.rows) { ${stored} }` : stored}`;
  };
  const none = `${lanesType('f32', lanes)}(0)`;
  const code = wgsl`${head(spec, { fusion, dtype: outDtype, halved }, lanes, tile, fused, caps)}
@compute @workgroup_size(${tile.workgroup})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let block = params.start + ${WORKGROUP_INDEX};
  if (block >= params.end) { return; }
  let outerIndex = block / params.blocks;
  let firstRow = block % params.blocks * ${flights.length}u;
  var inLanes = Moments();
  for (var k = 0u; k < ${flights.length}u; k++) {
    let row = outerIndex * params.rows + min(firstRow + k, params.rows - 1u);
    let moments = rowMoments(lane, params.atX + row * params.steps, params.steps);
    if (lane == k) { inLanes = moments; }
  }
  ${flights
    .map((k) => {
      const row = ragged && k > 0 ? `min(firstRow + ${k}u, params.rows - 1u)` : `firstRow + ${k}u`;
      const field = (name: string) => `subgroupBroadcast(inLanes.${name}, ${k}u)`;
      return `let row${k} = outerIndex * params.rows + ${row};
  let at${k} = params.atX + row${k} * params.steps;
  let moments${k} = Moments(${field('origin')}, ${field('mean')}, ${field('rstd')});`;
    })
    .join('\n  ')}
  let outer = fusedOuter(outerIndex);
  ${eachStep(
    tile,
    'params.steps',
    steps % tile.team === 0,
    `    let column = fusedColumn(outer, s * ${lanes}u);
    let gammaS = ${gamma ? load('gamma', gamma, 's', caps, lanes) : none};
    let betaS = ${beta ? load('beta', beta, 's', caps, lanes) : none};
${flights.map(output).join('\n')}`,
  )}
}
`;
  const blocks = Math.ceil(fused.rows / flights.length);
  const firstRow = (block: number) =>
    Math.floor(block / blocks) * fused.rows + Math.min(fused.rows, (block % blocks) * flights.length);
  return runs(spec, { dtype: outDtype, halved }, lanes, fused, fused.outers * blocks, firstRow, caps).map(
    (run) => ({
      label: `${labelOf(spec)}/vectors x${lanes}`,
      wgsl: code,
      ...{ operands: run.operands, work: run.work },
      uniforms: [...run.uniforms, fused.rows, blocks, ...run.fused],
      workgroups: lineGrid(run.end - run.start, caps),
    }),
  );
}

/** A few rows a workgroup, each by a team of invocations. */
function teams(
  spec: LayerNormSpec,
  { fusion, dtype: outDtype, halved }: Result,
  lanes: Lanes,
  tile: RowTile,
  caps: DeviceCaps,
): Dispatch[] {
  const { rows, channels, gamma, beta } = spec;
  const steps = channels / lanes;
  const fused = emitFusion(fusion, fusionBinding(spec), outDtype, lanes, caps);
  const none = `${lanesType('f32', lanes)}(0)`;
  const [at, value] = ['params.atOut + first + s', `fused((first + s) * ${lanes}u, y)`];
  const stored = halved
    ? storeHalf(at, value, halfRow(spec, halved, 'row'), lanes)
    : store('out', outDtype, at, value, caps, lanes);
  const code = wgsl`${head(spec, { fusion, dtype: outDtype, halved }, lanes, tile, fused, caps)}
@compute @workgroup_size(${tile.workgroup})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let row = params.start + ${WORKGROUP_INDEX} * ${tile.rows}u + ${rowOfLane(tile)};
  let live = row < params.end;
  let first = select(params.start, row, live) * params.steps;
  let steps = select(0u, params.steps, live);
  let moments = rowMoments(lane, params.atX + first, steps);
  ${eachStep(
    tile,
    'steps',
    steps % tile.team === 0,
    `    let gammaS = ${gamma ? load('gamma', gamma, 's', caps, lanes) : none};
    let betaS = ${beta ? load('beta', beta, 's', caps, lanes) : none};
    let y = ${rotated(spec, 'first + s', 'affine(normalized(loadX(params.atX + first + s), moments), gammaS, betaS)')};
    ${stored}`,
  )}
}
`;
  return runs(spec, { dtype: outDtype, halved }, lanes, fused, rows, (row) => row, caps).map((run) => ({
    label: `${labelOf(spec)}/team ${tile.team} x${lanes}`,
    wgsl: code,
    ...{ operands: run.operands, work: run.work },
    uniforms: [...run.uniforms, rows, rows, ...run.fused],
    workgroups: lineGrid(Math.ceil((run.end - run.start) / tile.rows), caps),
  }));
}

const labelOf = ({ center, rotation }: LayerNormSpec) =>
  `${center ? 'layerNorm' : 'rmsNorm'}${rotation ? ' rotary' : ''}`;

/** The binding after x, gamma and beta. */
const tablesBinding = ({ gamma, beta }: LayerNormSpec) => 2 + (gamma ? 1 : 0) + (beta ? 1 : 0);
/** The first binding of the epilogue's operands. */
const fusionBinding = (spec: LayerNormSpec) => tablesBinding(spec) + (spec.rotation ? 2 : 0);

/** Row of scaled halves that has `row`. */
const halfRow = ({ channels }: LayerNormSpec, { length }: HalfRows, row: string) =>
  length === channels ? row : `${row} / ${length / channels}u`;

/** `value`, step `at` of all, as it is stored. */
const rotated = ({ rotation }: LayerNormSpec, at: string, value: string) =>
  rotation ? `rotated(${at}, ${value})` : value;

/** Everything before `main`. */
function head(
  spec: LayerNormSpec,
  { fusion, dtype: outDtype, halved }: Result,
  lanes: Lanes,
  tile: RowTile,
  fused: FusedCode,
  caps: DeviceCaps,
): string {
  const { dtype, gamma, beta, center, channels, rotation } = spec;
  const type = lanesType('f32', lanes);
  const dtypes = [dtype, outDtype, ...fusion.operands.map((operand) => operand.dtype)];
  for (const one of [gamma, beta, rotation?.tableDtype]) if (one) dtypes.push(one);
  const tables = tablesBinding(spec);
  return wgsl`${tile.enables}${enables(dtypes, caps)}
struct Params {
  start: u32, end: u32, steps: u32, channels: f32, eps: f32, atX: u32, atOut: u32, rows: u32, blocks: u32,
  ${rotation ? 'headSteps: u32, tokenSteps: u32, tokens: u32, firstToken: u32,' : ''} ${fused.fields}
}
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'x', dtype, 'read', caps, lanes)}
#if ${gamma}
${gamma && declare(2, 'gamma', gamma, 'read', caps, lanes)}
#endif
#if ${beta}
${beta && declare(gamma ? 3 : 2, 'beta', beta, 'read', caps, lanes)}
#endif
#if ${rotation}
${rotation && declare(tables, 'cosines', rotation.tableDtype, 'read', caps, 4)}
${rotation && declare(tables + 1, 'sines', rotation.tableDtype, 'read', caps, 4)}
fn rotated(i: u32, y: vec4<f32>) -> vec4<f32> {
  let token = i / params.tokenSteps % params.tokens;
  if (token < params.firstToken) { return y; }
  let t = (token - params.firstToken) * params.headSteps + i % params.headSteps;
  return y * ${rotation && load('cosines', rotation.tableDtype, 't', caps, 4)}
    + vec4<f32>(-y.y, y.x, -y.w, y.z) * ${rotation && load('sines', rotation.tableDtype, 't', caps, 4)};
}
#endif
${fused.declarations}
${declare(fusionBinding(spec) + fusion.operands.length, 'out', outDtype, 'read_write', caps, lanes)}
${halved ? declareRowScales(fusionBinding(spec) + fusion.operands.length + 1, caps) : ''}${fused.code}
fn loadX(at: u32) -> ${type} { return ${load('x', dtype, 'at', caps, lanes)}; }
fn affine(h: ${type}, gamma: ${type}, beta: ${type}) -> ${type} { return h${gamma ? ' * gamma' : ''}${beta ? ' + beta' : ''}; }
${rowMoments(tile, channels / lanes, lanes, center)}
`;
}

interface Run {
  readonly start: number;
  readonly end: number;
  readonly operands: readonly Operand[];
  readonly work: Work;
  /** From `start` to `atOut`. */
  readonly uniforms: readonly number[];
  /** Those of the rotation and of the fusion. */
  readonly fused: readonly number[];
}

/** Units of work, unit u from row `firstRow(u)` on, in runs that fit in bindings. */
function runs(
  spec: LayerNormSpec,
  { dtype: outDtype, halved }: Pick<Result, 'dtype' | 'halved'>,
  lanes: Lanes,
  fused: FusedCode,
  units: number,
  firstRow: (unit: number) => number,
  caps: DeviceCaps,
): Run[] {
  const { rows, channels, dtype, eps, rotation } = spec;
  const limit = caps.limits.maxStorageBufferBindingSize;
  const elements = (start: number, end: number) =>
    [firstRow(start) * channels, firstRow(end) * channels] as const;
  const window = ([first, end]: readonly [number, number], type: DType) =>
    windowOf(first, end - 1, rows * channels, type, offsetAlignment(caps));
  const windows = splitRange(
    units,
    1,
    (start, end) => {
      const range = elements(start, end);
      return (
        window(range, dtype).byteLength <= limit &&
        window(range, outDtype).byteLength <= limit &&
        largestWindow(fused, ...range) <= limit
      );
    },
    () => new TooLargeError(`layerNorm: a row of ${channels} does not fit in a binding of ${limit} bytes`),
  );
  const part = ({ byteOffset, byteLength }: Window) => ({ byteOffset, byteLength });
  const others = fusionBinding(spec) - 2;
  const tables = rotation ? rotaryTableBytes(rotation) : 0;
  return windows.map(([start, end]) => {
    const range = elements(start, end);
    const [x, out] = [window(range, dtype), window(range, outDtype)];
    const { windows, uniforms } = fused.windows(...range);
    return {
      start,
      end,
      operands: [
        read(0, part(x)),
        ...Array.from({ length: others }, (_, k) => read(1 + k)),
        ...windows.map((one, k) => read(1 + others + k, part(one))),
        write(0, part(out)),
        ...(halved ? [rowScalesOperand] : []),
      ],
      work: {
        flops: (rotation ? 11 : 8) * (range[1] - range[0]),
        bytes: x.byteLength + tables + resultBytes(range[1] - range[0], outDtype, windows),
      },
      uniforms: [
        ...[start, end, channels / lanes, f32Bits(channels), f32Bits(eps)],
        ...[x, out].map(({ firstElement }) => (-firstElement / lanes) >>> 0),
      ],
      fused: [
        ...(rotation
          ? [rotation.headDim / 4, (rotation.heads * rotation.headDim) / 4, rotation.rows, rotation.firstRow]
          : []),
        ...uniforms,
      ],
    };
  });
}
