/**
 * Matmul by register tiles, no workgroup memory: an invocation owns 4 rows x 4 columns of the output and
 * walks K four steps at a time, so eight 4-wide loads feed 64 multiply-adds. The variant for CPU adapters,
 * where workgroup memory is ordinary memory, and the fallback everywhere.
 *
 * Layout: 8 x 8 invocations, x over column quads, y over row quads; grid (columns / 32, rows / 32, batch).
 * An operand is read four elements at once when its rows are whole quads, else one by one with guards.
 * Edge tiles: rows and columns beyond the end are clamped while loading and skipped while storing.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { type Dispatch, type Lowering, read, type Variant, write } from '../kernel.ts';
import { emitFusion, identity, takesFourLanes } from '../pointwise/fusion.ts';
import { declare, enables, type Lanes, load, store } from '../storage.ts';
import { matmulPieces } from './pieces.ts';
import type { MatmulSpec } from './spec.ts';

const TILE = 4;
const SIDE = 8;

export const registerTile: Variant<MatmulSpec> = {
  name: 'register-tile',
  applies: () => true,
  lower(spec, caps): Lowering {
    return { dispatches: registerTileDispatches(spec, caps), scratch: [] };
  },
};

/** The quad of A at row `m`, steps k..k+3 (or of rows m..m+3 at one step, when A is stored by columns). */
export function registerTileDispatches(spec: MatmulSpec, caps: DeviceCaps): Dispatch[] {
  const { m, n, k, transposeA, transposeB, sharedB, dtypeA, dtypeB, dtypeOut } = spec;
  const epilogue = spec.epilogue ?? identity([spec.batch, m, n]);
  const outLanes: Lanes = n % 4 === 0 && takesFourLanes(epilogue) ? 4 : 1;
  const fused = emitFusion(epilogue, 3, dtypeOut, outLanes, caps);
  const outBinding = 3 + epilogue.operands.length;
  const lanesA: Lanes = (transposeA ? m : k) % 4 === 0 ? 4 : 1;
  const lanesB: Lanes = (transposeB ? k : n) % 4 === 0 ? 4 : 1;
  const rows = [0, 1, 2, 3];

  /** vec4 of four consecutive elements of a row of `name` from `start`; `limit` guards the row's end. */
  const quad = (name: string, dtype: MatmulSpec['dtypeA'], lanes: Lanes) => {
    if (lanes === 4) {
      return `fn quad_${name}(row: u32, start: u32, limit: u32) -> vec4<f32> {
  let e = (row + min(start, limit - 4u)) >> 2u;
  return ${load(name, dtype, 'e', caps, 4)};
}`;
    }
    const one = (c: number) => {
      const inside = `start + ${c}u < limit`;
      return `  let e${c} = row + min(start + ${c}u, limit - 1u);\n  q[${c}] = select(0.0, ${load(name, dtype, `e${c}`, caps)}, ${inside});\n`;
    };
    return `fn quad_${name}(row: u32, start: u32, limit: u32) -> vec4<f32> {
  var q: vec4<f32>;
${rows.map(one).join('')}  return q;
}`;
  };

  const code = wgsl`${enables([dtypeA, dtypeB, dtypeOut, ...epilogue.operands.map((o) => o.dtype)], caps)}
struct Params {
  rowStart: u32, rowEnd: u32, columnStart: u32, columnEnd: u32,
  m: u32, n: u32, k: u32, batchStart: u32,
  atA: u32, atB: u32, atOut: u32, strideB: u32,
  ${fused.fields}
}
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'a', dtypeA, 'read', caps, lanesA)}
${declare(2, 'b', dtypeB, 'read', caps, lanesB)}
${fused.declarations}
${declare(outBinding, 'out', dtypeOut, 'read_write', caps, outLanes)}
${fused.code}
${quad('a', dtypeA, lanesA)}
${quad('b', dtypeB, lanesB)}

@compute @workgroup_size(${SIDE}, ${SIDE})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = params.rowStart + id.y * ${TILE}u;
  let column = params.columnStart + id.x * ${TILE}u;
  if (row >= params.rowEnd || column >= params.columnEnd) { return; }
  let batch = params.batchStart + id.z;
  let baseA = params.atA + batch * params.m * params.k;
  let baseB = params.atB + batch * params.strideB;
#if ${!transposeA}
  ${rows.map((r) => `let rowA${r} = baseA + min(row + ${r}u, params.m - 1u) * params.k;`).join('\n  ')}
#endif
#if ${transposeB}
  ${rows.map((c) => `let rowB${c} = baseB + min(column + ${c}u, params.n - 1u) * params.k;`).join('\n  ')}
#endif
  ${rows.map((r) => `var acc${r} = vec4<f32>();`).join(' ')}
  let whole = params.k & ~3u;
  for (var k = 0u; k < whole; k += 4u) {
#if ${transposeA}
    ${rows.map((s) => `let at${s} = quad_a(baseA + (k + ${s}u) * params.m, row, params.m);`).join('\n    ')}
    ${rows.map((r) => `let a${r} = vec4<f32>(${rows.map((s) => `at${s}[${r}]`).join(', ')});`).join('\n    ')}
#else
    ${rows.map((r) => `let a${r} = quad_a(rowA${r}, k, params.k);`).join('\n    ')}
#endif
#if ${transposeB}
    ${rows.map((c) => `let b${c} = quad_b(rowB${c}, k, params.k);`).join('\n    ')}
    ${rows.map((r) => `acc${r} += vec4<f32>(${rows.map((c) => `dot(a${r}, b${c})`).join(', ')});`).join('\n    ')}
#else
    ${rows.map((s) => `let b${s} = quad_b(baseB + (k + ${s}u) * params.n, column, params.n);`).join('\n    ')}
    ${rows.map((r) => rows.map((s) => `acc${r} = fma(vec4<f32>(a${r}[${s}]), b${s}, acc${r});`).join(' ')).join('\n    ')}
#endif
  }
  // The last, incomplete quad of K: one step at a time.
  for (var k = whole; k < params.k; k++) {
#if ${transposeA}
    let column_a = quad_a(baseA + k * params.m, row, params.m);
#else
    let column_a = vec4<f32>(${rows.map((r) => `quad_a(rowA${r}, k, params.k).x`).join(', ')});
#endif
#if ${transposeB}
    let row_b = vec4<f32>(${rows.map((c) => `quad_b(rowB${c}, k, params.k).x`).join(', ')});
#else
    let row_b = quad_b(baseB + k * params.n, column, params.n);
#endif
    ${rows.map((r) => `acc${r} += column_a[${r}] * row_b;`).join(' ')}
  }
  // A loop, not four copies: the epilogue's code is what makes compilation slow on CPU adapters.
  var tile = array<vec4<f32>, 4>(${rows.map((r) => `acc${r}`).join(', ')});
  for (var r = 0u; r < 4u; r++) { finish(batch, row + r, column, tile[r]); }
}

fn finish(batch: u32, row: u32, column: u32, acc: vec4<f32>) {
  if (row >= params.rowEnd) { return; }
  let i = (batch * params.m + row) * params.n + column;
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
  return matmulPieces(spec, fused, caps).map(({ batchStart, batchCount, rows: r, columns, a, b, out }) => {
    const outStart = batchStart * m * n + r[0] * n;
    const outEnd = (batchStart + batchCount - 1) * m * n + r[1] * n;
    const { windows, uniforms } = fused.windows(outStart, outEnd);
    const tiles = (from: number, to: number) => Math.ceil((to - from) / (TILE * SIDE));
    return {
      label: `matmul/register-tile ${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`,
      wgsl: code,
      operands: [read(0, a), read(1, b), ...windows.map((w, i) => read(2 + i, w)), write(0, out)],
      uniforms: [
        ...[r[0], r[1], columns[0], columns[1], m, n, k, batchStart],
        ...[-a.firstElement >>> 0, -b.firstElement >>> 0, -out.firstElement >>> 0, sharedB ? 0 : n * k],
        ...uniforms,
      ],
      workgroups: [tiles(columns[0], columns[1]), tiles(r[0], r[1]), batchCount],
    };
  });
}
