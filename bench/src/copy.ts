/** The yardstick of what is bound by memory: a plain copy of as many bytes, in turns with everyone who computes. */
import type { Device } from '@dwm/core-tensor';
import { seeded } from '@dwm/core-tensor/testing';
import { openCopyProbe, probedBytes } from '@dwm/core-tensor/tune';
import type { Contender, OpenCase } from './case.ts';
import { type Measurement, measure, quantile } from './measure.ts';
import { normals } from './random.ts';
import { sampleOf } from './workloads/workload.ts';

const CHECKED = 4096;

/** @returns without the copy, and the median of what it read and wrote in 10^9 bytes a second. */
export async function measureBesideCopy(
  device: Device,
  open: OpenCase,
  budgetMs: number,
  seed: number,
): Promise<{ measurements: Measurement[]; copyGBps: number }> {
  const bytes = probedBytes(device, open.cost.bytes / 2);
  const contenders = [...open.contenders, copying(device, bytes, seed)];
  const measurements = await measure({ ...open, contenders }, budgetMs);
  const copy = measurements.pop()!;
  if (copy.reason) throw new Error(`the copy that memory-bound work is compared with: ${copy.reason}`);
  return { measurements, copyGBps: (2 * bytes) / quantile(copy.samples, 0.5) / 1e6 };
}

function copying(device: Device, bytes: number, seed: number): Contender {
  const random = seeded(seed);
  const values = normals(bytes / 4, random);
  const at = sampleOf(values.length, CHECKED, random);
  return {
    ...{ peer: 'copy', formulation: 'copy', runsOn: 'shared' },
    expected: { at, values: at.map((i) => values[i]) },
    async prepare() {
      const probe = await openCopyProbe(device, bytes);
      device.gpu.queue.writeBuffer(probe.source.gpu, 0, values);
      return {
        async run() {
          await probe.run();
        },
        read: async () => new Float32Array(await device.read(probe.destination)),
        dispose: async () => probe.destroy(),
      };
    },
  };
}
