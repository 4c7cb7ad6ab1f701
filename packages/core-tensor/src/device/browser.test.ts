import { afterEach, expect, test, vi } from 'vitest';
import { create, globals } from 'webgpu';
import { openBrowserDevice } from './browser.ts';
import { NoAdapterError } from './errors.ts';

afterEach(() => vi.unstubAllGlobals());

test('a page opens what navigator.gpu has', async () => {
  Object.assign(globalThis, globals);
  vi.stubGlobal('navigator', { gpu: create(['backend=null']) });
  const device = await openBrowserDevice({ limits: { maxBufferSize: 2 ** 20 } });
  expect(device.caps.features.f16).toBe(true);
  expect(device.caps.limits.maxBufferSize).toBe(2 ** 20);
  expect(device.memory.limit).toBe(Number.POSITIVE_INFINITY);
  device.destroy();
});

test('a page without WebGPU, or without an adapter, is told so', async () => {
  vi.stubGlobal('navigator', {});
  await expect(openBrowserDevice()).rejects.toThrow(NoAdapterError);
  vi.stubGlobal('navigator', { gpu: { requestAdapter: async () => null } });
  await expect(openBrowserDevice()).rejects.toThrow(/no WebGPU adapter: update the graphics driver/);
});
