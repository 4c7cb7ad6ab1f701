/** Rapier, loaded once: its WebAssembly is part of the package, so nothing is fetched. */
import RAPIER from '@dimforge/rapier3d-compat';

let loading: Promise<void> | undefined;

export async function loadEngine(): Promise<typeof RAPIER> {
  loading ??= RAPIER.init();
  await loading;
  return RAPIER;
}
