/**
 * Dawn's Node binding waits by asking in every turn of the event loop, through the global `setImmediate`: a whole
 * core, which a software adapter would compute with. Here it asks at once for half a millisecond, and then once a
 * millisecond. Everyone else's `setImmediate` is as it was.
 */

/** Milliseconds of asking at every turn: small work is done by then. */
const EAGER = 0.5;

/** Dawn's callback is the only native function without a name that is ever scheduled. */
const isDawns = (callback: (...args: never[]) => void): boolean =>
  callback.name === '' && Function.prototype.toString.call(callback).endsWith('{ [native code] }');

let installed = false;

export function pollPatiently(): void {
  if (installed) return;
  installed = true;
  const immediate = globalThis.setImmediate;
  let began = 0;
  // Dawn asks for its next turn out of the turn before; a request from anywhere else begins another wait.
  let asking = false;
  const patient = ((callback: (...args: unknown[]) => void, ...args: unknown[]) => {
    if (!isDawns(callback)) return immediate(callback, ...args);
    if (!asking) began = performance.now();
    const ask = () => {
      asking = true;
      try {
        callback(...args);
      } finally {
        asking = false;
      }
    };
    return performance.now() - began < EAGER ? immediate(ask) : setTimeout(ask, 1);
  }) as typeof setImmediate;
  globalThis.setImmediate = Object.assign(patient, { __promisify__: immediate.__promisify__ });
}
