/** What happens before a program runs for the first time: traces hear of it, and its kernels may be tuned. */
import type { Device } from '../device/device.ts';
import type { Plan } from '../plan/plan.ts';

export interface FirstUse {
  /** Decides the classes of shapes that are planned while `plan` runs. */
  tune(plan: () => void): Promise<void>;
  /** Makes the choices of a plan final. */
  settle(plan: Plan): Promise<void>;
}

const firstUses = new WeakMap<Device, FirstUse>();
const watchers = new Set<(plan: Plan) => void>();

export const setFirstUse = (device: Device, firstUse: FirstUse): void => {
  firstUses.set(device, firstUse);
};

/** Calls `watch` with the plan of every program that is compiled; returns what ends it. */
export function watchPrograms(watch: (plan: Plan) => void): () => void {
  watchers.add(watch);
  return () => watchers.delete(watch);
}

export const beforeUse = {
  /** Without `tuneOnFirstUse` for this device it does nothing, and `plan` is not called. */
  async tune(device: Device, plan: () => void): Promise<void> {
    await firstUses.get(device)?.tune(plan);
  },
  async settle(device: Device, plan: Plan): Promise<void> {
    await firstUses.get(device)?.settle(plan);
    for (const watch of watchers) watch(plan);
  },
};
