/** The clips that a run is judged by while it goes. */
import type { DeviceTensor } from '@dwm/core-tensor';
import type { Sample } from './dataset.ts';
import type { TrainingTask } from './task.ts';
import type { Report } from './train-options.ts';

export class Validation {
  readonly #task: TrainingTask;
  readonly #samples: readonly Sample[];
  readonly #report: Report;
  /** The last one: when, and of how many clips. */
  #last: string | undefined;

  constructor(task: TrainingTask, samples: readonly Sample[], report: Report) {
    this.#task = task;
    this.#samples = samples;
    this.#report = report;
  }

  get isEmpty(): boolean {
    return this.#samples.length === 0;
  }

  /** @returns what it measured, for the log; nothing the second time. */
  async run(weights: DeviceTensor, step: number, count: number): Promise<Record<string, number>> {
    const samples = this.#samples.slice(0, count);
    const now = `${step} ${samples.length}`;
    if (now === this.#last) return {};
    this.#last = now;
    const measured = Object.entries(await this.#task.validate(weights, step, samples));
    const numbers = measured.map(([name, value]) => `${name} ${value.toPrecision(4)}`);
    if (numbers.length > 0)
      this.#report({ kind: 'note', text: `validation at step ${step}: ${numbers.join(', ')}` });
    return Object.fromEntries(measured.map(([name, value]) => [`validation/${name}`, value]));
  }
}
