import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { interruptible } from './interrupt.ts';

test('a signal ends all that wait at a time, however many, and Node warns of nothing', async () => {
  const warnings: Error[] = [];
  const listen = (warning: Error) => warnings.push(warning);
  process.on('warning', listen);
  const ended = await interruptible((signal) => {
    const pauses = Array.from({ length: 16 }, () => sleep(600_000, undefined, { signal }));
    process.emit('SIGTERM');
    return Promise.allSettled(pauses);
  });
  // A warning comes a tick later.
  await sleep(0);
  process.off('warning', listen);
  expect(ended.map(({ status }) => status)).toEqual(Array(16).fill('rejected'));
  expect(warnings).toEqual([]);
});
