/**
 * What is known of a device's kernels. Some drivers compute kernels for matrix units, or in f16, wrongly, or rightly
 * only once: what someone with the device found so (`Trial`) is left out of every choice.
 */
import type { DeviceCaps } from './caps.ts';
import type { Choice } from './choices.ts';

/** By kernel: null where it is right on this device, else what is wrong. */
export type Verdicts = Map<string, string | null>;

const byDevice = new WeakMap<DeviceCaps, Verdicts>();

/** The verdicts on the device with these caps, to be read and added to. */
export function verdictsOf(caps: DeviceCaps): Verdicts {
  let verdicts = byDevice.get(caps);
  if (!verdicts) {
    verdicts = new Map();
    byDevice.set(caps, verdicts);
  }
  return verdicts;
}

/** E.g. `matmul matrix side=2 config=1`. */
export const kernelName = (family: string, { variant, tuning }: Choice): string =>
  [family, variant, ...Object.entries(tuning ?? {}).map(([name, value]) => `${name}=${value}`)].join(' ');
