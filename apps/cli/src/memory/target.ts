/** What a plan is made for: a device that is named, or the one of this machine. */
import type { Device } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { measureFlops } from '@dwm/core-tensor/tune';
import { type PlanTarget, planDevice, targetOf } from '@dwm/dwm-model/memory';

/** Share of the measured peak that a run reaches: docs/performance.md has it for the kernels. */
const SHARE_OF_PEAK = 0.4;
/** Of a file that the system has in memory. */
const LOAD_GBPS = 1;

/**
 * @param given `--device`, a name or the number of a device of this machine, and `--memory`, in bytes.
 * @throws InvalidArgumentError for a device that is not known.
 */
export async function planTarget({
  device: given,
  memory: budget,
}: {
  readonly device?: string;
  readonly memory?: number;
}): Promise<PlanTarget> {
  if (given !== undefined && !/^\d+$/.test(given)) {
    const named = planDevice(given);
    return { ...named, budget: budget ?? named.budget };
  }
  const device = await openNodeDevice({ memoryLimit: budget });
  try {
    return measuredTarget(device, await measureFlops(device, 'f32'));
  } finally {
    device.destroy();
  }
}

/** @param gflops its measured peak in f32. */
export function measuredTarget(device: Device, gflops: number): PlanTarget {
  const teraflops = (SHARE_OF_PEAK * gflops) / 1000;
  return { ...targetOf(device), pace: { teraflops, loadGBps: LOAD_GBPS } };
}
