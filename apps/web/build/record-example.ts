/**
 * Records `src/example.mp4`: the first room's run, made by the built page itself in Chromium. To be run after the
 * default model has changed: `npm run build && npm run example --workspace apps/web`.
 */
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { launchChromium } from '../../../tools/chromium/browser.ts';
import { serveFiles } from '../../../tools/chromium/file-server.ts';

const APP = join(import.meta.dirname, '..');
const PATIENCE = 1_200_000;

const server = await serveFiles({ '/': join(APP, 'dist') });
const browser = await launchChromium();
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.goto(`${server.origin}/`);
  await page.getByRole('button', { name: 'Generate', disabled: false }).click();
  await page.locator('[data-pane=generated] small', { hasText: 'seed' }).waitFor();
  await page.getByText('Take away').click();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Video (mp4)' }).click();
  await copyFile(await (await download).path(), join(APP, 'src/example.mp4'));
} finally {
  await browser.close();
  await server.close();
}
