/**
 * Decided choices of kernel variants, kept by device and consulted by every family when it lowers. A choice
 * holds for a class of shapes: sizes above 16 equal when rounded up to powers of two, all else the same.
 */
import type { DeviceCaps } from './caps.ts';

/** Values of a variant's parameters (tile sizes and the like); plain numbers, so that a choice can be kept as JSON. */
export type Tuning = Readonly<Record<string, number>>;

/** A measured choice. */
export interface Choice {
  readonly variant: string;
  readonly tuning?: Tuning;
}

/** By class of shapes; null where it was decided, without a measurement, to keep to the default rule. */
export type Choices = Map<string, Choice | null>;

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

/** Elementwise work before or after a kernel: what it does is no part of the class. */
const WORK = new Set(['epilogue', 'fusion', 'source', 'expression', 'operands']);

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
