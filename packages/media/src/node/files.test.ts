import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { codecs, installWebCodecs, readPng, writeAtomically, writePng } from './index.ts';

const folder = () => mkdtempSync(join(tmpdir(), 'dwm-files-'));

test('writes bytes and text, makes the folder, replaces, leaves nothing else behind', async () => {
  const place = folder();
  const path = join(place, 'a', 'b.bin');
  await writeAtomically(path, Uint8Array.of(1, 2, 3));
  await writeAtomically(path, '{"x": "é"}');
  expect(readFileSync(path, 'utf8')).toBe('{"x": "é"}');
  expect(readdirSync(join(place, 'a'))).toEqual(['b.bin']);
});

test('a failed write keeps no temporary file', async () => {
  const place = folder();
  mkdirSync(join(place, 'taken'));
  await expect(writeAtomically(join(place, 'taken'), 'x')).rejects.toThrow();
  expect(readdirSync(place)).toEqual(['taken']);
});

test('a program killed while writing leaves the old file or the new one, whole', async () => {
  const place = folder();
  const path = join(place, 'big.bin');
  const size = 8_000_000;
  const program = join(place, 'writer.mjs');
  writeFileSync(
    program,
    `import { writeAtomically } from ${JSON.stringify(new URL('./atomic.ts', import.meta.url).href)};
     for (let i = 0; ; i++) await writeAtomically(${JSON.stringify(path)}, new Uint8Array(${size}).fill(i));`,
  );
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), program]);
  while (!existsSync(path)) await sleep(20);
  await sleep(55);
  child.kill('SIGINT');
  await new Promise((resolve) => child.on('exit', resolve));
  const bytes = readFileSync(path);
  expect(bytes.length).toBe(size);
  expect(bytes.every((byte) => byte === bytes[0])).toBe(true);
}, 40_000);

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
  await expect(readPng(path)).rejects.toThrow(/x\.png: is not a PNG, or is damaged/);
  writeFileSync(path, '');
  await expect(readPng(path)).rejects.toThrow(/is empty \(0 bytes\), expected a PNG/);
  await expect(readPng(place)).rejects.toThrow(/is a folder/);
  await writePng(path, { data: new Uint8Array(300), height: 10, width: 10 });
  writeFileSync(path, readFileSync(path).subarray(0, 50));
  await expect(readPng(path)).rejects.toThrow(/is not a PNG, or is damaged/);
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
