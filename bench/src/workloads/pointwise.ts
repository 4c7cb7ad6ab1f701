/**
 * Chains of elementwise work between the transformer's heavy kernels, on x [rows, channels]. Vectors of one row
 * are broadcast over all rows.
 */
import { type Arrays, type Family, type Shape, sampleOf } from './workload.ts';

export interface Pointwise {
  readonly op: 'pointwise';
  readonly chain: Chain;
  readonly rows: number;
  readonly channels: number;
}

/**
 * `gateResidual`: x + gate · y. `modulate`: x · (1 + scale) + shift. `gelu`: x / 2 · (1 + tanh(sqrt(2/pi) · (x +
 * 0.044715 x^3))). `siluMultiply`: x · sigmoid(x) · y.
 */
type Chain = 'gateResidual' | 'modulate' | 'gelu' | 'siluMultiply';

interface ChainRule {
  /** Names of the other inputs, whole or of one row. */
  readonly whole: readonly string[];
  readonly row: readonly string[];
  readonly flopsPerElement: number;
  value(at: (name: string) => number): number;
}

const RULES: Record<Chain, ChainRule> = {
  gateResidual: {
    ...{ whole: ['y'], row: ['gate'], flopsPerElement: 2 },
    value: (at) => at('x') + at('gate') * at('y'),
  },
  modulate: {
    ...{ whole: [], row: ['scale', 'shift'], flopsPerElement: 3 },
    value: (at) => at('x') * (1 + at('scale')) + at('shift'),
  },
  gelu: {
    ...{ whole: [], row: [], flopsPerElement: 10 },
    value: (at) => {
      const x = at('x');
      return (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
    },
  },
  siluMultiply: {
    ...{ whole: ['y'], row: [], flopsPerElement: 6 },
    value: (at) => (at('x') / (1 + Math.exp(-at('x')))) * at('y'),
  },
};

const SAMPLES = 100_000;

export const pointwiseFamily: Family<Pointwise> = {
  inputs({ chain, rows, channels }) {
    const shapes: Record<string, Shape> = { x: [rows, channels] };
    for (const name of RULES[chain].whole) shapes[name] = [rows, channels];
    return shapes;
  },
  weights: ({ chain, channels }) => Object.fromEntries(RULES[chain].row.map((name) => [name, [channels]])),
  output: ({ rows, channels }) => [rows, channels],
  flops: ({ chain, rows, channels }) => RULES[chain].flopsPerElement * rows * channels,
  expected({ chain, rows, channels }, values: Arrays, random) {
    const at = sampleOf(rows * channels, SAMPLES, random);
    const { row, value } = RULES[chain];
    const element = (i: number) => (name: string) => values[name][row.includes(name) ? i % channels : i];
    return { at, values: at.map((i) => value(element(i))) };
  },
};
