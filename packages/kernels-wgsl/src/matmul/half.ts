/**
 * Matmul in f16 for operands of any range: both are staged as f16 rows of length K with a power-of-two scale
 * each (`stage-half.ts`), multiplied with sums in f32, and the two scales undone before the epilogue:
 *
 *     out[m, n] = epilogue( scaleA[m] · scaleB[n] · sum over k of halfA[m, k] · halfB[n, k] )
 *
 * Tile: as `register-tile.ts`, 4 x 4 outputs an invocation, 8 x 8 invocations.
 * Host: staged rows are cut so that each fits in a binding; the scratch holds one batch at a time.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { byteLength } from '../dtype.ts';
import { type Dispatch, type Lowering, type Operand, read, type Variant, write } from '../kernel.ts';
import { splitRange, windowOf } from '../pointwise/access.ts';
import { emitFusion, identity, largestWindow, offsetAlignment, takesFourLanes } from '../pointwise/fusion.ts';
import { declare, enables, type Lanes, store } from '../storage.ts';
import type { MatmulSpec } from './spec.ts';
import { stageHalf } from './stage-half.ts';

const TILE = 4;
const SIDE = 8;
const QUANTUM = 4;

/** Scratch buffers, in order. */
const HALF_A = 0;
const SCALE_A = 1;
const HALF_B = 2;
const SCALE_B = 3;

export const half: Variant<MatmulSpec> = {
  name: 'half',
  applies: (spec, caps) => spec.halfPrecision && caps.features.f16,
  lower: lowerHalf,
};

function lowerHalf(spec: MatmulSpec, caps: DeviceCaps): Lowering {
  const { batch, m, n, k, transposeA, transposeB, sharedB, dtypeA, dtypeB, dtypeOut } = spec;
  const limit = caps.limits.maxStorageBufferBindingSize;
  const alignment = offsetAlignment(caps);
  const epilogue = spec.epilogue ?? identity([batch, m, n]);
  const outLanes: Lanes = n % 4 === 0 && takesFourLanes(epilogue) ? 4 : 1;
  const fused = emitFusion(epilogue, 5, dtypeOut, outLanes, caps);
  const lanes: Lanes = k % 4 === 0 ? 4 : 1;
  const rows = [0, 1, 2, 3];

  const quad = (name: string) =>
    lanes === 4
      ? `fn quad_${name}(row: u32, k: u32) -> vec4<f32> { return vec4<f32>(${name}[(row * params.k + k) >> 2u]); }`
      : `fn quad_${name}(row: u32, k: u32) -> vec4<f32> {
  let e = row * params.k;
  let last = params.k - 1u;
  return vec4<f32>(${rows.map((s) => `select(0.0, f32(${name}[e + min(k + ${s}u, last)]), k + ${s}u <= last)`).join(', ')});
}`;
  const code = wgsl`${enables([dtypeOut, 'f16', ...epilogue.operands.map((o) => o.dtype)], caps)}
struct Params {
  rowStart: u32, rowEnd: u32, columnStart: u32, columnEnd: u32,
  m: u32, n: u32, k: u32, batch: u32, atOut: u32,
  ${fused.fields}
}
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'a', 'f16', 'read', caps, lanes)}
${declare(2, 'scaleA', 'f32', 'read', caps)}
${declare(3, 'b', 'f16', 'read', caps, lanes)}
${declare(4, 'scaleB', 'f32', 'read', caps)}
${fused.declarations}
${declare(5 + epilogue.operands.length, 'out', dtypeOut, 'read_write', caps, outLanes)}
${fused.code}
${quad('a')}
${quad('b')}

@compute @workgroup_size(${SIDE}, ${SIDE})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = params.rowStart + id.y * ${TILE}u;
  let column = params.columnStart + id.x * ${TILE}u;
  if (row >= params.rowEnd || column >= params.columnEnd) { return; }
  ${rows.map((r) => `let r${r} = min(row + ${r}u, params.rowEnd - 1u) - params.rowStart;`).join('\n  ')}
  ${rows.map((c) => `let c${c} = min(column + ${c}u, params.columnEnd - 1u) - params.columnStart;`).join('\n  ')}
  ${rows.map((r) => `var acc${r} = vec4<f32>();`).join(' ')}
  for (var k = 0u; k < params.k; k += 4u) {
    ${rows.map((r) => `let a${r} = quad_a(r${r}, k); let b${r} = quad_b(c${r}, k);`).join('\n    ')}
    ${rows.map((r) => `acc${r} += vec4<f32>(${rows.map((c) => `dot(a${r}, b${c})`).join(', ')});`).join('\n    ')}
  }
  let scale = vec4<f32>(${rows.map((c) => `scaleB[c${c}]`).join(', ')});
  ${rows.map((r) => `finish(row + ${r}u, column, acc${r} * scaleA[r${r}] * scale);`).join('\n  ')}
}

fn finish(row: u32, column: u32, acc: vec4<f32>) {
  if (row >= params.rowEnd) { return; }
  let i = (params.batch * params.m + row) * params.n + column;
#if ${outLanes === 4}
  let o = (params.atOut + i) >> 2u;
  ${store('out', dtypeOut, 'o', 'fused(i, acc)', caps, 4)}
#else
  for (var c = 0u; c < 4u && column + c < params.columnEnd; c++) {
    let o = params.atOut + i + c;
    ${store('out', dtypeOut, 'o', 'fused(i + c, acc[c])', caps)}
  }
#endif
}
`;
  const tooLarge = () =>
    new Error(`matmul [${m}, ${k}] x [${k}, ${n}]: four rows do not fit in a binding of ${limit} bytes`);
  const outWindow = (b: number, start: number, end: number) =>
    windowOf(b * m * n + start * n, b * m * n + end * n - 1, batch * m * n, dtypeOut, alignment);
  /** Window of an operand that holds its rows [start, end) of one batch, and where element 0 of `start` is. */
  const source = (
    input: number,
    dtype: MatmulSpec['dtypeA'],
    count: number,
    base: number,
    size: number,
    byRows: boolean,
    start: number,
    end: number,
  ) => {
    const low = byRows ? base + start * k : base;
    const high = byRows ? base + end * k - 1 : base + size * k - 1;
    const window = windowOf(low, high, count, dtype, alignment);
    const at = (byRows ? low : base + start) - window.firstElement;
    return { operand: read(input, window), at, bytes: window.byteLength };
  };
  const sourceA = (b: number, start: number, end: number) =>
    source(0, dtypeA, batch * m * k, b * m * k, m, !transposeA, start, end);
  const sourceB = (b: number, start: number, end: number) =>
    source(1, dtypeB, (sharedB ? 1 : batch) * n * k, b * n * k, n, transposeB, start, end);

  const rowPieces = splitRange(
    m,
    QUANTUM,
    (start, end) =>
      byteLength((end - start) * k, 'f16') <= limit &&
      sourceA(batch - 1, start, end).bytes <= limit &&
      outWindow(batch - 1, start, end).byteLength + alignment <= limit &&
      largestWindow(fused, (batch - 1) * m * n + start * n, (batch - 1) * m * n + end * n) <= limit,
    tooLarge,
  );
  const columnPieces = splitRange(
    n,
    QUANTUM,
    (start, end) =>
      byteLength((end - start) * k, 'f16') <= limit &&
      sourceB(sharedB ? 0 : batch - 1, start, end).bytes <= limit,
    tooLarge,
  );

  const temporary = (index: number, access: Operand['access']): Operand => ({
    source: 'scratch',
    index,
    access,
  });
  const dispatches: Dispatch[] = [];
  for (let b = 0; b < batch; b++) {
    for (const [columnStart, columnEnd] of columnPieces) {
      const batchB = sharedB ? 0 : b;
      const fromB = sourceB(batchB, columnStart, columnEnd);
      const stagedOnce = sharedB && b > 0 && columnPieces.length === 1;
      if (!stagedOnce) {
        dispatches.push(
          stageHalf(
            {
              source: fromB.operand,
              dtype: dtypeB,
              at: fromB.at,
              rows: columnEnd - columnStart,
              k,
              strideRow: transposeB ? k : 1,
              strideStep: transposeB ? 1 : n,
              half: temporary(HALF_B, 'read_write'),
              scales: temporary(SCALE_B, 'read_write'),
            },
            caps,
          ),
        );
      }
      for (const [rowStart, rowEnd] of rowPieces) {
        const fromA = sourceA(b, rowStart, rowEnd);
        const out = outWindow(b, rowStart, rowEnd);
        const outStart = b * m * n + rowStart * n;
        const { windows, uniforms } = fused.windows(outStart, outStart + (rowEnd - rowStart) * n);
        const tiles = (count: number) => Math.ceil(count / (TILE * SIDE));
        dispatches.push(
          stageHalf(
            {
              source: fromA.operand,
              dtype: dtypeA,
              at: fromA.at,
              rows: rowEnd - rowStart,
              k,
              strideRow: transposeA ? 1 : k,
              strideStep: transposeA ? m : 1,
              half: temporary(HALF_A, 'read_write'),
              scales: temporary(SCALE_A, 'read_write'),
            },
            caps,
          ),
          {
            label: 'matmul/half',
            wgsl: code,
            operands: [
              temporary(HALF_A, 'read'),
              temporary(SCALE_A, 'read'),
              temporary(HALF_B, 'read'),
              temporary(SCALE_B, 'read'),
              ...windows.map((w, i) => read(2 + i, w)),
              write(0, out),
            ],
            uniforms: [
              ...[rowStart, rowEnd, columnStart, columnEnd, m, n, k, b, -out.firstElement >>> 0],
              ...uniforms,
            ],
            workgroups: [tiles(columnEnd - columnStart), tiles(rowEnd - rowStart), 1],
          },
        );
      }
    }
  }
  const longest = (pieces: [number, number][]) => Math.max(...pieces.map(([start, end]) => end - start));
  const [mostRows, mostColumns] = [longest(rowPieces), longest(columnPieces)];
  return {
    dispatches,
    scratch: [
      byteLength(mostRows * k, 'f16'),
      byteLength(mostRows, 'f32'),
      byteLength(mostColumns * k, 'f16'),
      byteLength(mostColumns, 'f32'),
    ],
  };
}
