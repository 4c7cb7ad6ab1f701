/**
 * The weight with which a convolution takes gradients back: taps reversed, channels swapped, and of a strided
 * convolution's taps those that one phase of its input meets,
 *
 *     out[i, y, x, n, c] = weight[kt - 1 - i, firstY + stride (KH - 1 - y), firstX + stride (KW - 1 - x), c, n]
 *
 * Operands: weight [kt, kh, kw, inChannels, outChannels] in f32, f16 or bf16; out [kt, KH, KW, outChannels,
 * inChannels] f32. Tile: 64 elements.
 * Host: weight and out fit in a binding each, as `conv.ts` demands.
 */
import type { DeviceCaps } from '../caps.ts';
import type { DType } from '../dtype.ts';
import { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from '../grid.ts';
import { type Lowering, read, write } from '../kernel.ts';
import { elementCount } from '../pointwise/access.ts';
import { declare, enables, load } from '../storage.ts';

/** A convolution's weight, and the phase of its input that gradients are wanted for. */
export interface AdjointWeightSpec {
  /** [kt, kh, kw, inChannels, outChannels]. */
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly stride: 1 | 2;
  /** First tap of the phase, in height and width. */
  readonly first: readonly [number, number];
}

/** [kt, KH, KW, outChannels, inChannels]. */
export function adjointWeightShape({ shape, stride, first }: AdjointWeightSpec): number[] {
  const [kt, kh, kw, inChannels, outChannels] = shape;
  const taps = (size: number, from: number) => Math.max(0, Math.ceil((size - from) / stride));
  return [kt, taps(kh, first[0]), taps(kw, first[1]), outChannels, inChannels];
}

const WORKGROUP = 64;

/** The weight [kt, kh, kw, inChannels, outChannels] turned round: input 0, output 0 (`adjointWeightShape`). */
export function lowerAdjointWeight(spec: AdjointWeightSpec, caps: DeviceCaps): Lowering {
  const { shape, dtype, stride, first } = spec;
  const [kt, kh, kw, inChannels, outChannels] = shape;
  const to = adjointWeightShape(spec);
  const count = elementCount(to);
  const wgsl = `${enables([dtype], caps)}struct Params {
  count: u32, inChannels: u32, outChannels: u32, kt: u32, kh: u32, kw: u32, toH: u32, toW: u32,
  stride: u32, firstY: u32, firstX: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
${declare(1, 'weight', dtype, 'read', caps)}
${declare(2, 'out', 'f32', 'read_write', caps)}
@compute @workgroup_size(${WORKGROUP})
fn main(${WORKGROUP_BUILTINS}, @builtin(local_invocation_index) lane: u32) {
  let o = ${WORKGROUP_INDEX} * ${WORKGROUP}u + lane;
  if (o >= params.count) { return; }
  let c = o % params.inChannels;
  let n = o / params.inChannels % params.outChannels;
  let tap = o / params.inChannels / params.outChannels;
  let x = params.firstX + params.stride * (params.toW - 1u - tap % params.toW);
  let y = params.firstY + params.stride * (params.toH - 1u - tap / params.toW % params.toH);
  let i = params.kt - 1u - tap / params.toW / params.toH;
  let at = (((i * params.kh + y) * params.kw + x) * params.inChannels + c) * params.outChannels + n;
  out[o] = ${load('weight', dtype, 'at', caps)};
}
`;
  return {
    scratch: [],
    dispatches: [
      {
        label: 'conv/adjoint weight',
        wgsl,
        operands: [read(0), write(0)],
        uniforms: [count, inChannels, outChannels, kt, kh, kw, to[1], to[2], stride, ...first],
        workgroups: lineGrid(Math.ceil(count / WORKGROUP), caps),
      },
    ],
  };
}
