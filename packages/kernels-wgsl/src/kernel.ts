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

/** Values of a variant's parameters (tile sizes and the like); plain numbers, so that a choice can be kept as JSON. */
export type Tuning = Readonly<Record<string, number>>;

/** One way of computing a family's function; `lower` is only called when `applies` said yes. */
export interface Variant<Spec> {
  readonly name: string;
  applies(spec: Spec, caps: DeviceCaps): boolean;
  /** Parameters worth measuring, best guess first, which is the default. Without it there are none. */
  candidates?(spec: Spec, caps: DeviceCaps): readonly Tuning[];
  lower(spec: Spec, caps: DeviceCaps, tuning?: Tuning): Lowering;
}

/** A measured choice. */
export interface Choice {
  readonly variant: string;
  readonly tuning?: Tuning;
}

/** Which variant was taken and why. */
export interface Receipt {
  readonly family: string;
  readonly variant: string;
  readonly tuning?: Tuning;
  /** `only`: no other applies. `default`: the most special. `tuned`: measured on this device. */
  readonly reason: 'only' | 'default' | 'tuned';
  readonly spec: object;
}

const watchers = new Set<(receipt: Receipt) => void>();

/** Calls `watch` at every choice, for traces; returns what ends it. */
export function watchChoices(watch: (receipt: Receipt) => void): () => void {
  watchers.add(watch);
  return () => watchers.delete(watch);
}

const sameTuning = (a: Tuning | undefined, b: Tuning | undefined): boolean => {
  const [x, y] = [a ?? {}, b ?? {}];
  return Object.keys({ ...x, ...y }).every((name) => x[name] === y[name]);
};

/**
 * The variant and its parameters: `choice` where it is among what applies to this spec, else the first variant
 * with its first candidate. A family lists its variants from the most to the least special.
 */
export function choose<Spec extends object>(
  family: string,
  variants: readonly Variant<Spec>[],
  spec: Spec,
  caps: DeviceCaps,
  choice?: Choice,
): { variant: Variant<Spec>; tuning: Tuning | undefined } {
  const applying = variants.filter((candidate) => candidate.applies(spec, caps));
  if (applying.length === 0) throw new Error(`${family}: no kernel variant takes ${JSON.stringify(spec)}`);
  const wanted = choice && applying.find(({ name }) => name === choice.variant);
  const tunings = wanted?.candidates?.(spec, caps) ?? [undefined];
  const tuned = wanted !== undefined && tunings.some((tuning) => sameTuning(tuning, choice?.tuning));
  const variant = tuned ? wanted : applying[0];
  const tuning = tuned ? choice?.tuning : variant.candidates?.(spec, caps)[0];
  const reason = tuned ? 'tuned' : applying.length === 1 ? 'only' : 'default';
  for (const watch of watchers) watch({ family, variant: variant.name, tuning, reason, spec });
  return { variant, tuning };
}

/** `choose` for a family whose variants have no parameters. */
export const chooseVariant = <Spec extends object>(
  family: string,
  variants: readonly Variant<Spec>[],
  spec: Spec,
  caps: DeviceCaps,
): Variant<Spec> => choose(family, variants, spec, caps).variant;

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
