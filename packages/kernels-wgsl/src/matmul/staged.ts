/**
 * Matmul for GPUs in f32: tiles of A and B pass through workgroup memory, sums stay in registers.
 *
 * A workgroup of 16 x 16 invocations computes 16·T x 16·T outputs (T = `side`, 4 or 8) and walks K by `step`.
 * Invocation (x, y) has rows y·4 + 64·i .. + 3 and columns x·4 + 64·j .. + 3, so that neighbours read and write
 * neighbouring vec4s. Both tiles are stored by steps, so that a step of the inner product reads T / 4 vec4s of
 * each for T² multiply-adds:
 *
 *     tileA[step][row]      padded by one vec4 a step against bank conflicts while it is filled
 *     tileB[step][column]
 *
 * An operand is loaded four elements at once along its rows where these are whole quads, else one by one.
 * Edges: rows and columns are clamped while loading, steps beyond K load zeros.
 * Host: 256 invocations and `bytes` of workgroup memory, which for T = 4 every WebGPU device has.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import type { DType } from '../dtype.ts';
import { WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import type { Tuning, Variant } from '../kernel.ts';
import { type Lanes, load } from '../storage.ts';
import { ENOUGH_TILES, lowerTiles, maySplit, splitsOf, type TileKernel } from './frame.ts';
import type { MatmulSpec } from './spec.ts';

interface StagedTile extends Tuning {
  /** T. */
  readonly side: number;
  /** Steps of K staged at once, a multiple of 4. */
  readonly step: number;
  readonly splits: number;
}

const THREADS = 256;
const bytes = ({ side, step }: StagedTile) => 2 * step * (4 * side + 1) * 16;

function candidates(spec: MatmulSpec, caps: DeviceCaps): StagedTile[] {
  const count = (side: number) =>
    spec.batch * Math.ceil(spec.m / (16 * side)) * Math.ceil(spec.n / (16 * side));
  const large = count(8) >= ENOUGH_TILES / 2;
  const order: [number, number][] = large
    ? [
        [8, 8],
        [8, 16],
        [4, 16],
        [4, 8],
      ]
    : [
        [4, 16],
        [4, 8],
        [8, 8],
        [8, 16],
      ];
  return order
    .map(([side, step]) => {
      const wanted = splitsOf(count(side), spec.k);
      return { side, step, splits: wanted > 1 && maySplit(spec, wanted, caps) ? wanted : 1 };
    })
    .filter((tile) => bytes(tile) <= caps.limits.maxComputeWorkgroupStorageSize);
}

export const staged: Variant<MatmulSpec> = {
  name: 'staged',
  applies: () => true,
  candidates,
  lower: (spec, caps, tuning) =>
    lowerTiles(spec, caps, stagedKernel(spec, caps, (tuning as StagedTile) ?? candidates(spec, caps)[0])),
};

const times = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n');

function stagedKernel(spec: MatmulSpec, caps: DeviceCaps, tile: StagedTile): TileKernel {
  const { transposeA, transposeB, dtypeA, dtypeB, scaledB } = spec;
  const { side: T, step, splits } = tile;
  const size = 16 * T;
  const quads = T / 4;
  const stride = size / 4 + 1;
  const lanesA: Lanes = (transposeA ? spec.m : spec.k) % 4 === 0 ? 4 : 1;
  const lanesB: Lanes = (transposeB ? spec.k : spec.n) % 4 === 0 ? 4 : 1;

  /**
   * Fills a tile by vec4s of four lines (rows of A or columns of B) at one step. Each is written whole: invocations
   * that write components of one vec4 would race. Where memory runs along K, a 4 x 4 block is turned in registers.
   */
  const fill = (name: 'A' | 'B', dtype: DType, lanes: Lanes, byStep: boolean) => {
    const source = name.toLowerCase();
    const end = name === 'A' ? 'params.rowEnd' : 'params.columnEnd';
    const most = name === 'A' ? 'params.m' : 'params.n';
    const line = (j: number) => `min(line + ${j}u, ${end} - 1u)`;
    const put = (s: string, value: string) => `tile${name}[(${s}) * ${stride}u + quad] = ${value};`;
    const block = lanes === 4 && byStep;
    const steps = block ? step / 4 : step;
    const position = byStep
      ? `let quad = i / ${steps}u; let s = i % ${steps}u${block ? ' * 4u' : ''};`
      : `let s = i / ${size / 4}u; let quad = i % ${size / 4}u;`;
    const rows = (value: (j: number) => string) => times(4, (j) => `let v${j} = ${value(j)};`);
    const element = (j: number) => load(source, dtype, `e${j}`, caps);
    const four = (j: number) => {
      const loaded = load(source, dtype, `e${j}`, caps, 4);
      return name === 'B' && scaledB ? `scaled4(${loaded}, ${line(j)}, at)` : loaded;
    };
    const body = block
      ? `let at = min(k + s, params.k - 4u);
      ${times(4, (j) => `let e${j} = index${name}(tile, ${line(j)}, at) / 4u;`)}
      ${rows((j) => `select(vec4<f32>(), ${four(j)}, k + s < tile.kEnd)`)}
      ${times(4, (c) => put(`s + ${c}u`, `vec4<f32>(v0[${c}], v1[${c}], v2[${c}], v3[${c}])`))}`
      : lanes === 4
        ? `let e = index${name}(tile, min(line, ${most} - 4u), min(k + s, tile.kEnd - 1u)) / 4u;
      ${put('s', `select(vec4<f32>(), ${load(source, dtype, 'e', caps, 4)}, k + s < tile.kEnd)`)}`
        : `let at = min(k + s, tile.kEnd - 1u);
      ${times(4, (j) => `let e${j} = index${name}(tile, ${line(j)}, at);`)}
      ${put('s', `select(vec4<f32>(), vec4<f32>(${[0, 1, 2, 3].map(element).join(', ')}), k + s < tile.kEnd)`)}`;
    return `for (var i = lane; i < ${(size / 4) * steps}u; i += ${THREADS}u) {
      ${position}
      let line = ${name === 'A' ? 'tile.row' : 'tile.column'} + quad * 4u;
      ${body}
    }`;
  };

  return {
    label: `staged ${size}x${size}x${step}`,
    rows: size,
    columns: size,
    splits,
    step,
    enables: '',
    lanesA,
    lanesB,
    capsB: caps,
    code: () => wgsl`
var<workgroup> tileA: array<vec4<f32>, ${step * stride}>;
var<workgroup> tileB: array<vec4<f32>, ${step * stride}>;
@compute @workgroup_size(16, 16)
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_id) id: vec3<u32>) {
  let tile = start(${WORKGROUP_INDEX});
  let lane = id.y * 16u + id.x;
  ${times(T, (r) => times(quads, (c) => `var acc${r}_${c} = vec4<f32>();`))}
  for (var k = tile.k; k < tile.kEnd; k += ${step}u) {
    ${fill('A', dtypeA, lanesA, !transposeA)}
    ${fill('B', dtypeB, lanesB, transposeB)}
    workgroupBarrier();
    for (var s = 0u; s < ${step}u; s++) {
      ${times(quads, (q) => `let a${q} = tileA[s * ${stride}u + id.y + ${q * 16}u]; let b${q} = tileB[s * ${stride}u + id.x + ${q * 16}u];`)}
      ${times(T, (r) => times(quads, (c) => `acc${r}_${c} = fma(vec4<f32>(a${r >> 2}[${r & 3}]), b${c}, acc${r}_${c});`))}
    }
    workgroupBarrier();
  }
  var sums = array<vec4<f32>, ${T * quads}>(${Array.from({ length: T * quads }, (_, i) => `acc${Math.floor(i / quads)}_${i % quads}`).join(', ')});
  for (var i = 0u; i < ${T * quads}u; i++) {
    let r = i / ${quads}u;
    let row = tile.row + (r / 4u) * 64u + id.y * 4u + r % 4u;
    let column = tile.column + (i % ${quads}u) * 64u + id.x * 4u;
    for (var c = 0u; c < 4u; c++) { finish(tile, row, column + c, sums[i][c]); }
  }
}
`,
  };
}
