/**
 * What happens before a program runs for the first time: its suspect kernels are tried, its kernels may be tuned, and
 * traces hear of it.
 */
import type { Device } from '../device/device.ts';
import type { Plan } from '../plan/plan.ts';

export interface FirstUse {
  /** Decides the classes of shapes that are planned while `plan` runs. */
  tune(plan: () => void): Promise<void>;
  /** Makes the choices of a plan final. */
  settle(plan: Plan): Promise<void>;
}

/** Plans programs, and gives back those plans that it may have made before. */
export type Planning = () => readonly Plan[] | undefined;

const firstUses = new WeakMap<Device, FirstUse>();
const selfTests = new WeakMap<Device, (plan: Planning) => Promise<void>>();
const watchers = new Set<(plan: Plan) => void>();

export const setFirstUse = (device: Device, firstUse: FirstUse): void => {
  firstUses.set(device, firstUse);
};

/** `test` tries the suspect kernels of the plans that `plan` makes. */
export const setSelfTest = (device: Device, test: (plan: Planning) => Promise<void>): void => {
  selfTests.set(device, test);
};

/** Calls `watch` with the plan of every program that is compiled; returns what ends it. */
export function watchPrograms(watch: (plan: Plan) => void): () => void {
  watchers.add(watch);
  return () => watchers.delete(watch);
}

/** What a device does before a program's first run; see `tuneOnFirstUse`. */
export const beforeUse = {
  /** Tries the suspect kernels of the plans; does nothing without `selfTestOnFirstUse` for this device. */
  async prove(device: Device, plan: Planning): Promise<void> {
    await selfTests.get(device)?.(plan);
  },
  /** `prove`, and tuning; without `tuneOnFirstUse` for this device that does nothing. */
  async tune(device: Device, plan: () => void): Promise<void> {
    const planning = () => {
      plan();
      return undefined;
    };
    await beforeUse.prove(device, planning);
    const firstUse = firstUses.get(device);
    if (!firstUse) return;
    // What is wrong was not measured; what is the fastest now may be untried.
    await firstUse.tune(plan);
    await beforeUse.prove(device, planning);
  },
  async settle(device: Device, plan: Plan): Promise<void> {
    await firstUses.get(device)?.settle(plan);
    for (const watch of watchers) watch(plan);
  },
};
