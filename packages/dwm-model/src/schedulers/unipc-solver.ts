/**
 * UniPC (arXiv:2302.04867) in its data-prediction form. A step first corrects the sample that the previous step
 * predicted (UniC), now that the network has seen it, and then predicts the next one (UniP). Both are
 *   x_t = (sigma_t / sigma_s) x_s - alpha_t (e^hh - 1) m_0 - alpha_t B(h) sum_k rho_k (m_k - m_0) / r_k
 * with hh = -h, h = lambda_t - lambda_s, lambda = log(alpha / sigma), r_k = (lambda_k - lambda_s) / h, and m_k the
 * predictions of x0 at earlier steps; UniC also has the new prediction as its last m_k, with r_k = 1.
 */
import { fieldError, type UniPcConfig } from './config.ts';
import { combine, deterministicStep, type LinearCombination, type Slot, type StepRecipe } from './recipe.ts';

export interface NoiseLevel {
  readonly alpha: number;
  readonly sigma: number;
}

type Coefficients = Partial<Record<Slot, number>>;
const PREVIOUS = ['x0Prev1', 'x0Prev2', 'x0Prev3'] as const;

/**
 * The last step either reaches sigma 0, an infinite h, or (`sigma_min` over flow sigmas) stays where it is, h = 0;
 * only a first-order update has a limit there.
 */
export function checkFinalOrder(config: UniPcConfig, lastStepIsRegular: boolean, file: string): void {
  if (config.solver_order > 1 && !config.lower_order_final && !lastStepIsRegular) {
    throw fieldError(file, 'lower_order_final', 'true: the last step has no higher-order update', false);
  }
}

/**
 * The recipes of the steps from `first` on.
 * `levels`: noise levels of the whole run, one more than steps. `predictX0(i)`: coefficients of x0 at step i.
 */
export function uniPcSteps(
  config: UniPcConfig,
  timesteps: readonly number[],
  levels: readonly NoiseLevel[],
  predictX0: (step: number) => Coefficients,
  first: number,
): StepRecipe[] {
  let previousOrder = 0;
  return timesteps.slice(first).map((timestep, taken) => {
    const i = first + taken;
    const corrected = taken > 0 && !config.disable_corrector.includes(i - 1);
    const remaining = config.lower_order_final ? timesteps.length - i : config.solver_order;
    const order = Math.min(config.solver_order, remaining, taken + 1);
    const history = PREVIOUS.slice(0, config.solver_order);

    const combinations: LinearCombination[] = [
      combine('x0', predictX0(i)),
      combine('lastSample', corrected ? corrector(config, levels, i, previousOrder) : { sample: 1 }),
      combine('next', predictor(config, levels, i, order)),
      // Shifted oldest first, and no further back than a prediction exists.
      ...history
        .map((slot, k) => combine(slot, { [k === 0 ? 'x0' : history[k - 1]]: 1 }))
        .slice(0, taken + 1)
        .reverse(),
    ];
    previousOrder = order;
    return deterministicStep(timestep, combinations);
  });
}

function predictor(
  config: UniPcConfig,
  levels: readonly NoiseLevel[],
  i: number,
  order: number,
): Coefficients {
  const update = new Update(config, levels, i, i + 1, order);
  // The paper's rho for order 2 does not depend on h.
  const rho = order === 2 ? [0.5] : solve(update.matrix(order - 1), update.rightSide.slice(0, order - 1));
  return update.coefficients('x0', [...PREVIOUS], rho);
}

function corrector(
  config: UniPcConfig,
  levels: readonly NoiseLevel[],
  i: number,
  order: number,
): Coefficients {
  const update = new Update(config, levels, i - 1, i, order);
  const rho = order === 1 ? [0.5] : solve(update.matrix(order), update.rightSide);
  const [m0, ...older] = PREVIOUS;
  return update.coefficients(m0, [...older.slice(0, order - 1), 'x0'], rho);
}

/** One update from level `s` to level `t`. */
class Update {
  private readonly from: NoiseLevel;
  private readonly to: NoiseLevel;
  private readonly growth: number;
  private readonly bh: number;
  /** r_k of the order - 1 earlier predictions, then 1 for the new one. */
  private readonly ratios: number[];
  /** b_k = k! phi_{k+1}(hh) hh / B(h), k = 1..order. */
  readonly rightSide: number[];

  constructor(config: UniPcConfig, levels: readonly NoiseLevel[], s: number, t: number, order: number) {
    this.from = levels[s];
    this.to = levels[t];
    const h = lambda(this.to) - lambda(this.from);
    this.growth = Math.expm1(-h);
    this.bh = config.solver_type === 'bh1' ? -h : this.growth;
    const earlier = Array.from({ length: order - 1 }, (_, k) => levels[s - 1 - k]);
    this.ratios = [...earlier.map((level) => (lambda(level) - lambda(this.from)) / h), 1];

    this.rightSide = [];
    let phi = this.growth / -h - 1;
    let factorial = 1;
    for (let k = 1; k <= order; k++) {
      this.rightSide.push((phi * factorial) / this.bh);
      factorial *= k + 1;
      phi = phi / -h - 1 / factorial;
    }
  }

  /** Vandermonde rows r_k^0, r_k^1, ... over the first `size` ratios. */
  matrix(size: number): number[][] {
    return Array.from({ length: size }, (_, power) => this.ratios.slice(0, size).map((r) => r ** power));
  }

  coefficients(m0: Slot, others: Slot[], rho: readonly number[]): Coefficients {
    const weights = rho.map((value, k) => (-this.to.alpha * this.bh * value) / this.ratios[k]);
    const result: Coefficients = {
      lastSample: this.to.sigma / this.from.sigma,
      [m0]: weights.reduce((sum, weight) => sum - weight, -this.to.alpha * this.growth),
    };
    weights.forEach((weight, k) => {
      result[others[k]] = weight;
    });
    return result;
  }
}

const lambda = ({ alpha, sigma }: NoiseLevel) => Math.log(alpha) - Math.log(sigma);

/** Gaussian elimination with partial pivoting, for systems of up to three unknowns. */
function solve(matrix: number[][], rightSide: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, rightSide[i]]);
  const n = rows.length;
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let r = column + 1; r < n; r++)
      if (Math.abs(rows[r][column]) > Math.abs(rows[pivot][column])) pivot = r;
    [rows[column], rows[pivot]] = [rows[pivot], rows[column]];
    for (let r = 0; r < n; r++) {
      if (r === column) continue;
      const factor = rows[r][column] / rows[column][column];
      for (let c = column; c <= n; c++) rows[r][c] -= factor * rows[column][c];
    }
  }
  return rows.map((row, i) => row[n] / row[i]);
}
