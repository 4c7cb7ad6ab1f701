/**
 * Elementwise kernel: out[i] = expression(operands at i), any number of broadcast, strided or up-sampled
 * operands, one pass over memory.
 *
 * Tile: 64 invocations, one step each; a step is four consecutive elements when rows allow, else one.
 * Host: outputs and operands longer than a binding are cut into runs of whole steps.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DeviceCaps } from '../caps.ts';
import { byteLength, type DType } from '../dtype.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type Dispatch, type Lowering, read, scratch, write } from '../kernel.ts';
import { declare, enables, type Lanes, PACK_BF16, store, storesSingly } from '../storage.ts';
import { elementCount, splitRange, strided, windowOf } from './access.ts';
import { operand as operandLeaf } from './expression.ts';
import { emitFusion, type Fusion, largestWindow, offsetAlignment, takesFourLanes } from './fusion.ts';

const WORKGROUP = 64;
/** Runs are cut at multiples of this many elements. */
const QUANTUM = 1024;

export interface PointwiseSpec extends Fusion {
  readonly dtype: DType;
}

export function lowerPointwise(spec: PointwiseSpec, caps: DeviceCaps): Lowering {
  const four = takesFourLanes(spec);
  if (four || storesSingly(spec.dtype, caps)) {
    return { dispatches: runs(spec, four ? 4 : 1, caps), scratch: [] };
  }
  // A packed dtype cannot be stored one element at a time: compute in f32, then pack the dense result.
  const count = elementCount(spec.shape);
  const compute = runs({ ...spec, dtype: 'f32' }, 1, caps).map((dispatch) => ({
    ...dispatch,
    operands: dispatch.operands.map((operand) =>
      operand.source === 'output' ? { ...operand, source: 'scratch' as const } : operand,
    ),
  }));
  const dense = { dtype: 'f32' as const, access: strided([1]), count };
  const pack = runs(
    { shape: [count], operands: [dense], expression: operandLeaf(0), dtype: spec.dtype },
    4,
    caps,
  ).map((dispatch) => ({
    ...dispatch,
    operands: dispatch.operands.map((operand) =>
      operand.source === 'input' ? { ...operand, ...scratch(0, 'read') } : operand,
    ),
  }));
  return { dispatches: [...compute, ...pack], scratch: [byteLength(count, 'f32')] };
}

function runs(spec: PointwiseSpec, lanes: Lanes, caps: DeviceCaps): Dispatch[] {
  const outBinding = spec.operands.length + 1;
  const fused = emitFusion(spec, 1, spec.dtype, lanes, caps);
  const code = wgsl`${enables([spec.dtype, ...spec.operands.map((o) => o.dtype)], caps)}
struct Params { start: u32, end: u32, atOut: u32, ${fused.fields} }
@group(0) @binding(0) var<uniform> params: Params;
${fused.declarations}
${declare(outBinding, 'out', spec.dtype, 'read_write', caps, lanes)}
#if ${spec.dtype === 'bf16'}
${PACK_BF16}
#endif
${fused.code}
@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let i = params.start + (${WORKGROUP_INDEX} * ${WORKGROUP}u + lane) * ${lanes}u;
  if (i >= params.end) { return; }
  let o = (params.atOut + i) / ${lanes}u;
  ${store('out', spec.dtype, 'o', `fused(i, ${lanes === 4 ? 'vec4' : ''}${lanes === 4 ? `<${accType(spec.dtype)}>` : accType(spec.dtype)}(0))`, caps, lanes)}
}
`;
  const count = elementCount(spec.shape);
  const alignment = offsetAlignment(caps);
  const limit = caps.limits.maxStorageBufferBindingSize;
  const outWindow = (start: number, end: number) => windowOf(start, end - 1, count, spec.dtype, alignment);
  const pieces = splitRange(
    count,
    QUANTUM,
    (start, end) => outWindow(start, end).byteLength <= limit && largestWindow(fused, start, end) <= limit,
    () =>
      new Error(`pointwise: an operand of shape [${spec.shape}] does not fit in a binding of ${limit} bytes`),
  );
  return pieces.map(([start, end]) => {
    const out = outWindow(start, end);
    const { windows, uniforms } = fused.windows(start, end);
    return {
      label: `pointwise/x${lanes}`,
      wgsl: code,
      operands: [
        ...windows.map(({ byteOffset, byteLength: length }, k) =>
          read(k, { byteOffset, byteLength: length }),
        ),
        write(0, { byteOffset: out.byteOffset, byteLength: out.byteLength }),
      ],
      uniforms: [start, end, -out.firstElement >>> 0, ...uniforms],
      workgroups: lineGrid(Math.ceil((end - start) / (WORKGROUP * lanes)), caps),
    };
  });
}

const accType = (dtype: DType) => (dtype === 'i32' || dtype === 'u32' ? dtype : 'f32');
