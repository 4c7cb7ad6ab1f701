import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import { seeded } from '@dwm/core-tensor/testing';
import { expect, test } from 'vitest';
import { checkImageSize, decodeRgba, readImage, readPng } from './index.ts';

/** 13x7 pixels of (15 x, 30 y, 12 (x + y)), by cjpeg -quality 92 and cwebp -lossless. */
const jpeg = Buffer.from(
  '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkICQkKDA8MCgsOCwkJDRENDg8Q' +
    'EBEQCgwSExIQEw8QEBD/2wBDAQMDAwQDBAgEBAgQCwkLEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ' +
    'EBAQEBAQEBD/wAARCAAHAA0DAREAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUF' +
    'BAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVW' +
    'V1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi' +
    '4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAEC' +
    'AxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVm' +
    'Z2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq' +
    '8vP09fb3+Pn6/9oADAMBAAIRAxEAPwDwvwV+y/Z/u/3EPbuKjKs2eh8Fwv4mVfd1Z7joH7L9n9i/1EPbuK/Q8Fmz9mfv2T+JlT2G' +
    '7P/Z',
  'base64',
);
const webp = Buffer.from(
  'UklGRi4AAABXRUJQVlA4TCEAAAAvDIABAJmM6H9sIgrf/zCQSdtUSf0r7TUBow9liAk42TEA',
  'base64',
);

const height = 7;
const width = 13;
const colours = Uint8Array.from({ length: height * width * 3 }, (_, i) => {
  const [y, x] = [Math.floor(i / 3 / width), Math.floor(i / 3) % width];
  return [15 * x, 30 * y, 12 * (x + y)][i % 3];
});

const folder = mkdtempSync(join(tmpdir(), 'dwm-images-'));
const write = (name: string, bytes: Uint8Array) => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};
const worst = (a: Uint8Array, b: Uint8Array) =>
  a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);

function chunk(type: string, body: Uint8Array): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(4), Buffer.from(type), body, Buffer.alloc(4)]);
  bytes.writeUInt32BE(body.length);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, -4)), bytes.length - 4);
  return bytes;
}

interface PngOptions {
  size?: [width: number, height: number];
  kind?: [depth: number, type: number];
  interlaced?: 0 | 1;
  extra?: Buffer;
}

/** A PNG of unfiltered rows, or of whatever `rows` is. */
function png(rows: Uint8Array, { size, kind = [8, 2], interlaced = 0, extra }: PngOptions = {}): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size?.[0] ?? width);
  header.writeUInt32BE(size?.[1] ?? height, 4);
  header.set([...kind, 0, 0, interlaced], 8);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    extra ?? Buffer.alloc(0),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Each row after its filter, 0. */
const unfiltered = Buffer.concat(
  Array.from({ length: height }, (_, y) => [
    Buffer.alloc(1),
    colours.subarray(y * width * 3, (y + 1) * width * 3),
  ]).flat(),
);

test('JPEG and WebP come back in their colours', async () => {
  const fromJpeg = await readImage(write('a.jpg', jpeg));
  expect([fromJpeg.height, fromJpeg.width]).toEqual([height, width]);
  expect(worst(fromJpeg.data, colours)).toBeLessThan(8);
  expect(await readImage(write('a.webp', webp))).toEqual({ height, width, data: colours });
  await expect(readPng(join(folder, 'a.jpg'))).rejects.toThrow(/a\.jpg: is a jpeg picture, expected a PNG/);
});

test('a format is told by its bytes, not by its name', async () => {
  expect(checkImageSize('x', jpeg)).toEqual({ format: 'jpeg', width, height });
  expect(checkImageSize('x', webp)).toEqual({ format: 'webp', width, height });
  expect(checkImageSize('x', png(unfiltered))).toEqual({ format: 'png', width, height });
});

test('interlaced PNGs are read, whatever else their data unpacks to', async () => {
  const passes = [
    [0, 0, 8, 8],
    [4, 0, 8, 8],
    [0, 4, 4, 8],
    [2, 0, 4, 4],
    [0, 2, 2, 4],
    [1, 0, 2, 2],
    [0, 1, 1, 2],
  ];
  const rows: number[] = [];
  for (const [x0, y0, dx, dy] of passes) {
    for (let y = y0; y < height; y += dy) {
      rows.push(0);
      for (let x = x0; x < width; x += dx)
        rows.push(...colours.subarray((y * width + x) * 3, (y * width + x) * 3 + 3));
    }
  }
  const path = write('i.png', png(Uint8Array.from(rows), { interlaced: 1 }));
  expect((await readPng(path)).data).toEqual(colours);
  const bomb = png(new Uint8Array(4_000_000), { interlaced: 1 });
  await expect(decodeRgba('bomb', bomb)).rejects.toThrow(/bomb: is a damaged png picture/);
});

test('the colour that stands for transparency is kept, not made black', async () => {
  const key = chunk('tRNS', Buffer.from([0, 15, 0, 30, 0, 24]));
  const path = write('t.png', png(unfiltered, { extra: key }));
  expect((await readPng(path)).data).toEqual(colours);
});

/** The JPEG with another size in its frame header. */
function ofSize(bytes: Buffer, across: number, down: number): Buffer {
  const copy = Buffer.from(bytes);
  const frame = copy.indexOf(Buffer.from([0xff, 0xc0]));
  copy.writeUInt16BE(down, frame + 5);
  copy.writeUInt16BE(across, frame + 7);
  return copy;
}

test('sizes that no decoder should see are refused by their header', async () => {
  const cases: [name: string, bytes: Buffer, message: RegExp][] = [
    ['wide', png(unfiltered, { size: [2 ** 31 - 1, 0], kind: [8, 1] }), /colour type 1 of 8 bits/],
    ['empty', png(unfiltered, { size: [2 ** 31 - 1, 0] }), /2147483647x0 pixels, expected 1 to 67108864/],
    ['large', png(unfiltered, { size: [30_000, 30_000] }), /bytes of data cannot hold 30000x30000 pixels/],
    [
      'deep',
      png(new Uint8Array(70e6 / 8), { size: [10_000, 7000], kind: [1, 0] }),
      /10000x7000 pixels, expected 1 to/,
    ],
    ['twice', png(unfiltered, { extra: chunk('IHDR', Buffer.alloc(13)) }), /it has two headers/],
    ['cut', png(unfiltered).subarray(0, 60), /it ends within a chunk/],
    [
      'webp',
      Buffer.concat([webp.subarray(0, 21), Buffer.from([255, 255, 255, 255]), webp.subarray(25)]),
      /16384x16384 pixels/,
    ],
    ['jpeg', jpeg.subarray(0, 100), /it ends within its header/],
    ['claims', ofSize(jpeg, 8000, 8000), /\d+ bytes cannot hold 8000x8000 pixels/],
  ];
  for (const [name, bytes, message] of cases) {
    const thrown = await decodeRgba(name, bytes).then(
      () => new Error(`${name} was read`),
      (error) => error,
    );
    expect(thrown.name, name).toBe('InvalidFileError');
    expect(thrown.message).toMatch(message);
    expect(thrown.message).toMatch(new RegExp(`^${name}: .*[^\\n]$`));
  }
});

test('damaged pictures end in one line', async () => {
  const random = seeded(3);
  let read = 0;
  for (let i = 0; i < 150; i++) {
    const bytes = Buffer.from([jpeg, webp, png(unfiltered)][i % 3]);
    for (let k = 0; k < 3; k++)
      bytes[12 + Math.floor(random() * (bytes.length - 12))] = Math.floor(random() * 256);
    await decodeRgba('x', bytes).then(
      () => read++,
      (error) => expect(error.message).toMatch(/^x: [ -~]+$/),
    );
  }
  expect(read).toBeLessThan(120);
});
