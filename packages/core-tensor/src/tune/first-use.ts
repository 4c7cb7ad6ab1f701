/**
 * Tuning while a command runs: before a program is compiled, the classes of shapes in it that nobody has decided
 * are measured, within a budget for the whole process. What the budget does not reach is decided too, for the
 * default rule, and so is what is compiled unseen: a choice never changes within a run, nor, because decisions are
 * kept before they are used, between a run and the one that resumes it.
 */
import type { Device } from '../device/device.ts';
import type { Plan } from '../plan/plan.ts';
import { Turns } from '../turns.ts';
import { type FirstUse, type Planning, setFirstUse } from './before-use.ts';
import { questionsOf, type Tuned, type TuneOptions, tune } from './tune.ts';

/** How new shapes are tuned at their first use. */
export interface FirstUseOptions extends Omit<TuneOptions, 'signal'> {
  /** Keeps `device.decisions.choices`. */
  readonly save: () => Promise<void>;
  /** Hears what was measured, and how many classes keep their default unmeasured. */
  readonly onTuned?: (tuned: readonly Tuned[], unmeasured: number) => void;
}

/** From now on, programs are tuned before they are compiled on this device, for `budgetMs` in all. */
export function tuneOnFirstUse(device: Device, options: FirstUseOptions): void {
  setFirstUse(device, new TuneOnFirstUse(device, options));
}

class TuneOnFirstUse implements FirstUse {
  readonly #device: Device;
  readonly #options: FirstUseOptions;
  #leftMs: number;
  /** Measurements at the same time would disturb each other. */
  readonly #turns = new Turns();

  constructor(device: Device, options: FirstUseOptions) {
    this.#device = device;
    this.#options = options;
    this.#leftMs = options.budgetMs;
  }

  tune(plan: Planning): Promise<void> {
    return this.#turns.take(() => this.#tune(plan));
  }

  async settle({ dispatches }: Plan): Promise<void> {
    const { choices } = this.#device.decisions;
    const before = choices.size;
    for (const { receipt } of dispatches)
      if (receipt?.reason === 'default' && !choices.has(receipt.key)) choices.set(receipt.key, null);
    if (choices.size > before) await this.#options.save();
  }

  async #tune(plan: Planning): Promise<void> {
    const { choices } = this.#device.decisions;
    const questions = questionsOf(plan()).filter(({ key }) => !choices.has(key));
    if (questions.length === 0) return;
    const { now = () => performance.now(), save, onTuned } = this.#options;
    const start = now();
    const tuned = await tune(this.#device, questions, { ...this.#options, budgetMs: this.#leftMs });
    this.#leftMs -= now() - start;
    for (const { key } of questions) if (!choices.has(key)) choices.set(key, null);
    await save();
    onTuned?.(tuned, questions.length - tuned.length);
  }
}
