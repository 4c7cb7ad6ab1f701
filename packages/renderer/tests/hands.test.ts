import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { expect, test } from 'vitest';
import { checkHands } from './fixtures/hands.ts';

const folder = join(process.env.DWM_SHARED ?? '../shared', 'fixtures/render_hands');

test.skipIf(!existsSync(folder))('goldens of render_hands (skipped, no shared data)', async () => {
  const device = await openNodeDevice();
  const checks = await checkHands(device, folder);
  expect(checks.length).toBeGreaterThan(25);
  expect(checks.filter(({ error, tolerance }) => !(error <= tolerance))).toEqual([]);
  device.destroy();
});
