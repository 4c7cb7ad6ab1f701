/** The device of a web page or worker: `navigator.gpu`. */
import { type Device, type OpenOptions, openAdapter } from './device.ts';
import { NoAdapterError } from './errors.ts';

/** @throws NoAdapterError when the browser has no WebGPU, or no adapter for it. */
export async function openBrowserDevice(options: OpenOptions = {}): Promise<Device> {
  if (!globalThis.navigator?.gpu) {
    throw new NoAdapterError(
      'this browser has no WebGPU here: use a current Chrome, Edge, Safari or Firefox, over https or localhost',
    );
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) {
    throw new NoAdapterError(
      'this browser found no WebGPU adapter: update the graphics driver, or see chrome://gpu (about:support in Firefox)',
    );
  }
  return openAdapter(adapter, options);
}
