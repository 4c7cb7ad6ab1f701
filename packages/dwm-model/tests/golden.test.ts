import { join } from 'node:path';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { expect, test } from 'vitest';
import { checkPipeline } from './fixtures/pipeline.ts';

const golden = join(import.meta.dirname, 'golden/pipeline_e2e');
const device = await openNodeDevice();

test('the whole pipeline equals the original on the golden run', async () => {
  for (const { name, error, tolerance } of await checkPipeline(device, golden, 'f32')) {
    expect(error, name).toBeLessThanOrEqual(tolerance);
  }
}, 300_000);

test('in f16 it stays within 2e-2', async (context) => {
  if (!device.caps.features.f16) context.skip('the adapter has no f16');
  for (const { name, error, tolerance } of await checkPipeline(device, golden, 'f16')) {
    expect(error, name).toBeLessThanOrEqual(tolerance);
  }
}, 300_000);

test('shaders stay inside their buffers: nothing changes without the bounds checks', async () => {
  const unchecked = await openNodeDevice({ robustness: false });
  for (const { name, error, tolerance } of await checkPipeline(unchecked, golden, 'f32')) {
    expect(error, name).toBeLessThanOrEqual(tolerance);
  }
  unchecked.destroy();
}, 300_000);
