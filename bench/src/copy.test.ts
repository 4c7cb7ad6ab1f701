import { openNodeDevice } from '@dwm/core-tensor/node';
import { expect, test } from 'vitest';
import { measureBesideCopy } from './copy.ts';

test('a copy takes its turns beside what is measured, and stands apart from it', async () => {
  const device = await openNodeDevice();
  const sets: number[] = [];
  const { measurements, copyGBps } = await measureBesideCopy(
    device,
    {
      cost: { flops: 1, bytes: 1 << 20 },
      expected: { at: [0], values: [1] },
      sets: 2,
      contenders: [
        {
          ...{ peer: 'a', formulation: 'only', runsOn: 'shared' },
          prepare: async () => ({
            run: async (set) => void sets.push(set),
            read: async () => Float32Array.of(1),
            dispose: async () => {},
          }),
        },
      ],
    },
    1,
    7,
  );
  expect(measurements.map(({ contender }) => contender.peer)).toEqual(['a']);
  expect(sets.length).toBeGreaterThan(3);
  expect(copyGBps).toBeGreaterThan(0.05);
  expect(copyGBps).toBeLessThan(1e5);
  expect(device.memory).toMatchObject({ allocated: 0, buffers: 0 });
  device.destroy();
});
