/**
 * Measured choices of kernel variants, kept by device and consulted whenever a program is planned. A choice
 * holds for a class of shapes: the same layout and dtypes, sizes equal when rounded up to powers of two.
 */
import type { Choice, DeviceCaps, MatmulSpec } from '@dwm/kernels-wgsl';

export type Choices = Map<string, Choice>;

const byDevice = new WeakMap<DeviceCaps, Choices>();

/** The choices of the device with these caps, to be read and added to. */
export function choicesOf(caps: DeviceCaps): Choices {
  let choices = byDevice.get(caps);
  if (!choices) {
    choices = new Map();
    byDevice.set(caps, choices);
  }
  return choices;
}

/** The class of a matmul, e.g. `matmul NT f32 bf16 1x1024x2048x512`. */
export function matmulClass(spec: MatmulSpec): string {
  const rounded = [spec.batch, spec.m, spec.n, spec.k].map((size) => 2 ** Math.ceil(Math.log2(size)));
  const layout = `${spec.transposeA ? 'T' : 'N'}${spec.transposeB ? 'T' : 'N'}`;
  const weight = spec.quantized ? `int${spec.quantized.bits}` : spec.dtypeB;
  return `matmul ${layout} ${spec.dtypeA} ${weight}${spec.halfPrecision ? ' half' : ''} ${rounded.join('x')}`;
}

let collected: MatmulSpec[] | undefined;

/** The measured choice for `spec`, if there is one. */
export function chosenMatmul(spec: MatmulSpec, caps: DeviceCaps): Choice | undefined {
  collected?.push(spec);
  return choicesOf(caps).get(matmulClass(spec));
}

/** The matmuls that are lowered while `plan` runs. */
export function collectMatmuls(plan: () => void): MatmulSpec[] {
  const specs: MatmulSpec[] = [];
  collected = specs;
  try {
    plan();
  } finally {
    collected = undefined;
  }
  return specs;
}
