import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readPng, readVideo } from '@dwm/media/node';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../testing.ts';
import { resizeBilinear } from './comparison.ts';
import { WHOLE } from './jobs.ts';
import { metadataPath, outputPaths, recordRun, writeClip } from './outputs.ts';

const clip = (frames: number, height: number, width: number, value: number) => ({
  data: new Uint8Array(frames * height * width * 3).fill(value),
  frames,
  height,
  width,
  fps: 8,
});

test('writes playable videos of the right size, a sheet and a record, and no other file', async () => {
  const folder = join(await temporaryFolder(), 'new/folder');
  const paths = outputPaths(join(folder, 'a'), true);
  const videos = {
    staticVideo: clip(9, 64, 96, 50),
    handVideo: clip(3, 16, 16, 100),
    truth: clip(5, 32, 48, 200),
  };
  const file = join(folder, 'metadata.json');
  await writeClip(paths, clip(5, 32, 48, 150), videos, { file, entry: { seed: 7 } });
  expect((await readdir(folder)).sort()).toEqual([
    'a.mp4',
    'a_comparison.mp4',
    'a_contact_sheet.png',
    'a_full_comparison.mp4',
    'metadata.json',
  ]);
  const [one, two, four] = await Promise.all(
    [paths.video, paths.comparison!, paths.fullComparison].map((path) => readVideo(path)),
  );
  expect(one).toMatchObject({ frames: 5, height: 32, width: 48, fps: 8 });
  expect(two.frames).toBe(5);
  // As long as the shortest: the hands.
  expect(four).toMatchObject({ frames: 3, height: 32, width: 192 });
  // static | hands | generated | truth, each a grey of its own.
  const [y, third] = [Math.floor(four.height / 2), four.width / 4];
  const greys = [0, 1, 2, 3].map((i) => four.data[(y * four.width + Math.floor((i + 0.5) * third)) * 3]);
  for (const [i, grey] of [50, 100, 150, 200].entries()) expect(Math.abs(greys[i] - grey)).toBeLessThan(4);
  expect((await readPng(paths.contactSheet)).width).toBeGreaterThan(0);
  expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ clips: { 'a.mp4': { seed: 7 } } });
});

test('a record joins those that are there; a damaged one is replaced', async () => {
  const folder = await temporaryFolder();
  const file = join(folder, 'metadata.json');
  await writeFile(file, '{ "clips": { "old.mp4": { "seed": 1 } } }');
  const grey = clip(1, 16, 16, 9);
  const videos = { staticVideo: grey, handVideo: grey };
  await writeClip(outputPaths(join(folder, 'b'), false), grey, videos, { file, entry: { seed: 2 } });
  const read = async () => Object.keys(JSON.parse(await readFile(file, 'utf8')).clips);
  expect(await read()).toEqual(['old.mp4', 'b.mp4']);
  await writeFile(file, '{ "clips": {');
  await writeClip(outputPaths(join(folder, 'c'), false), grey, videos, { file, entry: { seed: 3 } });
  expect(await read()).toEqual(['c.mp4']);
});

test("the original's names: the video twice, its prompt, and the run's keys beside the clips'", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, 'metadata.json');
  await recordRun(file, { mode: 'single_video', seed: 42 });
  const grey = clip(1, 16, 16, 9);
  const paths = outputPaths(join(folder, '00001'), false, true);
  const videos = { staticVideo: grey, handVideo: grey };
  await writeClip(paths, grey, videos, { file, entry: { seed: 42 } }, 'a hand');
  expect((await readdir(folder)).sort()).toEqual([
    '00001.mp4',
    '00001.txt',
    '00001_contact_sheet.png',
    '00001_full_comparison.mp4',
    '00001_generated.mp4',
    'metadata.json',
  ]);
  expect(await readFile(join(folder, '00001.txt'), 'utf8')).toBe('a hand');
  expect(await readFile(paths.video)).toEqual(await readFile(paths.copies!.generated));
  const clips = { '00001.mp4': { seed: 42 } };
  expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ mode: 'single_video', seed: 42, clips });
  await recordRun(file, { mode: 'dataset_file' });
  expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ mode: 'dataset_file', clips });
});

test('processes that write to one folder keep records of their own', () => {
  expect(metadataPath('out/a.mp4', WHOLE)).toBe(join('out', 'metadata.json'));
  const names = new Set<string>();
  for (let c = 0; c < 3; c++)
    for (let s = 0; s < 2; s++)
      names.add(metadataPath('out/a.mp4', { chunk: { rank: c, of: 3 }, shard: { rank: s, of: 2 } }));
  expect(names.size).toBe(6);
});

test('comparisons resize as PyTorch does: bilinear, also where the picture shrinks', () => {
  const ramp = Uint8Array.from({ length: 5 * 7 * 3 }, (_, i) => (i * 37) % 256);
  const small = resizeBilinear({ data: ramp, height: 5, width: 7 }, 2, 3);
  const wide = resizeBilinear({ data: ramp, height: 5, width: 7 }, 6, 9);
  const at = (y: number, x: number, c: number) => ramp[(y * 7 + x) * 3 + c];
  // Row 0 of 2 is at 0.75 of 5 rows, column 1 of 3 is at 3 of 7 columns.
  expect(small.data[3]).toBe(Math.round(0.25 * at(0, 3, 0) + 0.75 * at(1, 3, 0)));
  expect(small.data.length).toBe(18);
  // Corners are clamped: the first is the first.
  expect([...wide.data.subarray(0, 3)]).toEqual([...ramp.subarray(0, 3)]);
  expect([...wide.data.subarray(-3)]).toEqual([...ramp.subarray(-3)]);
});
