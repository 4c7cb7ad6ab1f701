import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/device/open.ts';
import { measurePeaks } from './probe.ts';

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
