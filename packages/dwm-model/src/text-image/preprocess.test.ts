import { expect, test } from 'vitest';
import { preprocess, readPreprocessing } from './preprocess.ts';
import { resizeBicubic } from './resize.ts';
import { madeUpPreprocessing } from './testing.ts';

/** One row of grey values at another width. */
const resizeRow = (values: number[], width: number) => {
  const data = Uint8Array.from(values.flatMap((value) => [value, value, value]));
  const resized = resizeBicubic({ data, height: 1, width: values.length }, 1, width);
  return [...resized.data].filter((_, i) => i % 3 === 0);
};

test('shrinking four pixels to two: a kernel over eight, of which those inside count', () => {
  // The left one's centre is 1, so pixels lie at -1/4, 1/4, 3/4 and 5/4 of the widened kernel, whose values there are
  // 111/128, 111/128, 29/128 and -9/128; their sum is 242/128.
  expect(resizeRow([255, 0, 0, 0], 2)).toEqual([Math.round((255 * 111) / 242), 0]);
  expect(resizeRow([0, 0, 100, 0], 2)).toEqual([Math.round((100 * 29) / 242), Math.round((100 * 111) / 242)]);
  // -9/242 of 200 below 100, and above.
  expect(resizeRow([100, 100, 100, 255], 2)[0]).toBe(Math.round(100 - (155 * 9) / 242));
  expect(resizeRow([0, 0, 0, 255], 2)[0]).toBe(0);
});

test('growing two pixels to four interpolates, and overshoots at the ends', () => {
  // Between the pixels the kernel is 111/128 and 29/128, outside them 111/128 and -9/128.
  expect(resizeRow([100, 200], 4)).toEqual(
    [
      (100 * 111 - 200 * 9) / 102,
      (100 * 111 + 200 * 29) / 140,
      (100 * 29 + 200 * 111) / 140,
      (200 * 111 - 100 * 9) / 102,
    ].map(Math.round),
  );
});

test('the bytes are those of Pillow 9.4', () => {
  const picture = { data: new Uint8Array(105), height: 5, width: 7 };
  for (let i = 0; i < 105; i++) {
    const [x, y, c] = [Math.floor(i / 3) % 7, Math.floor(i / 21), i % 3];
    picture.data[i] = 37 * x + 91 * y + 53 * c + 11 * x * y;
  }
  expect([...resizeBicubic(picture, 3, 4).data]).toEqual([
    ...[56, 114, 164, 129, 149, 146, 123, 149, 172, 159, 133, 122],
    ...[153, 143, 115, 140, 126, 119, 133, 118, 100, 116, 111, 130],
    ...[100, 157, 139, 112, 131, 97, 115, 134, 114, 88, 146, 132],
  ]);
  expect([...resizeBicubic(picture, 6, 9).data.subarray(0, 27)]).toEqual([
    ...[0, 48, 101, 18, 71, 124, 49, 102, 159, 78, 132, 194, 106, 169, 222],
    ...[143, 198, 255, 174, 244, 128, 204, 171, 25, 228, 3, 68],
  ]);
  expect(resizeBicubic(picture, 5, 7).data).toEqual(picture.data);
});

test('the middle of the picture, channel by channel, in units of the deviation', () => {
  const json = {
    ...madeUpPreprocessing(),
    size: 2,
    crop_size: 2,
    image_mean: [0, 0.5, 1],
    image_std: [1, 0.5, 2],
  };
  const preprocessing = readPreprocessing(json, 'p.json', 2);
  const data = Uint8Array.from({ length: 30 }, (_, i) => 5 * i);
  const wide = preprocess({ data, frames: 1, height: 2, width: 5 }, preprocessing);
  // Columns 1 and 2 of five: bytes 3 to 8 of a row of fifteen.
  const want = [3, 6, 18, 21].flatMap((i) => [0, 1, 2].map((c) => (5 * (i + c)) / 255));
  for (let p = 0; p < 4; p++) {
    expect(wide[p]).toBeCloseTo(want[3 * p], 6);
    expect(wide[4 + p]).toBeCloseTo((want[3 * p + 1] - 0.5) / 0.5, 6);
    expect(wide[8 + p]).toBeCloseTo((want[3 * p + 2] - 1) / 2, 6);
  }
  const tall = preprocess(
    { data: new Uint8Array(45).fill(51), frames: 1, height: 5, width: 3 },
    preprocessing,
  );
  expect([...tall.subarray(0, 4)].map((value) => Math.round(value * 1e6))).toEqual(
    new Array(4).fill(200_000),
  );
});
