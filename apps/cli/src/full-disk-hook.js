// For tests: a process that loads this first has a disk that is full from its n-th write on, $DWM_FULL_AT, 1 for the
// first. How many it made is written into $DWM_FULL_COUNT. What only names or removes files works on a full disk.
import fs from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const at = Number(process.env.DWM_FULL_AT ?? Number.POSITIVE_INFINITY);
let writes = 0;

/** Caches and records of locks are left in peace: neither is what a command is run for. */
const SPARED = [/\.lock|node_modules/, ...(process.env.DWM_FULL_SPARES ? [process.env.DWM_FULL_SPARES] : [])];
const isSpared = (target) =>
  typeof target === 'string' &&
  SPARED.some((spared) => (typeof spared === 'string' ? target.startsWith(spared) : spared.test(target)));

function write(target) {
  if (isSpared(target)) return;
  writes++;
  if (process.env.DWM_FULL_COUNT) fs.writeFileSync(process.env.DWM_FULL_COUNT, String(writes));
  if (writes < at) return;
  throw Object.assign(new Error('ENOSPC: no space left on device, write'), {
    ...{ code: 'ENOSPC', errno: -28, syscall: 'write' },
  });
}

const realOpen = promises.open;
const handle = await realOpen(import.meta.filename);
const proto = Object.getPrototypeOf(handle);
await handle.close();
const paths = new WeakMap();
const forWriting = (flags) =>
  typeof flags === 'number' ? (flags & fs.constants.O_CREAT) !== 0 : /[wax]/.test(flags);
promises.open = async (path, flags = 'r', ...given) => {
  // A new file takes room of its own.
  if (forWriting(flags)) write(path);
  const opened = await realOpen(path, flags, ...given);
  paths.set(opened, path);
  return opened;
};
for (const name of ['write', 'writev', 'writeFile', 'appendFile']) {
  const real = proto[name];
  proto[name] = async function (...given) {
    write(paths.get(this));
    return real.apply(this, given);
  };
}
for (const name of ['writeFile', 'appendFile', 'copyFile', 'cp', 'mkdir']) {
  const real = promises[name];
  promises[name] = async (...given) => {
    if (name === 'mkdir' && fs.existsSync(given[0])) return real(...given);
    write(given[name === 'copyFile' || name === 'cp' ? 1 : 0]);
    return real(...given);
  };
}
syncBuiltinESMExports();
