import { seeded } from '@dwm/core-tensor/testing';
import { expect, test } from 'vitest';
import { drawText } from './font.ts';
import type { Frames, RgbImage } from './frames.ts';
import { contactSheet, resizeArea, sideBySide } from './sheet.ts';

/** Frame f is filled with the value f. */
function counting(frames: number, height: number, width: number): Frames {
  const data = new Uint8Array(frames * height * width * 3);
  for (let f = 0; f < frames; f++) data.fill(f, f * height * width * 3, (f + 1) * height * width * 3);
  return { data, frames, height, width, fps: 8 };
}

const red = (image: RgbImage, row: number, column: number) => image.data[(row * image.width + column) * 3];

test('a strip shows evenly spaced frames, the first and the last included', () => {
  const sheet = contactSheet([{ label: 'x', frames: counting(49, 20, 30) }], { columns: 5, cellWidth: 30 });
  const cells = [0, 1, 2, 3, 4].map((column) => red(sheet, sheet.height - 10, 4 + column * 34 + 15));
  expect(cells).toEqual([0, 12, 24, 36, 48]);
});

test('rows may differ in size and length, and their moments stay aligned', () => {
  const sheet = contactSheet(
    [
      { label: 'long', frames: counting(10, 20, 20) },
      { label: 'short', frames: counting(2, 40, 20) },
    ],
    { columns: 4, cellWidth: 20 },
  );
  expect(sheet.width).toBe(4 * 24 + 4);
  const shortRow = [0, 1, 2, 3].map((column) => red(sheet, sheet.height - 20, 4 + column * 24 + 10));
  expect(shortRow).toEqual([0, 0, 1, 1]);
});

test('no more columns than frames', () => {
  expect(contactSheet([{ label: '', frames: counting(3, 8, 8) }], { cellWidth: 8 }).width).toBe(3 * 12 + 4);
});

test('a title stands above, broken between words, and moves nothing else', () => {
  const rows = [{ label: 'row', frames: counting(2, 20, 60) }];
  const plain = contactSheet(rows, { cellWidth: 60 });
  // 132 pixels hold 10 letters.
  const titled = contactSheet(rows, { cellWidth: 60, title: 'the top drawer is open' });
  const added = titled.height - plain.height;
  expect(added).toBe(3 * (7 * 2 + 2 * 4));
  expect(titled.data.subarray(added * 132 * 3)).toEqual(plain.data);
  const line = (words: string) => {
    const image: RgbImage = { data: new Uint8Array(22 * 132 * 3).fill(32), height: 22, width: 132 };
    drawText(image, words, 4, 4, 2);
    return [...image.data];
  };
  expect([...titled.data.subarray(0, added * 132 * 3)]).toEqual(
    ['the top', 'drawer is', 'open'].flatMap(line),
  );
});

test('text is drawn in dots of the scale, clipped at the edge', () => {
  const image: RgbImage = { data: new Uint8Array(16 * 14 * 3), height: 14, width: 16 };
  drawText(image, 'lL', 0, 0, 2);
  const ink = (row: number) =>
    Array.from({ length: 16 }, (_, x) => (red(image, row, x) ? '#' : '.')).join('');
  expect(ink(0)).toBe('##..........##..');
  expect(ink(13)).toBe('##########..####');
});

test('area resizing keeps the mean, and a whole ratio is the block mean', () => {
  const random = seeded(3);
  const image: RgbImage = {
    data: new Uint8Array(30 * 42 * 3).map(() => Math.floor(random() * 256)),
    height: 30,
    width: 42,
  };
  const mean = (data: Uint8Array) => data.reduce((sum, value) => sum + value, 0) / data.length;
  expect(mean(resizeArea(image, 11, 13).data)).toBeCloseTo(mean(image.data), 0);
  const half = resizeArea(image, 15, 21);
  const block = (red(image, 4, 6) + red(image, 4, 7) + red(image, 5, 6) + red(image, 5, 7)) / 4;
  expect(Math.abs(red(half, 2, 3) - block)).toBeLessThanOrEqual(0.5);
  expect(resizeArea(image, 30, 42).data).toEqual(image.data);
});

test('sideBySide sets clips next to one another', () => {
  const a = counting(3, 2, 2);
  const b = { ...counting(3, 2, 3), data: counting(3, 2, 3).data.map((value) => 100 + value) };
  const wide = sideBySide([a, b]);
  expect([wide.frames, wide.height, wide.width, wide.fps]).toEqual([3, 2, 5, 8]);
  expect([...wide.data.subarray(30, 45)].filter((_, i) => i % 3 === 0)).toEqual([1, 1, 101, 101, 101]);
});

test('clips that do not fit together are refused by name', () => {
  expect(() => sideBySide([counting(3, 2, 2), counting(4, 2, 2)])).toThrow(
    /clips\[1\]: has 4 frames.*expected 3/,
  );
  expect(() => contactSheet([])).toThrow(/rows: is empty/);
});
