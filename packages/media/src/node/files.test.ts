import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { codecs, installWebCodecs, readPng, writePng } from './index.ts';

const folder = () => mkdtempSync(join(tmpdir(), 'dwm-files-'));

test('PNG files come back exactly', async () => {
  const path = join(folder(), 'x.png');
  const image = { data: new Uint8Array(11 * 7 * 3).map((_, i) => i * 37), height: 11, width: 7 };
  await writePng(path, image);
  expect(await readPng(path)).toEqual(image);
});

test('what is not a PNG is named', async () => {
  const place = folder();
  const path = join(place, 'x.png');
  await expect(readPng(path)).rejects.toThrow(/x\.png: no such file/);
  writeFileSync(path, 'not a png');
  await expect(readPng(path)).rejects.toThrow(/x\.png: is not a PNG.*or is damaged/);
  writeFileSync(path, '');
  await expect(readPng(path)).rejects.toThrow(/is empty \(0 bytes\), expected a PNG/);
  await expect(readPng(place)).rejects.toThrow(/is a folder/);
  await writePng(path, { data: new Uint8Array(300), height: 10, width: 10 });
  writeFileSync(path, readFileSync(path).subarray(0, 50));
  await expect(readPng(path)).rejects.toThrow(/is damaged \(it ends within/);
});

test.skipIf(process.getuid?.() === 0)('an unreadable file is named (not as root)', async () => {
  const path = join(folder(), 'x.png');
  writeFileSync(path, 'x');
  chmodSync(path, 0);
  await expect(readPng(path)).rejects.toThrow(/cannot be read; check its permissions/);
});

test('the codecs of this package work in Node', async () => {
  const reports = await codecs();
  expect(reports.map(({ codec, task }) => `${codec} ${task}`)).toEqual([
    'H.264 decode',
    'VP9 decode',
    'AV1 decode',
    'H.264 encode',
  ]);
  for (const report of reports) expect(report).toMatchObject({ works: true, reason: '' });
});

test('a codec that fails says why', async () => {
  await installWebCodecs();
  const real = globalThis.VideoDecoder;
  globalThis.VideoDecoder = class {
    constructor() {
      throw new Error('no decoder in this browser');
    }
  } as unknown as typeof VideoDecoder;
  try {
    const [h264] = await codecs();
    expect(h264).toMatchObject({ works: false, reason: 'no decoder in this browser' });
  } finally {
    globalThis.VideoDecoder = real;
  }
});
