// For tests: a process that loads this first has a disk that is full from its n-th write on, $DWM_FULL_AT, 1 for the
// first. How many it made is written into $DWM_FULL_COUNT. What only names or removes files works on a full disk.
import fs from 'node:fs';
import promises, { open } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const at = Number(process.env.DWM_FULL_AT ?? Number.POSITIVE_INFINITY);
let writes = 0;

/** Caches and records of locks are left in peace: neither is what a command is run for. */
function write(target) {
  if (typeof target === 'string' && /\.lock|node_modules/.test(target)) return;
  writes++;
  if (process.env.DWM_FULL_COUNT) fs.writeFileSync(process.env.DWM_FULL_COUNT, String(writes));
  if (writes < at) return;
  throw Object.assign(new Error('ENOSPC: no space left on device, write'), {
    ...{ code: 'ENOSPC', errno: -28, syscall: 'write' },
  });
}

const handle = await open(import.meta.filename);
const proto = Object.getPrototypeOf(handle);
await handle.close();
for (const name of ['write', 'writev', 'writeFile', 'appendFile']) {
  const real = proto[name];
  proto[name] = async function (...given) {
    write();
    return real.apply(this, given);
  };
}
for (const name of ['writeFile', 'appendFile', 'copyFile', 'mkdir']) {
  const real = promises[name];
  promises[name] = async (...given) => {
    if (name === 'mkdir' && fs.existsSync(given[0])) return real(...given);
    write(given[0]);
    return real(...given);
  };
}
syncBuiltinESMExports();
