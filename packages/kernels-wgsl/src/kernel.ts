/**
 * What a kernel family returns: pure data, so that any variant can be compiled and checked anywhere. An op
 * lowers to a list of dispatches; a dispatch is WGSL, the operands it binds and the size of its grid.
 *
 * Binding 0 of group 0 is the uniform `params` (left out when `uniforms` is empty); operand k is binding k + 1.
 */
import type { DeviceCaps } from './caps.ts';
import { type Choice, classOf, type Decisions, kernelName, type Tuning } from './decisions.ts';
import type { DType } from './dtype.ts';
import { UnsupportedError } from './errors.ts';

export type { Choice, Tuning } from './decisions.ts';

/** What a kernel is lowered for. */
export interface KernelTarget {
  readonly caps: DeviceCaps;
  /** Of the device's kernels; without it every family takes its default. */
  readonly decisions?: Decisions | undefined;
}

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

/** Rows of scaled halves: `half-rows.ts`. */
export interface HalfRows {
  /** Of a row, which has one scale. */
  readonly length: number;
  /** Halves are below 2^this. */
  readonly top: number;
}

/** What a kernel does, counted on paper. */
export interface Work {
  readonly flops: number;
  /** Between memory and the caches: `traffic.ts`. */
  readonly bytes: number;
}

/** One compute pass's call: code, operands, uniforms, grid. */
export interface Dispatch {
  /** Family, variant and tile, e.g. `matmul/tiled 64x64x16`. */
  readonly label: string;
  /** A module with one compute entry point called `main`; it may be made when it is asked for. */
  readonly wgsl: string;
  readonly operands: readonly Operand[];
  /** 32-bit words of the uniform struct, in declaration order. Floats go through `f32Bits`. */
  readonly uniforms: readonly number[];
  readonly workgroups: readonly [number, number, number];
  /** Where left out, an equal share of the op's. */
  readonly work?: Work;
  /** Where it makes dense rows of the whole of an input scaled halves: `half-rows.ts`. Operands: input, halves, scales. */
  readonly halves?: HalfRows & { readonly rows: number };
}

/** What an op becomes: dispatches in order, and the buffers between them. */
export interface Lowering {
  readonly dispatches: readonly Dispatch[];
  /** Byte sizes of temporary buffers that live for this op only. */
  readonly scratch: readonly number[];
  /** Which variant this is and why; only of families that have a choice. */
  readonly receipt?: Receipt;
  /** Whether output 0 are scaled halves, as was wished; their scales come after all outputs: `half-rows.ts`. */
  readonly halved?: boolean;
}

/** A tensor of a trial. Inputs of u32 are masks, 0 or 1. */
export interface TrialTensor {
  readonly count: number;
  readonly dtype: DType;
}

/** One small problem for two kernels. */
export interface Trial {
  readonly inputs: readonly TrialTensor[];
  /** All f32. */
  readonly outputs: readonly number[];
  readonly suspect: Lowering;
  readonly plain: Lowering;
}

/** A small problem of the same kind as a spec: same kernel, other sizes. */
export interface TrialProblem<Spec> extends Pick<Trial, 'inputs' | 'outputs'> {
  readonly spec: Spec;
  /** The same in f32. */
  readonly plain: Spec;
}

/** One way of computing a family's function; `lower` is only called when `applies` said yes. */
export interface Variant<Spec> {
  readonly name: string;
  /** Whether drivers are known to compute such kernels wrongly: a `Trial` comes before its use. */
  readonly suspect?: true;
  applies(spec: Spec, caps: DeviceCaps): boolean;
  /** Parameters worth measuring, best guess first, which is the default. Without it there are none. */
  candidates?(spec: Spec, caps: DeviceCaps): readonly Tuning[];
  lower(spec: Spec, caps: DeviceCaps, tuning?: Tuning): Lowering;
}

/** Which variant was taken and why. */
export interface Receipt {
  readonly family: string;
  readonly variant: string;
  readonly tuning?: Tuning;
  /** `only`: there is no other way. `default`: the first of several. `tuned`: measured on this device. */
  readonly reason: 'only' | 'default' | 'tuned';
  readonly spec: object;
  /** The class of shapes that a choice holds for. */
  readonly key: string;
  /** Everything that could have been taken, the default first. */
  alternatives(): readonly Choice[];
  /** What tells whether this device computes the variant rightly, where that is in doubt and not known yet. */
  readonly trial?: () => Trial;
}

const sameTuning = (a: Tuning | undefined, b: Tuning | undefined): boolean => {
  const [x, y] = [a ?? {}, b ?? {}];
  return Object.keys({ ...x, ...y }).every((name) => x[name] === y[name]);
};

/**
 * The variant and its parameters: the device's choice for this class of shapes where it is among what applies to
 * this spec, else the first variant with its first candidate. A family lists its variants from the most to the
 * least special.
 */
function choose<Spec extends object>(
  family: string,
  variants: readonly Variant<Spec>[],
  spec: Spec,
  { caps, decisions }: KernelTarget,
  problemOf?: (spec: Spec) => TrialProblem<Spec>,
): { variant: Variant<Spec>; tuning: Tuning | undefined; receipt: Receipt } {
  const nameOf = ({ name }: Variant<Spec>, tuning?: Tuning) => kernelName(family, { variant: name, tuning });
  const tuningsOf = (variant: Variant<Spec>) =>
    (variant.candidates?.(spec, caps) ?? [undefined]).filter(
      (tuning) => !decisions?.verdicts.get(nameOf(variant, tuning)),
    );
  const applying = variants.filter(
    (candidate) => candidate.applies(spec, caps) && tuningsOf(candidate).length > 0,
  );
  if (applying.length === 0) throw new UnsupportedError(`no kernel variant takes ${JSON.stringify(spec)}`);
  const key = classOf(family, spec);
  const choice = decisions?.choices.get(key);
  const wanted = choice && applying.find(({ name }) => name === choice.variant);
  const tuned = wanted && tuningsOf(wanted).some((tuning) => sameTuning(tuning, choice.tuning));
  const variant = tuned ? wanted : applying[0];
  const tuning = tuned ? choice?.tuning : tuningsOf(variant)[0];
  const alternatives = () =>
    applying.flatMap((each) =>
      tuningsOf(each).map((own): Choice => ({ variant: each.name, ...(own && { tuning: own }) })),
    );
  const single = applying.length === 1 && tuningsOf(applying[0]).length === 1;
  const reason = tuned ? 'tuned' : single ? 'only' : 'default';
  const trial = () => {
    const { spec: small, plain, inputs, outputs } = problemOf!(spec);
    const known = variants.filter((other) => !other.suspect && other.applies(plain, caps))[0];
    return { inputs, outputs, suspect: variant.lower(small, caps, tuning), plain: known.lower(plain, caps) };
  };
  const untried = variant.suspect && problemOf && !decisions?.verdicts.has(nameOf(variant, tuning));
  const receipt: Receipt = {
    ...{ family, variant: variant.name, tuning, reason, spec, key, alternatives },
    ...(untried && { trial }),
  };
  return { variant, tuning, receipt };
}

/** Lowers by the variant that `choose` takes. A family with suspect variants says what a trial of a spec is. */
export function lowerChosen<Spec extends object>(
  family: string,
  variants: readonly Variant<Spec>[],
  spec: Spec,
  target: KernelTarget,
  problemOf?: (spec: Spec) => TrialProblem<Spec>,
): Lowering {
  const { variant, tuning, receipt } = choose(family, variants, spec, target, problemOf);
  return { ...variant.lower(spec, target.caps, tuning), receipt };
}

/**
 * An input of the op, to be read.
 * @param window bytes of it; all of it where left out.
 */
export const read = (index: number, window: Pick<Operand, 'byteOffset' | 'byteLength'> = {}): Operand => ({
  source: 'input',
  index,
  access: 'read',
  ...window,
});

/**
 * An output of the op, to be written.
 * @param window bytes of it; all of it where left out.
 */
export const write = (index: number, window: Pick<Operand, 'byteOffset' | 'byteLength'> = {}): Operand => ({
  source: 'output',
  index,
  access: 'read_write',
  ...window,
});

/** A temporary buffer of the op, by its place in `Lowering.scratch`. */
export const scratch = (index: number, access: Operand['access']): Operand => ({
  source: 'scratch',
  index,
  access,
});

/** What `make` makes, made when it is first asked for: the code of a kernel that is only planned is never put together. */
export function lazily<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

const word = new DataView(new ArrayBuffer(4));

/** The bits of a float, for a word of `uniforms`. */
export function f32Bits(value: number): number {
  word.setFloat32(0, value);
  return word.getUint32(0);
}
