/**
 * The factor that a loss is multiplied by before its gradients are taken, where they pass through f16, so that small ones do
 * not vanish. It doubles after `INTERVAL` good steps; when a gradient overflows the step is left out and the factor
 * halved (Micikevicius et al., arXiv:1710.03740; PyTorch's GradScaler).
 */
const INTERVAL = 2000;
const START = 2 ** 16;

export interface LossScaleState {
  readonly scale: number;
  /** Steps since the scale changed. */
  readonly good: number;
  /** Steps left out so far: the optimizer has not seen them. */
  readonly skipped: number;
}

export class LossScale {
  #state: LossScaleState = { scale: START, good: 0, skipped: 0 };

  get state(): LossScaleState {
    return this.#state;
  }

  restore(state: LossScaleState): void {
    this.#state = state;
  }

  /** After a step whose gradients were finite. */
  succeed(): void {
    const { scale, good, skipped } = this.#state;
    const grows = good + 1 >= INTERVAL;
    this.#state = { scale: grows ? scale * 2 : scale, good: grows ? 0 : good + 1, skipped };
  }

  /** After a step whose gradients were not. @returns false where no smaller scale can help. */
  overflow(): boolean {
    const { scale, skipped } = this.#state;
    this.#state = { scale: scale / 2, good: 0, skipped: skipped + 1 };
    return scale > 1;
  }
}
