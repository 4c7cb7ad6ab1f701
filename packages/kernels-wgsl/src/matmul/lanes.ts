/**
 * Matmul for devices that run a subgroup as the lanes of one CPU vector. There a load is done lane by lane, in
 * branches, and costs like 25 multiply-adds, so what counts is multiply-adds per load. Lanes are columns of the
 * output: lane l has columns l, l + L, .. of a tile of `rows` x `columns` vectors of L. A value of B serves all
 * rows. For A, each lane loads another (row, step), and broadcasts hand the values round.
 *
 *     sa[row, step] = A[row, k + step]      one load for L of them
 *     sb[step][c]   = B[k + step, c·L + lane]
 *     acc[row][c]  += broadcast(sa, (row, step)) · sb[step][c]
 *
 * Loads first, then arithmetic without a branch between: sums that live in registers across the branches of a
 * load get spilled around every one of them. For the same reason `acc`, `sa` and `sb` are arrays in memory, where
 * a constant index is one vector access; the loops that index them dynamically, one of which never runs, keep
 * the compiler from taking them apart again, which costs it seconds. SwiftShader keeps sums in registers
 * (`inMemory` 0): its stores to arrays are masked.
 *
 * Tile: one subgroup. On lavapipe 32 x 4 vectors by 2 steps reaches half of the multiply-add peak.
 * Host: subgroups of one size, which is the workgroup's.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import type { Tuning, Variant } from '../kernel.ts';
import { load } from '../storage.ts';
import { lowerTiles, maySplit, type TileKernel } from './frame.ts';
import type { MatmulSpec } from './spec.ts';

/** The one size of subgroups that a CPU runs as lanes, or 0. */
const laneCount = ({ features, adapter }: DeviceCaps): number =>
  adapter.kind === 'software' &&
  features.subgroups &&
  features.subgroupMinSize === features.subgroupMaxSize &&
  [4, 8, 16].includes(features.subgroupMinSize)
    ? features.subgroupMinSize
    : 0;

interface LanesTile extends Tuning {
  readonly rows: number;
  /** Vectors of L columns. */
  readonly columns: number;
  /** Parts of K. */
  readonly splits: number;
}

const TILES: readonly (readonly [rows: number, columns: number])[] = [
  [32, 8],
  [32, 4],
  [16, 8],
  [16, 4],
  [8, 4],
  [8, 2],
  [4, 4],
  [2, 4],
  [1, 4],
  [1, 1],
];

/** What a load costs, in multiply-adds. */
const LOAD = 25;
/** Tiles that keep a few cores busy. */
const ENOUGH_TILES = 8;

/** Least estimated time first. */
function candidates(spec: MatmulSpec, caps: DeviceCaps): LanesTile[] {
  const lanes = laneCount(caps);
  const scored = TILES.map(([rows, columns]) => {
    const tiles = spec.batch * Math.ceil(spec.m / rows) * Math.ceil(spec.n / (columns * lanes));
    const work = LOAD * (columns + rows / lanes) + rows * columns;
    const wanted = Math.min(Math.ceil(ENOUGH_TILES / tiles), Math.floor(spec.k / 256));
    const splits = wanted > 1 && maySplit(spec, wanted, caps) ? wanted : 1;
    const rounds = Math.ceil((tiles * splits) / 2);
    return { tile: { rows, columns, splits }, time: (rounds * work) / splits };
  });
  return scored.sort((a, b) => a.time - b.time).map(({ tile }) => tile);
}

export const lanes: Variant<MatmulSpec> = {
  name: 'lanes',
  applies: (_, caps) => laneCount(caps) > 0,
  candidates,
  lower: (spec, caps, tuning) =>
    lowerTiles(spec, caps, lanesKernel(spec, caps, (tuning as LanesTile) ?? candidates(spec, caps)[0])),
};

const times = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n');

function lanesKernel(spec: MatmulSpec, caps: DeviceCaps, tile: LanesTile): TileKernel {
  const { transposeA, transposeB, dtypeA, dtypeB, scaledB, k: K } = spec;
  const { rows: R, columns: C, splits } = tile;
  const L = laneCount(caps);
  const inMemory = L > 4;
  const packedHalves = !scaledB && (dtypeB === 'bf16' || dtypeB === 'f16') && transposeB && K % 2 === 0;
  const perWord = packedHalves ? 2 : 1;
  // What is scaled: four at a time, which always divides K.
  const S = scaledB ? 4 : Math.max(inMemory ? 2 : 4, perWord, Math.ceil(L / R));
  const ragged = K % S !== 0;
  const capsB = packedHalves ? { ...caps, features: { ...caps.features, f16: false } } : caps;
  /** Rows of one load of A. */
  const per = Math.max(1, L / S);
  /** Loads of A for one row. */
  const loadsPerRow = Math.max(1, S / L);
  const loadsA = Math.max(1, Math.ceil(R / per)) * loadsPerRow;

  const acc = (r: number, c: number) => (inMemory ? `acc[${r * C + c}]` : `acc${r}_${c}`);
  const a = (i: number) => (inMemory ? `sa[${i}]` : `sa${i}`);
  const b = (s: number, c: number) => (inMemory ? `sb[${s * C + c}]` : `sb${s}_${c}`);
  const set = (name: string, value: string) => (inMemory ? `${name} = ${value};` : `let ${name} = ${value};`);
  const step = (s: string) => (ragged ? `min(${s}, tile.kEnd - 1u)` : s);
  const guarded = (s: string, value: string) => (ragged ? `select(0.0, ${value}, ${s} < tile.kEnd)` : value);

  const loadA = (i: number) => {
    const at = `k + lane % ${Math.min(S, L)}u + ${(i % loadsPerRow) * L}u`;
    const value = load('a', dtypeA, `ea${i}`, caps);
    return `let ea${i} = rowA${Math.floor(i / loadsPerRow)} + ${transposeA ? `(${step(at)}) * params.m` : step(at)};
    ${set(a(i), guarded(at, value))}`;
  };
  const loadB = (c: number) => {
    if (scaledB) {
      return `let eb${c} = indexB(tile, column${c}, k) / 4u;
      let quad${c} = scaled4(${load('b', dtypeB, `eb${c}`, caps, 4)}, column${c}, k);
      ${times(S, (s) => set(b(s, c), `quad${c}[${s}]`))}`;
    }
    if (packedHalves) {
      return times(S / 2, (h) => {
        const word = `word${h}_${c}`;
        const pair =
          dtypeB === 'f16'
            ? `unpack2x16float(${word})`
            : `bitcast<vec2<f32>>(vec2<u32>(${word} << 16u, ${word} & 0xffff0000u))`;
        return `let ${word} = b[indexB(tile, column${c}, ${step(`k + ${2 * h}u`)}) >> 1u];
      let pair${h}_${c} = ${pair};
      ${set(b(2 * h, c), guarded(`k + ${2 * h}u`, `pair${h}_${c}.x`))}
      ${set(b(2 * h + 1, c), guarded(`k + ${2 * h}u`, `pair${h}_${c}.y`))}`;
      });
    }
    return times(S, (s) => {
      const at = `k + ${s}u`;
      return `let eb${s}_${c} = indexB(tile, column${c}, ${step(at)});
      ${set(b(s, c), guarded(at, load('b', dtypeB, `eb${s}_${c}`, capsB)))}`;
    });
  };
  /** Where step s of row r is among the loads of A: load and lane. */
  const place = (r: number, s: number) =>
    S <= L ? [Math.floor(r / per), (r % per) * S + s] : [r * loadsPerRow + Math.floor(s / L), s % L];
  const multiply = (r: number) => `{
      ${times(C, (c) => `var t${c} = ${acc(r, c)};`)}
      ${times(S, (s) => {
        const [i, lane] = place(r, s);
        return `let x${s} = subgroupBroadcast(${a(i)}, ${lane}u);
        ${times(C, (c) => `t${c} = fma(x${s}, ${b(s, c)}, t${c});`)}`;
      })}
      ${times(C, (c) => `${acc(r, c)} = t${c};`)}
    }`;

  return {
    label: `lanes ${R}x${C * L}`,
    rows: R,
    columns: C * L,
    splits,
    step: S,
    enables: 'enable subgroups;',
    lanesA: 1,
    lanesB: scaledB ? 4 : 1,
    capsB,
    code: () => wgsl`
@compute @workgroup_size(${L})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let tile = start(${WORKGROUP_INDEX});
#if ${inMemory}
  var acc: array<f32, ${R * C}>;
  var sa: array<f32, ${loadsA}>;
  var sb: array<f32, ${S * C}>;
  for (var i = 0u; i < params.never; i++) { acc[i] = 1.0; sa[i] = 1.0; sb[i] = 1.0; }
#else
  ${times(R, (r) => times(C, (c) => `var acc${r}_${c} = 0.0;`))}
#endif
  ${times(loadsA / loadsPerRow, (i) => `let rowA${i} = indexA(tile, min(tile.row + ${i * per}u + lane / ${Math.min(S, L)}u, params.rowEnd - 1u), 0u);`)}
  ${times(C, (c) => `let column${c} = min(tile.column + ${c * L}u + lane, params.columnEnd - 1u);`)}
  for (var k = tile.k; k < tile.kEnd; k += ${S}u) {
    ${times(loadsA, loadA)}
    ${times(C, loadB)}
    ${times(R, multiply)}
  }
#if ${!inMemory}
  var acc = array<f32, ${R * C}>(${Array.from({ length: R * C }, (_, i) => `acc${Math.floor(i / C)}_${i % C}`).join(', ')});
#endif
  // A bound that no compiler knows: the epilogue's code must not be copied for every row.
  let count = ${C}u * min(${R}u, params.rowEnd - tile.row);
  for (var i = 0u; i < count; i++) {
    finish(tile, tile.row + i / ${C}u, tile.column + (i % ${C}u) * ${L}u + lane, acc[i]);
  }
}
`,
  };
}
