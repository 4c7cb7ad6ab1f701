/** Every implementation that is measured, ours first. */
import type { Device } from '@dwm/core-tensor';
import { dwm } from './dwm.ts';
import type { Implementation } from './implementation.ts';
import { jaxJs } from './jax-js.ts';
import { onnxruntimeNodeCpu, onnxruntimeNodeWebgpu } from './onnxruntime-node.ts';
import { onnxruntimeWeb } from './onnxruntime-web.ts';
import { tfjs } from './tfjs.ts';

export type { Implementation, Prepared } from './implementation.ts';
export { dwm, jaxJs, tfjs };

export const WEBGPU_PEERS: readonly Implementation[] = [onnxruntimeNodeWebgpu, onnxruntimeWeb, tfjs, jaxJs];
export const CPU_PEERS: readonly Implementation[] = [onnxruntimeNodeCpu];

const loads = new Map<Implementation, Promise<void>>();

/** Loads an implementation once. A failure is remembered, and thrown for every later use. */
export function loaded(implementation: Implementation, device: Device): Promise<void> {
  let load = loads.get(implementation);
  if (!load) {
    load = implementation.load(device);
    load.catch(() => {});
    loads.set(implementation, load);
  }
  return load;
}
