#!/usr/bin/env node
// The `dwm` command: the TypeScript sources run as they are, through tsx, in this very process, so signals
// and exit codes need no forwarding. No adapter has to be set up first: see core-tensor's node/device.
import { register } from 'tsx/esm/api';

register();
await import('../src/main.ts');
