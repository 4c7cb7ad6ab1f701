/**
 * What a kernel family returns: pure data, so that any variant can be compiled and checked anywhere. An op
 * lowers to a list of dispatches; a dispatch is WGSL, the operands it binds and the size of its grid.
 *
 * Binding 0 of group 0 is the uniform `params` (left out when `uniforms` is empty); operand k is binding k + 1.
 */
import type { DeviceCaps } from './caps.ts';

/** A range of bytes of one of the op's tensors, bound as a storage buffer. */
export interface Operand {
  readonly source: 'input' | 'output' | 'scratch';
  /** Which input, output or scratch buffer of the op. */
  readonly index: number;
  readonly access: 'read' | 'read_write';
  /** Start of the bound window, from the tensor's first byte; a multiple of the offset alignment. */
  readonly byteOffset?: number;
  /** Length of the bound window; to the tensor's end if left out. */
  readonly byteLength?: number;
}

export interface Dispatch {
  /** Family, variant and tile, e.g. `matmul/tiled 64x64x16`. */
  readonly label: string;
  /** A module with one compute entry point called `main`. */
  readonly wgsl: string;
  readonly operands: readonly Operand[];
  /** 32-bit words of the uniform struct, in declaration order. Floats go through `f32Bits`. */
  readonly uniforms: readonly number[];
  readonly workgroups: readonly [number, number, number];
}

export interface Lowering {
  readonly dispatches: readonly Dispatch[];
  /** Byte sizes of temporary buffers that live for this op only. */
  readonly scratch: readonly number[];
}

/** One way of computing a family's function; `lower` is only called when `applies` said yes. */
export interface Variant<Spec> {
  readonly name: string;
  applies(spec: Spec, caps: DeviceCaps): boolean;
  lower(spec: Spec, caps: DeviceCaps): Lowering;
}

/** The first variant that applies: a family lists its variants from the most to the least special. */
export function chooseVariant<Spec>(
  family: string,
  variants: readonly Variant<Spec>[],
  spec: Spec,
  caps: DeviceCaps,
): Variant<Spec> {
  const variant = variants.find((candidate) => candidate.applies(spec, caps));
  if (!variant) throw new Error(`${family}: no kernel variant takes ${JSON.stringify(spec)}`);
  return variant;
}

export const read = (index: number, window: Pick<Operand, 'byteOffset' | 'byteLength'> = {}): Operand => ({
  source: 'input',
  index,
  access: 'read',
  ...window,
});

export const write = (index: number, window: Pick<Operand, 'byteOffset' | 'byteLength'> = {}): Operand => ({
  source: 'output',
  index,
  access: 'read_write',
  ...window,
});

export const scratch = (index: number, access: Operand['access']): Operand => ({
  source: 'scratch',
  index,
  access,
});

const word = new DataView(new ArrayBuffer(4));

/** The bits of a float, for a word of `uniforms`. */
export function f32Bits(value: number): number {
  word.setFloat32(0, value);
  return word.getUint32(0);
}
