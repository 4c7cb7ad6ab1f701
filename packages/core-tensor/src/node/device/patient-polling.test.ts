import { expect, test, vi } from 'vitest';
import { compile, matmul, spec } from '../../index.ts';
import { openNodeDevice } from './open.ts';

// What is left of Dawn's questions for the event loop's own setImmediate, which the first device to open puts its own over.
let immediates = 0;
const immediate = globalThis.setImmediate;
const counting = (callback: (...args: unknown[]) => void, ...args: unknown[]) => {
  immediates++;
  return immediate(callback, ...args);
};
globalThis.setImmediate = Object.assign(counting as typeof immediate, {
  __promisify__: immediate.__promisify__,
});

test('a software adapter is asked rarely in the first millisecond too', async () => {
  const device = await openNodeDevice();
  const size = 512;
  const program = await compile(device, { a: spec([size, size]) }, ({ a }) => ({ out: matmul(a, a) }));
  await program.run({ a: new Float32Array(size * size) });
  await device.done();
  const RUNS = 10;
  immediates = 0;
  for (let run = 0; run < RUNS; run++) {
    await program.run({ a: new Float32Array(size * size) });
    await device.done();
  }
  // From 5 us on, each a quarter later than the last: 24 up to a millisecond.
  if (device.caps.adapter.kind === 'software') expect(immediates).toBeLessThanOrEqual(24 * RUNS);
  device.destroy();
});

test('from a millisecond on, a software adapter is asked by timers alone', async () => {
  const device = await openNodeDevice();
  const size = 1024;
  const program = await compile(device, { a: spec([size, size]) }, ({ a }) => ({
    out: matmul(matmul(a, a), a),
  }));
  await program.run({ a: new Float32Array(size * size) });
  await device.done();
  let turns = 0;
  let waiting = true;
  // Other code's immediates still come at every turn.
  const count = () => {
    turns++;
    if (waiting) setTimeout(() => setImmediate(count), 1);
  };
  const timers = vi.spyOn(globalThis, 'setTimeout');
  immediates = 0;
  setImmediate(count);
  await program.run({ a: new Float32Array(size * size) });
  await device.done();
  waiting = false;
  expect(turns).toBeGreaterThan(3);
  const asked = timers.mock.calls.filter(([callback]) => String(callback).endsWith('{ [native code] }'));
  timers.mockRestore();
  if (device.caps.adapter.kind === 'software') {
    expect(asked.length).toBeGreaterThan(5);
    for (const [, milliseconds] of asked) expect(milliseconds).toBeGreaterThanOrEqual(1);
    // However long the work takes: the first millisecond's questions for the run, and for `done`.
    expect(immediates - turns).toBeLessThanOrEqual(2 * 24);
  }
  device.destroy();
});
