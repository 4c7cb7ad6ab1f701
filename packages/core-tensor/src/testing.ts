/** What the tests and benchmarks of every package share. */
import type { Device } from './device/device.ts';
import { watchPrograms } from './tune/before-use.ts';

export { type GgufTensor, toGguf, writeGguf } from './files/gguf/testing.ts';
export { randomNormals, relativeError, seeded } from './random.ts';

/** Starts to count the distinct kernels for matrix units in the programs of a device; tells how many. */
export function countMatrixKernels(device: Device): () => number {
  const seen = new Set<string>();
  watchPrograms(device, ({ dispatches }) => {
    for (const { wgsl } of dispatches) if (wgsl.includes('subgroupMatrixMultiplyAccumulate')) seen.add(wgsl);
  });
  return () => seen.size;
}
