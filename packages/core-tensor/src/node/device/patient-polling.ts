/**
 * Dawn's Node binding waits by asking in every turn of the event loop, through the global `setImmediate`: a whole
 * core, which a software adapter would compute with. Here every question waits a quarter as long again as the work has
 * taken so far: asleep, for an event loop that turns keeps a core from the adapter's threads just when they are woken
 * and placed, and from a millisecond on by a timer. Everyone else's `setImmediate` is as it was.
 */

/** The shortest timer, in milliseconds. */
const TIMER = 1;
const SHARE = 1 / 4;

/** Dawn's callback is the only native function without a name that is ever scheduled. */
const isDawns = (callback: (...args: never[]) => void): boolean =>
  callback.name === '' && Function.prototype.toString.call(callback).endsWith('{ [native code] }');

/** Never changes: waiting for it is sleep. */
const never = new Int32Array(new SharedArrayBuffer(4));

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
  // The verdict on calls is there at once, however much work they submitted.
  let answered = false;
  const { popErrorScope } = GPUDevice.prototype;
  GPUDevice.prototype.popErrorScope = function () {
    answered = true;
    return popErrorScope.call(this);
  };
  const patient = ((callback: (...args: unknown[]) => void, ...args: unknown[]) => {
    if (!isDawns(callback)) return immediate(callback, ...args);
    if (answered) {
      answered = false;
      return immediate(callback, ...args);
    }
    const waited = performance.now() - submitted;
    if (waited > TIMER) return setTimeout(callback, TIMER, ...args);
    Atomics.wait(never, 0, 0, SHARE * waited);
    return immediate(callback, ...args);
  }) as typeof setImmediate;
  globalThis.setImmediate = Object.assign(patient, { __promisify__: immediate.__promisify__ });
}
