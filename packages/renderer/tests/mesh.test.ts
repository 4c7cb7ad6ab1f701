import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { expect, test } from 'vitest';
import { checkMesh } from './fixtures/mesh.ts';

const folder = join(process.env.DWM_SHARED ?? '../shared', 'fixtures/render_mesh');

test.skipIf(!existsSync(folder))('goldens of render_mesh (skipped, no shared data)', async () => {
  const device = await openNodeDevice();
  const checks = await checkMesh(device, folder);
  expect(checks.length).toBeGreaterThan(40);
  expect(checks.filter(({ error, tolerance }) => !(error <= tolerance))).toEqual([]);
  device.destroy();
});
