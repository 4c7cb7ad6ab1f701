import { expect, test } from 'vitest';
import { checkNumber, checkSettings, LIMITS, MEMORY, ROOM_NUMBER } from './limits.ts';

test('nonsense is refused in one line that names the field, what it takes and what it got', () => {
  for (const value of [Number.NaN, -1, 1e99, 0.5, Number.POSITIVE_INFINITY, undefined, '7', 2 ** 32])
    expect(() => checkNumber(ROOM_NUMBER, value)).toThrow(
      /^Room number: expected a whole number from 0 to \d+, got /,
    );
  expect(() => checkNumber(LIMITS.frames, 18)).toThrow(
    'Frames: expected one more than a multiple of 4 from 5 to 97, got 18',
  );
  expect(() => checkNumber(MEMORY, 0)).toThrow('Memory, GB: expected a number from 0.001 to 512, got 0');
  expect(() => checkSettings({ steps: 0 })).toThrow('Steps');
  expect(() => checkSettings({ width: 100 })).toThrow(
    'Width: expected a multiple of 16 from 32 to 1440, got 100',
  );
  expect(() => checkSettings({ width: 1440, height: 1440, frames: 97 })).toThrow(
    /^Width × height × frames: expected at most 40000000 pixels, got 201139200/,
  );
  expect(() => checkSettings({ seed: Number.NaN })).toThrow('Seed: expected a whole number');
});

test('what models are made for passes', () => {
  checkSettings({
    width: 720,
    height: 480,
    frames: 49,
    fps: 8,
    steps: 50,
    guidance: 6,
    seed: 42,
    prompt: '',
  });
  checkSettings({ width: 96, height: 64, frames: 17, steps: 1, guidance: 1, composite: true });
  expect(checkNumber(ROOM_NUMBER, 1_000_000)).toBe(1_000_000);
});
