/**
 * What is decided of a device's kernels, consulted by every family when it lowers (`KernelTarget`).
 *
 * A choice of a variant holds for a class of shapes: sizes above 16 equal when rounded up to powers of two, all else
 * the same. A verdict is of a kernel: some drivers compute kernels for matrix units, or in f16, wrongly, or rightly
 * only once, and what someone with the device found so (`Trial`) is left out of every choice.
 */

/** Values of a variant's parameters (tile sizes and the like); plain numbers, so that a choice can be kept as JSON. */
export type Tuning = Readonly<Record<string, number>>;

/** A measured choice. */
export interface Choice {
  readonly variant: string;
  readonly tuning?: Tuning;
}

/** A map that counts how often it changed. */
class Counted<T> extends Map<string, T> {
  changes = 0;

  override set(key: string, value: T): this {
    this.changes++;
    return super.set(key, value);
  }

  override delete(key: string): boolean {
    this.changes++;
    return super.delete(key);
  }

  override clear(): void {
    this.changes++;
    super.clear();
  }
}

/** What is decided of a device's kernels, to be read and added to. */
export class Decisions {
  /** By class of shapes; null where it was decided, without a measurement, to keep to the default rule. */
  readonly choices: Counted<Choice | null>;
  /** By kernel: null where it is right on this device, else what is wrong. */
  readonly verdicts: Counted<string | null>;

  /** @param from what is known already. */
  constructor(from?: Decisions) {
    this.choices = new Counted(from?.choices);
    this.verdicts = new Counted(from?.verdicts);
  }

  /** Rises with every decision: a plan made under another count may not be the plan of today. */
  get changes(): number {
    return this.choices.changes + this.verdicts.changes;
  }
}

/** E.g. `matmul matrix side=2 buffers=2 config=1 splits=1`. */
export const kernelName = (family: string, { variant, tuning }: Choice): string =>
  [family, variant, ...Object.entries(tuning ?? {}).map(([name, value]) => `${name}=${value}`)].join(' ');

/** Elementwise work before or after a kernel, and how results are stored, are no part of the class. */
const WORK = new Set(['epilogue', 'fusion', 'source', 'expression', 'operands', 'halfRows']);

const EXACT = 16;

function describe(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 'yes' : undefined;
  if (typeof value === 'number') {
    if (!Number.isInteger(value)) return undefined;
    return `${value <= EXACT ? value : 2 ** Math.ceil(Math.log2(value))}`;
  }
  if (Array.isArray(value)) return value.map((each) => describe(each) ?? '').join('x') || undefined;
  if (value === null || typeof value !== 'object') return undefined;
  const parts = Object.entries(value).flatMap(([name, each]) => describeField(name, each));
  return parts.length > 0 ? `{${parts.join(' ')}}` : undefined;
}

function describeField(name: string, value: unknown): string[] {
  if (WORK.has(name)) return [];
  const text = describe(value);
  return text === undefined ? [] : [`${name}=${text}`];
}

/**
 * The class of a family's spec, e.g. `matmul batch=1 m=1024 n=2048 k=512 transposeB=yes dtypeA=f32 …`. Fields that
 * are false or absent, fractions (a scale, an epsilon) and fused elementwise work are left out.
 */
export const classOf = (family: string, spec: object): string =>
  [family, ...Object.entries(spec).flatMap(([name, value]) => describeField(name, value))].join(' ');
