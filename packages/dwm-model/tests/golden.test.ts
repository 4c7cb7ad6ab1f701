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
});

test('in f16 it stays within 2e-2', async (context) => {
  if (!device.caps.features.f16) context.skip('the adapter has no f16');
  for (const { name, error, tolerance } of await checkPipeline(device, golden, 'f16')) {
    expect(error, name).toBeLessThanOrEqual(tolerance);
  }
});
