/**
 * Subgroup matrices as text: what every kernel for matrix units says about them, f16 operands with f32 sums.
 *
 * Operands lie in workgroup memory in lines of `stride` vec4<u32>, 8 halves each; places are in those words. A left
 * operand's lines are its rows. A right one's are its columns (`byColumns`: K is contiguous) or its rows (N is).
 * Sums pass through arrays of f32 in workgroup memory, because nothing else can be done with a matrix: its elements
 * have no known place in a subgroup.
 *
 * `emulate` makes a build with the same indices for devices without matrix units: an operand is the place where it
 * lies, and lane l of a subgroup has sums l, l + lanes, ..
 *
 * Emitted code names the invocation's place in its subgroup `lane`.
 */
import type { SubgroupMatrixConfig } from '../caps.ts';

export type MatrixSize = Pick<SubgroupMatrixConfig, 'M' | 'N' | 'K'>;

/** A variable of workgroup memory, array<vec4<u32>>. */
interface HalfTile {
  readonly name: string;
  /** Words from line to line. */
  readonly stride: number;
}

interface MatrixProduct {
  /** Declarations. */
  readonly code: string;
  left(at: string): string;
  right(at: string): string;
  /** Statement: sum += x · y. */
  multiply(x: string, y: string, sum: string): string;
}

interface Fragments {
  readonly enables: string;
  /** A sum of zeros. */
  readonly zero: string;
  product(a: HalfTile, b: HalfTile & { readonly byColumns: boolean }): MatrixProduct;
  /** Statement: `sum` to `patch` from element `at` on, rows `stride` elements apart. */
  store(patch: string, at: string, stride: number, sum: string): string;
  /** Statement: the reverse. */
  load(patch: string, at: string, stride: number, sum: string): string;
}

/** Each subgroup works on its own matrices: their places are uniform in a subgroup, which no analysis sees. */
const ENABLES = `enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
`;

/**
 * @param emulate false, or an expression that is 0 or 1, which no compiler knows: it keeps the loops of the emulation
 * from being unrolled, which takes lavapipe ten seconds.
 */
export const fragments = (size: MatrixSize, lanes: number, emulate: string | false): Fragments =>
  emulate ? emulated(size, lanes, emulate) : native(size);

function native({ M, N, K }: MatrixSize): Fragments {
  const load = (type: string, order: 'row' | 'col', from: string, at: string, stride: number) =>
    `subgroupMatrixLoad<${type}, ${order}_major>(&${from}, ${at}, ${stride}u)`;
  const sums = `subgroup_matrix_result<f32, ${N}, ${M}>`;
  return {
    enables: ENABLES,
    zero: `${sums}()`,
    product: (a, b) => ({
      code: '',
      left: (at) => load(`subgroup_matrix_left<f16, ${K}, ${M}>`, 'row', a.name, at, a.stride),
      right: (at) =>
        load(`subgroup_matrix_right<f16, ${N}, ${K}>`, b.byColumns ? 'col' : 'row', b.name, at, b.stride),
      multiply: (x, y, sum) => `${sum} = subgroupMatrixMultiplyAccumulate(${x}, ${y}, ${sum});`,
    }),
    store: (patch, at, stride, sum) =>
      `subgroupMatrixStore<row_major>(&${patch}, ${at}, ${sum}, ${stride}u);`,
    load: (patch, at, stride, sum) => `${sum} = ${load(sums, 'row', patch, at, stride)};`,
  };
}

function emulated({ M, N, K }: MatrixSize, lanes: number, bit: string): Fragments {
  const each = (M * N) / lanes;
  const through = (line: (place: string, e: string) => string, at: string, stride: number) =>
    `for (var e = 0u; e < max(${each}u, ${bit}); e++) { let i = e * ${lanes}u + lane; ${line(`${at} + i / ${N}u * ${stride}u + i % ${N}u`, 'e')} }`;
  return {
    enables: '',
    zero: `array<f32, ${each}>()`,
    product(a, b) {
      const name = `multiply_${a.name}_${b.name}`;
      const half = (tile: HalfTile, line: string, i: string) =>
        `unpack2x16float(${tile.name}[${line} + (${i}) / 8u][((${i}) % 8u) / 2u])[(${i}) % 2u]`;
      const right = b.byColumns ? half(b, `y + n * ${b.stride}u`, 'k') : half(b, `y + k * ${b.stride}u`, 'n');
      return {
        code: `fn ${name}(x: u32, y: u32, lane: u32, sum: ptr<function, array<f32, ${each}>>) {
  for (var e = 0u; e < max(${each}u, ${bit}); e++) {
    let m = (e * ${lanes}u + lane) / ${N}u;
    let n = (e * ${lanes}u + lane) % ${N}u;
    for (var k = 0u; k < max(${K}u, ${bit}); k++) {
      (*sum)[e] = fma(${half(a, `x + m * ${a.stride}u`, 'k')}, ${right}, (*sum)[e]);
    }
  }
}
`,
        left: (at) => at,
        right: (at) => at,
        multiply: (x, y, sum) => `${name}(${x}, ${y}, lane, &${sum});`,
      };
    },
    store: (patch, at, stride, sum) =>
      through((place, e) => `${patch}[${place}] = ${sum}[${e}];`, at, stride),
    load: (patch, at, stride, sum) => through((place, e) => `${sum}[${e}] = ${patch}[${place}];`, at, stride),
  };
}

/**
 * Indices in `configs` of what multiplies f16 into f32 in steps that divide `step`, the largest matrices first.
 */
export const halfConfigs = (configs: readonly SubgroupMatrixConfig[], step: number): number[] =>
  configs
    .map((config, index) => ({ config, index }))
    .filter(
      ({ config: { componentType, resultComponentType, K } }) =>
        componentType === 'f16' && resultComponentType === 'f32' && step % K === 0,
    )
    .sort((x, y) => y.config.M * y.config.N * y.config.K - x.config.M * x.config.N * x.config.K)
    .map(({ index }) => index);
