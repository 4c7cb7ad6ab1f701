#!/usr/bin/env node
// The `dwm` command, run in this very process, so signals and exit codes need no forwarding. No adapter has to be set
// up first: see core-tensor's node/device.
import { bundled } from './bundle.js';

const main = await bundled().catch(async () => {
  // The bundle cannot be kept here: the sources run as they are, and start slowly.
  const { register } = await import('tsx/esm/api');
  register();
  return new URL('../src/main.ts', import.meta.url).href;
});
// Faults of ours show lines of the sources.
process.setSourceMapsEnabled(true);
await import(main);
