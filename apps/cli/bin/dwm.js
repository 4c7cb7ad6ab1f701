#!/usr/bin/env node
// The `dwm` command, run in this very process, so signals and exit codes need no forwarding. No adapter has to be set
// up first: see core-tensor's node/device.
import { existsSync } from 'node:fs';

// In the published package the sources are compiled; in the repository they run as they are.
const compiled = new URL('../dist/main.js', import.meta.url);
const main = existsSync(compiled) ? compiled.href : await fromSources();
// Faults of ours show lines of the sources.
process.setSourceMapsEnabled(true);
await import(main);

async function fromSources() {
  try {
    return await (await import('./bundle.js')).bundled();
  } catch {
    // The bundle cannot be kept here: the sources start slowly.
    const { register } = await import('tsx/esm/api');
    register();
    return new URL('../src/main.ts', import.meta.url).href;
  }
}
