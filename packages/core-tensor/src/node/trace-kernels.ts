/**
 * `DWM_TRACE=kernels`: prints, before a program first runs, the kernel of each dispatch: which variant, why, and its
 * floating-point operations and the bytes that pass between memory and the caches, counted on paper.
 */
import type { Device } from '../device/device.ts';
import type { PlannedDispatch } from '../plan/plan.ts';
import { watchPrograms } from '../tune/before-use.ts';

/**
 * E.g. `kernel matmul+: matmul/lanes 32x32 NT (tuned: lanes rows=32 columns=4 splits=1) batch=1 m=64 n=256 k=64:
 * 2.1 MFLOP, 0.148 MB, 14.2 FLOP/B`.
 * `only`: there is no other way. `default`: the first of several by the family's rule. `tuned`: measured here.
 */
function receiptLine({ label, receipt, cost }: PlannedDispatch): string {
  const { flops, bytes } = cost;
  const short = (value: number) => Number(value.toPrecision(3));
  const work = `${short(flops / 1e6)} MFLOP, ${short(bytes / 1e6)} MB, ${short(flops / bytes)} FLOP/B`;
  if (!receipt) return `kernel ${label} (only): ${work}`;
  const { variant, tuning, reason, key, family } = receipt;
  const values = Object.entries(tuning ?? {}).map(([name, value]) => `${name}=${value}`);
  return `kernel ${label} (${reason}: ${[variant, ...values].join(' ')}) ${key.slice(family.length + 1)}: ${work}`;
}

/** Of the programs of a device, each line once. Returns what ends it. */
export function traceKernels(device: Device, print: (line: string) => void): () => void {
  const seen = new Set<string>();
  return watchPrograms(device, ({ dispatches }) => {
    for (const dispatch of dispatches) {
      const line = receiptLine(dispatch);
      if (seen.has(line)) continue;
      seen.add(line);
      print(line);
    }
  });
}
