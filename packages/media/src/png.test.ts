import { seeded } from '@dwm/core-tensor/testing';
import { PNG } from 'pngjs';
import { expect, test } from 'vitest';
import { encodeGrey16Png, encodePng } from './png.ts';

for (const [height, width] of [
  [1, 1],
  [37, 53],
  [480, 720],
]) {
  test(`${height}x${width} noise comes back exactly through another decoder`, async () => {
    const random = seeded(width);
    const data = new Uint8Array(height * width * 3).map(() => Math.floor(random() * 256));
    const png = PNG.sync.read(Buffer.from(await encodePng({ data, height, width })));
    expect([png.height, png.width]).toEqual([height, width]);
    expect(Buffer.compare(Uint8Array.from(png.data.filter((_, i) => i % 4 !== 3)), data)).toBe(0);
  });
}

test('the same picture gives the same bytes', async () => {
  const image = { data: new Uint8Array(300).map((_, i) => i), height: 10, width: 10 };
  expect(await encodePng(image)).toEqual(await encodePng(image));
});

test('a buffer of the wrong length is refused', async () => {
  await expect(encodePng({ data: new Uint8Array(10), height: 2, width: 2 })).rejects.toThrow(
    /holds 10 bytes, expected 12/,
  );
});

test('16-bit grey comes back exactly through another decoder', async () => {
  const random = seeded(5);
  const values = new Uint16Array(31 * 17).map(() => Math.floor(random() * 65536));
  const png = PNG.sync.read(Buffer.from(await encodeGrey16Png(values, 31, 17)), { skipRescale: true });
  expect([png.height, png.width]).toEqual([31, 17]);
  expect(Array.from({ length: values.length }, (_, i) => png.data[i * 4])).toEqual(Array.from(values));
  await expect(encodeGrey16Png(values, 31, 16)).rejects.toThrow(/holds 527 numbers, expected 496/);
});
