/** How many of the last steps count. */
const STEPS = 20;

/**
 * Steps a second over the last ones. The first step of a run, in which drivers compile, counts only while it is the only
 * one.
 */
export class Pace {
  /** Milliseconds: when the run began, and when each step ended. */
  readonly #times: number[];

  constructor(begun: number) {
    this.#times = [begun];
  }

  stepEnded(time: number): void {
    this.#times.push(time);
  }

  get stepsPerSecond(): number {
    const last = this.#times.length - 1;
    const first = Math.max(last > 1 ? 1 : 0, last - STEPS);
    return ((last - first) * 1000) / (this.#times[last] - this.#times[first]);
  }
}
