/**
 * Chromium for tests: Debian's, or the one that `CHROMIUM` names, headless, with WebGPU on SwiftShader so that any
 * machine gives the same pictures. Debian's build brings its own SwiftShader.
 */
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** What to print where tests are skipped for want of a browser. */
export const NO_CHROMIUM = 'skipped, no Chromium: apt-get install chromium, or set CHROMIUM to its path';

export function findChromium(): string | undefined {
  const named = process.env.CHROMIUM;
  return [...(named ? [named] : []), ...PLACES].find(existsSync);
}

export interface LaunchOptions {
  /** `false` takes WebGPU away, as in a browser that has none. */
  readonly webgpu?: boolean;
  readonly flags?: readonly string[];
}

/** @throws Error where there is no Chromium; ask `findChromium` before. */
export function launchChromium({ webgpu = true, flags = [] }: LaunchOptions = {}): Promise<Browser> {
  const executablePath = findChromium();
  if (!executablePath) throw new Error(NO_CHROMIUM);
  const gpu = webgpu
    ? ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader']
    : ['--disable-features=WebGPU,WebGPUService', '--disable-gpu', '--disable-webgpu'];
  return chromium.launch({
    executablePath,
    // Playwright's own headless flag asks for the old mode, which has no WebGPU.
    headless: false,
    args: ['--headless=new', '--no-sandbox', ...gpu, ...flags],
  });
}
