/**
 * What happens on a device before a program runs for the first time: its suspect kernels are tried, its kernels may be
 * tuned, and traces hear of it.
 */
import type { Device } from '../device/device.ts';
import type { Plan } from '../plan/plan.ts';

/** Plans programs: anew, or as planned before where nothing was decided since. */
export type Planning = () => readonly Plan[];

export interface FirstUse {
  /** Decides the classes of shapes in the plans. */
  tune(plan: Planning): Promise<void>;
  /** Makes the choices of a plan final. */
  settle(plan: Plan): Promise<void>;
}

interface Hooks {
  firstUse?: FirstUse;
  selfTest?: (plan: Planning) => Promise<void>;
  readonly watchers: Set<(plan: Plan) => void>;
}

const noHooks = (): Hooks => ({ watchers: new Set() });
const hooksOf = (device: Device): Hooks => device.once(noHooks);

export const setFirstUse = (device: Device, firstUse: FirstUse): void => {
  hooksOf(device).firstUse = firstUse;
};

/** `test` tries the suspect kernels of the plans that `plan` makes. */
export const setSelfTest = (device: Device, test: (plan: Planning) => Promise<void>): void => {
  hooksOf(device).selfTest = test;
};

/** Calls `watch` with the plan of every program of a device; returns what ends it. */
export function watchPrograms(device: Device, watch: (plan: Plan) => void): () => void {
  const { watchers } = hooksOf(device);
  watchers.add(watch);
  return () => watchers.delete(watch);
}

/** What a device does before a program's first run; see `tuneOnFirstUse`. */
export const beforeUse = {
  /** Tries the suspect kernels of the plans; does nothing without `selfTestOnFirstUse` for this device. */
  async prove(device: Device, plan: Planning): Promise<void> {
    await hooksOf(device).selfTest?.(plan);
  },
  /** `prove`, and tuning; without `tuneOnFirstUse` for this device that does nothing. */
  async tune(device: Device, plan: Planning): Promise<void> {
    await beforeUse.prove(device, plan);
    const { firstUse } = hooksOf(device);
    if (!firstUse) return;
    // What is wrong was not measured; what is the fastest now may be untried.
    await firstUse.tune(plan);
    await beforeUse.prove(device, plan);
  },
  async settle(device: Device, plan: Plan): Promise<void> {
    const { firstUse, watchers } = hooksOf(device);
    await firstUse?.settle(plan);
    for (const watch of watchers) watch(plan);
  },
};
