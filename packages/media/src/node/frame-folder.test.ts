import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { naturalOrder } from '../natural-order.ts';
import { decodeFrames, frameFiles, readVideo, videoInfo, writePng } from './index.ts';

const place = mkdtempSync(join(tmpdir(), 'dwm-folders-'));
const image = (value: number, height = 3, width = 5) => ({
  ...{ height, width },
  data: new Uint8Array(height * width * 3).fill(value),
});
/** A folder of frames whose colour is their place in `names`. */
async function folderOf(name: string, names: readonly string[]): Promise<string> {
  const folder = join(place, name);
  for (const [i, file] of names.entries()) await writePng(join(folder, file), image(i * 10));
  return folder;
}

test.each([
  [['1', '2', '10', '11']],
  [['frame1.png', 'frame2.png', 'frame10.png']],
  [['shot2_9.png', 'shot2_10.png', 'shot10_1.png']],
  [['00001', '00002', '00010']],
  [['a', 'a1', 'a01', 'a2', 'b']],
  [['9007199254740993.png', '9007199254740994.png', '90071992547409930.png']],
  [['A.png', 'a.png', 'b.png']],
])('%j is the order of these names', (names) => {
  for (let turn = 0; turn < names.length; turn++)
    expect([...names.slice(turn), ...names.slice(0, turn)].sort(naturalOrder)).toEqual(names);
});

test('frames are read by their numbers, and what is hidden is left out', async () => {
  const names = Array.from({ length: 12 }, (_, i) => `${i + 1}.${i % 2 ? 'PNG' : 'png'}`);
  const folder = await folderOf('numbers', names);
  for (const other of ['.DS_Store', '._1.png', 'Thumbs.db', 'notes.txt'])
    writeFileSync(join(folder, other), 'x');
  mkdirSync(join(folder, '5.5.png'));
  expect((await frameFiles(folder)).map((path) => basename(path))).toEqual(names);
  const clip = await readVideo(folder, { folderFps: 12 });
  expect(clip).toMatchObject({ frames: 12, height: 3, width: 5, fps: 12 });
  expect(names.map((_, i) => clip.data[i * 45])).toEqual(names.map((_, i) => i * 10));
  expect(await videoInfo(folder)).toMatchObject({ frames: 12, fps: 8, pixelAspect: 1 });
  const seen: number[] = [];
  for await (const frame of decodeFrames(folder, { indices: [0, 9, 9, 11] }))
    seen.push((await frame.rgb())[0]);
  expect(seen).toEqual([0, 90, 90, 110]);
});

test('names without numbers are in the order of their letters', async () => {
  const folder = await folderOf('letters', ['b.png', 'a.png', 'c2.png']);
  expect((await frameFiles(folder)).map((path) => basename(path))).toEqual(['a.png', 'b.png', 'c2.png']);
});

test('kinds that are mixed, missing or not read are named', async () => {
  const mixed = await folderOf('mixed', ['1.png', '2.png']);
  writeFileSync(join(mixed, '3.jpeg'), 'x');
  await expect(readVideo(mixed)).rejects.toThrow(
    /mixed: holds 2 PNG and 1 JPEG pictures, expected frames of one kind/,
  );
  const some = await folderOf('some', ['1.png', '2.png']);
  for (const name of ['3.tif', '4.TIF']) writeFileSync(join(some, name), 'x');
  await expect(readVideo(some)).rejects.toThrow(/some: holds 2 PNG and 2 \.tif pictures, expected/);
  const depths = await folderOf('series', ['rgb_1.png', 'rgb_02.png', 'depth_1.png', 'depth_2.png']);
  await expect(readVideo(depths)).rejects.toThrow(
    /holds several series of pictures \(2 "depth_\*", 2 "rgb_\*"\), expected the frames of one video/,
  );
  const cover = await folderOf('cover', ['1.png', '2.png', 'cover.png']);
  await expect(readVideo(cover)).rejects.toThrow(/\(2 "\*", 1 "cover"\), expected the frames of one video/);
  const tiff = join(place, 'tiff');
  mkdirSync(tiff);
  await expect(readVideo(tiff)).rejects.toThrow(
    /tiff: holds no PNG, JPEG or WebP pictures; expected a video or a folder/,
  );
  writeFileSync(join(tiff, '1.tif'), 'x');
  await expect(readVideo(tiff)).rejects.toThrow(
    /but \.tif files; .*convert them: ffmpeg -i %05d\.tif %05d\.png/,
  );
  const sizes = await folderOf('sizes', ['1.png']);
  await writePng(join(sizes, '2.png'), image(1, 3, 4));
  await expect(readVideo(sizes)).rejects.toThrow(
    /2\.png: is 4x3, but .*1\.png is 5x3; all frames must be of one size/,
  );
});
