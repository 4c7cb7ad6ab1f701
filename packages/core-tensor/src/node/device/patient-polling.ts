/**
 * Dawn's Node binding waits by asking in every turn of the event loop, through the global `setImmediate`: a whole
 * core, which a software adapter would compute with. Here it asks at once for half a millisecond, and then once a
 * millisecond. Everyone else's `setImmediate` is as it was.
 */

/** Milliseconds of asking at every turn: small work is done by then. */
const EAGER = 0.5;
/** A poll this long after the last one begins another wait. */
const PAUSE = 5;

/** Dawn's callback is the only native function without a name that is ever scheduled. */
const isDawns = (callback: (...args: never[]) => void): boolean =>
  callback.name === '' && Function.prototype.toString.call(callback).endsWith('{ [native code] }');

let installed = false;

export function pollPatiently(): void {
  if (installed) return;
  installed = true;
  const immediate = globalThis.setImmediate;
  let began = 0;
  let last = Number.NEGATIVE_INFINITY;
  const patient = ((callback: (...args: unknown[]) => void, ...args: unknown[]) => {
    if (!isDawns(callback)) return immediate(callback, ...args);
    const now = performance.now();
    if (now - last > PAUSE) began = now;
    last = now;
    return now - began < EAGER ? immediate(callback, ...args) : setTimeout(callback, 1, ...args);
  }) as typeof setImmediate;
  globalThis.setImmediate = Object.assign(patient, { __promisify__: immediate.__promisify__ });
}
