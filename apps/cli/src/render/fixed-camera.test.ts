import { expect, test } from 'vitest';
import {
  blackOutside,
  framesAtRate,
  place,
  placedIntrinsics,
  placementOf,
  ticksFilled,
} from './fixed-camera.ts';

/** FFmpeg 5.1's, by `-vf setpts=PTS-STARTPTS,fps=FPS,tpad=stop_mode=clone:stop_duration=…`, of videos whose pictures were their numbers. */
test.each([
  {
    // The end, 2.669 s, is rounded down to 21 ticks: frames 77 to 79 are never shown.
    times: Array.from({ length: 80 }, (_, k) => (k * 1001) / 30000),
    last: 1001 / 30000,
    fps: 8,
    frames: 24,
    shown: [1, 5, 9, 13, 16, 20, 24, 28, 31, 35, 39, 43, 46, 50, 54, 58, 61, 65, 69, 73, 76, 76, 76, 76],
  },
  {
    // Every fourth frame lies halfway between two ticks.
    times: Array.from({ length: 90 }, (_, k) => k / 24),
    last: 1 / 24,
    fps: 6,
    frames: 25,
    shown: [1, 5, 9, 13, 17, 21, 25, 29, 33, 37, 41, 45, 49, 53, 57, 61, 65, 69, 73, 77, 81, 85, 89, 89, 89],
  },
  {
    times: Array.from({ length: 13 }, (_, k) => k / 24),
    last: 1 / 24,
    fps: 8,
    frames: 6,
    shown: [1, 4, 7, 10, 10, 10],
  },
  {
    times: Array.from({ length: 8 }, (_, k) => k / 50),
    last: 1 / 50,
    fps: 12,
    frames: 4,
    shown: [2, 6, 6, 6],
  },
  {
    // Uneven times; the last frame's own duration decides, not the mean.
    times: [0, 63, 188, 250, 313, 375, 438, 500, 563, 625, 688, 750, 813, 875, 938, 1000, 1063, 1125].map(
      (t) => t / 1000,
    ),
    last: 0.062,
    fps: 8,
    frames: 12,
    shown: [0, 1, 3, 5, 7, 9, 11, 13, 15, 15, 15, 15],
  },
  {
    times: [0, 1 / 24, 3 / 24, 4 / 24, 5 / 24],
    last: 1 / 24,
    fps: 12,
    frames: 5,
    shown: [0, 1, 3, 3, 3],
  },
])('frames are picked as by the fps filter, and what it shows last is repeated: %#', (golden) => {
  const { times, last, fps, frames, shown } = golden;
  expect(framesAtRate(times, last, fps, frames)).toEqual(shown);
  // Where the video begins does not matter.
  expect(
    framesAtRate(
      times.map((time) => time + 5),
      last,
      fps,
      frames,
    ),
  ).toEqual(shown);
});

test('a video of less than half a tick is its first tick', () => {
  expect(framesAtRate([3], 0.01, 8, 3)).toEqual([0, 0, 0]);
  expect(ticksFilled([3], 0.01, 8)).toBe(1);
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
