import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { writeFileAtomic } from './atomic-write.ts';

const folder = () => mkdtempSync(join(tmpdir(), 'dwm-files-'));

test('writes bytes and text, makes the folder, replaces, leaves nothing else behind', async () => {
  const place = folder();
  const path = join(place, 'a', 'b.bin');
  await writeFileAtomic(path, Uint8Array.of(1, 2, 3));
  await writeFileAtomic(path, '{"x": "é"}');
  expect(readFileSync(path, 'utf8')).toBe('{"x": "é"}');
  expect(readdirSync(join(place, 'a'))).toEqual(['b.bin']);
});

test('a failed write keeps no temporary file', async () => {
  const place = folder();
  mkdirSync(join(place, 'taken'));
  await expect(writeFileAtomic(join(place, 'taken'), 'x')).rejects.toThrow();
  expect(readdirSync(place)).toEqual(['taken']);
  const broken = (function* () {
    yield Uint8Array.of(1);
    throw new Error('broken');
  })();
  await expect(writeFileAtomic(join(place, 'new/newer/x'), broken)).rejects.toThrow('broken');
  expect(readdirSync(place)).toEqual(['taken']);
});

test('a program killed while writing leaves the old file or the new one, whole', async () => {
  const place = folder();
  const path = join(place, 'big.bin');
  const size = 8_000_000;
  const program = join(place, 'writer.mjs');
  writeFileSync(
    program,
    `import { writeFileAtomic } from ${JSON.stringify(new URL('./atomic-write.ts', import.meta.url).href)};
     for (let i = 0; ; i++) await writeFileAtomic(${JSON.stringify(path)}, new Uint8Array(${size}).fill(i));`,
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
