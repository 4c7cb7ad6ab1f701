import { performance } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { compile, matmul, spec } from '../../index.ts';
import { openNodeDevice } from './open.ts';

test('waiting for a software adapter leaves the cores to it', async () => {
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
  const before = performance.eventLoopUtilization();
  setImmediate(count);
  await program.run({ a: new Float32Array(size * size) });
  await device.done();
  waiting = false;
  const { utilization } = performance.eventLoopUtilization(before);
  expect(turns).toBeGreaterThan(3);
  if (device.caps.adapter.kind === 'software') expect(utilization).toBeLessThan(0.6);
  device.destroy();
});
