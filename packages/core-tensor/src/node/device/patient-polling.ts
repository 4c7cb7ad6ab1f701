/**
 * Dawn's Node binding waits by asking in every turn of the event loop, through the global `setImmediate`: a whole
 * core, which a software adapter would compute with. Here it asks at once for half a millisecond after work was submitted, and
 * then once a millisecond. Everyone else's `setImmediate` is as it was.
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
  let submitted = Number.NEGATIVE_INFINITY;
  const { submit } = GPUQueue.prototype;
  GPUQueue.prototype.submit = function (commands) {
    submitted = performance.now();
    return submit.call(this, commands);
  };
  const patient = ((callback: (...args: unknown[]) => void, ...args: unknown[]) =>
    !isDawns(callback) || performance.now() - submitted < EAGER
      ? immediate(callback, ...args)
      : setTimeout(callback, 1, ...args)) as typeof setImmediate;
  globalThis.setImmediate = Object.assign(patient, { __promisify__: immediate.__promisify__ });
}
