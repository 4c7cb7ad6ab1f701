/**
 * How much a run may take, in GB, before the visitor says otherwise. Browsers do not tell a GPU's memory; the
 * machine's own, which they round and cap, is the only hint.
 */
export function memoryLimit(software: boolean): number {
  const { deviceMemory = 8 } = navigator as { deviceMemory?: number };
  return software ? Math.max(1, deviceMemory / 2) : Math.max(4, deviceMemory);
}
