import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/device/open.ts';
import { seeded } from '../testing.ts';
import { measurePeaks, openCopyProbe, probedBytes } from './probe.ts';

test('peaks are those of a computer, and leave nothing behind', async () => {
  const device = await openNodeDevice();
  const { gflopsF32, gflopsF16, copyGBps } = await measurePeaks(device);
  // Wide bounds: a busy CI core on one end, the largest GPUs on the other.
  expect(gflopsF32).toBeGreaterThan(0.3);
  expect(gflopsF32).toBeLessThan(1e6);
  expect(gflopsF16 !== undefined).toBe(device.caps.features.f16);
  expect(copyGBps).toBeGreaterThan(0.05);
  expect(copyGBps).toBeLessThan(1e5);
  expect(device.memory).toMatchObject({ allocated: 0, buffers: 0 });
  device.destroy();
});

test.each([65535, 3])('the copy probe copies all of what it counts, %i workgroups a row', async (most) => {
  const device = await openNodeDevice({ limits: { maxComputeWorkgroupsPerDimension: most } });
  const bytes = probedBytes(device, 200_000);
  expect(bytes).toBe(256 << 10);
  const probe = await openCopyProbe(device, 200_000);
  const random = seeded(5);
  const values = Float32Array.from({ length: bytes / 4 }, random);
  device.gpu.queue.writeBuffer(probe.source.gpu, 0, values);
  expect(await probe.run()).toBeGreaterThan(0);
  expect(new Float32Array(await device.read(probe.destination))).toEqual(values);
  probe.destroy();
  expect(device.memory).toMatchObject({ allocated: 0, buffers: 0 });
  device.destroy();
});
