/**
 * Lets libraries made for browsers find WebGPU in this process: `navigator.gpu` gives out one adapter whose only
 * device is the benchmark's. So all of them run on the same device, queue and driver.
 */
import type { Device } from '@dwm/core-tensor';

export function shareDevice({ gpu, caps }: Device): void {
  const { vendor, architecture, device, description, isFallback } = caps.adapter;
  const adapter = {
    features: gpu.features,
    limits: gpu.limits,
    info: { vendor, architecture, device, description, isFallbackAdapter: isFallback },
    requestDevice: async () => gpu,
  };
  const browser = {
    gpu: {
      requestAdapter: async () => adapter,
      getPreferredCanvasFormat: () => 'bgra8unorm',
      wgslLanguageFeatures: new Set<string>(),
    },
    userAgent: 'node',
    platform: process.platform,
    hardwareConcurrency: 1,
  };
  Object.defineProperty(globalThis, 'navigator', { value: browser, configurable: true });
  copySharedMemory(gpu.queue);
}

/** onnxruntime-web writes out of shared memory, which Dawn's Node binding does not take. */
function copySharedMemory(queue: GPUQueue): void {
  const write = queue.writeBuffer.bind(queue) as (...args: unknown[]) => undefined;
  queue.writeBuffer = (buffer: GPUBuffer, at: number, data: unknown, ...range: number[]) => {
    if (!(data instanceof Uint8Array && data.buffer instanceof SharedArrayBuffer))
      return write(buffer, at, data, ...range);
    const [from = 0, size = data.length - from] = range;
    return write(buffer, at, new Uint8Array(data.subarray(from, from + size)));
  };
}
