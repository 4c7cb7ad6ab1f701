import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { beforeEach, describe, expect, test } from 'vitest';
import { placedCamera } from '../src/camera/index.ts';
import { readSplatFile } from '../src/node/splat-file.ts';
import { readSplatImage, SplatRenderer, SplatScene } from '../src/splats/index.ts';
import { checkSplats, rmsDifference } from './fixtures/splats.ts';

const shared = process.env.DWM_SHARED ?? '../shared';
const goldens = join(shared, 'fixtures/render_splats');
const assets = join(shared, 'assets');

beforeEach(({ skip }) => skip(!existsSync(goldens), 'skipped, no shared data'));

test('goldens of render_splats', async () => {
  const device = await openNodeDevice();
  const checks = await checkSplats(device, goldens);
  expect(checks.length).toBeGreaterThan(40);
  for (const { name, error, tolerance } of checks) expect(error, name).toBeLessThanOrEqual(tolerance);
  device.destroy();
});

describe('the same splats in other formats', () => {
  // As the 3-point files and playbot show, colours and higher harmonics of .spz are the coarsest.
  test('playbot is the same picture', async () => {
    const device = await openNodeDevice();
    const renderer = new SplatRenderer(device);
    const side = { width: 320, height: 240, fx: 270, fy: 270, cx: 160, cy: 120 };
    // Its y axis points down: the camera is turned upside down.
    const view = { intrinsics: side, pose: placedCamera('opengl', [0, -0.4, -2.6], [1, 0, 0, 0]) };
    const picture = async (file: string) => {
      const scene = new SplatScene(device, await readSplatFile(join(assets, file)));
      const image = await renderer.render(scene, view, { background: [1, 1, 1] });
      const { rgb, alpha } = await readSplatImage(device, image);
      for (const held of [image, scene]) held.destroy();
      expect(alpha.filter((value) => value > 0.9).length).toBeGreaterThan(3000);
      return rgb;
    };
    const exact = await picture('playbot.ply');
    for (const file of ['playbot.compressed.ply', 'playbot.spz']) {
      const decibels = -20 * Math.log10(rmsDifference(await picture(file), exact));
      console.log(`${file} against playbot.ply: ${decibels.toFixed(2)} dB`);
      expect(decibels, file).toBeGreaterThan(35);
    }
    device.destroy();
  });
});
