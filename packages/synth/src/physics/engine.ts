/** Rapier, loaded when it is first needed: its WebAssembly is part of the package's script, which is large. */
import type RAPIER from '@dimforge/rapier3d-compat';

let loading: Promise<typeof RAPIER> | undefined;

async function load(): Promise<typeof RAPIER> {
  const { default: engine } = await import('@dimforge/rapier3d-compat');
  await engine.init();
  return engine;
}

export function loadEngine(): Promise<typeof RAPIER> {
  loading ??= load();
  return loading;
}
