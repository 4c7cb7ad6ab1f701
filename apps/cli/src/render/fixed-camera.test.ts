import { expect, test } from 'vitest';
import { blackOutside, framesAtRate, place, placedIntrinsics, placementOf } from './fixed-camera.ts';

test('frames are picked as by the fps filter, and the last one is repeated', () => {
  const times = Array.from({ length: 30 }, (_, i) => 5 + i / 30);
  // round(8 i / 30) <= tick: 0, 0, 1, 1, 1, 1, 2, ...
  expect(framesAtRate(times, 8, 10)).toEqual([1, 5, 9, 13, 16, 20, 24, 28, 29, 29]);
  expect(framesAtRate([0, 1, 2], 2, 7)).toEqual([0, 0, 1, 1, 2, 2, 2]);
  expect(framesAtRate([3], 8, 3)).toEqual([0, 0, 0]);
});

const target = { width: 720, height: 480 };

test('auto says what the original says: its sums, its rounding', () => {
  // From the original's formulas in Python.
  expect(placementOf({ width: 1920, height: 1080 }, target, 'auto')).toMatchObject({
    mode: 'crop',
    loss: 0.1562499999999999,
  });
  expect(placementOf({ width: 640, height: 480 }, target, 'auto').mode).toBe('pad');
  expect(placementOf({ width: 1080, height: 1920 }, target, 'auto').mode).toBe('pad');
  expect(placementOf(target, target, 'auto')).toEqual({
    mode: 'pad',
    loss: 0,
    ...target,
    left: 0,
    top: 0,
  });
});

test('letterbox and cut put the picture, its camera and its outside in the same place', () => {
  const source = { width: 160, height: 90 };
  const out = { width: 72, height: 48 };
  // A white dot on black, 20 from the left and 30 from the top.
  const image = { ...source, data: new Uint8Array(160 * 90 * 3) };
  for (let y = 27; y < 33; y++)
    for (let x = 17; x < 23; x++) image.data.fill(255, (y * 160 + x) * 3, (y * 160 + x) * 3 + 3);
  for (const policy of ['pad', 'crop'] as const) {
    const placement = placementOf(source, out, policy);
    const placed = { ...out, data: new Uint8Array(72 * 48 * 3).fill(7) };
    place(image, placement, placed);
    const camera = placedIntrinsics({ ...source, fx: 100, fy: 100, cx: 20, cy: 30 }, placement, out);
    const [x, y] = [Math.floor(camera.cx), Math.floor(camera.cy)];
    expect(x >= 0 && x < 72 && y >= 0 && y < 48, policy).toBe(true);
    expect(placed.data[(y * 72 + x) * 3], policy).toBeGreaterThan(150);
    expect(placed.data.filter((value) => value > 40).length, policy).toBeLessThan(3 * 40);
    expect(camera.fx / camera.fy).toBeCloseTo(1, 1);

    const white = { ...out, data: new Uint8Array(72 * 48 * 3).fill(255) };
    blackOutside(white, placement);
    const lit = white.data.filter((value) => value > 0).length / 3;
    expect(lit).toBe(policy === 'pad' ? 72 * placement.height : 72 * 48);
  }
});
