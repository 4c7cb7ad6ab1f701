import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Frames, readVideo, writeVideo } from '@dwm/media/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from '../testing.ts';
import { ClipReader } from './clip-reader.ts';

let folder: string;
let clips: string[];
beforeAll(async () => {
  folder = await temporaryFolder();
  clips = [];
  for (const [i, frames] of [7, 5, 9, 6].entries()) {
    const data = Uint8Array.from({ length: frames * 32 * 48 * 3 }, (_, at) => (at * (i + 3)) >> 6);
    const clip: Frames = { data, frames, height: 32, width: 48, fps: 8 };
    clips.push(join(folder, `${i}.mp4`));
    await writeVideo(clips[i], clip);
  }
});
afterAll(() => rm(folder, { recursive: true }));

const every = (step: number) => (frames: number) =>
  Array.from({ length: Math.ceil(frames / step) }, (_, i) => i * step);

test('many clips at once come back as each is decoded alone', async () => {
  const reader = new ClipReader(() => {});
  const paths = [...clips, ...clips, ...clips];
  const got = await Promise.all(paths.map((path, i) => reader.read(path, every(1 + (i % 3)))));
  for (const [i, path] of paths.entries()) {
    const want = await readVideo(path, { indices: ({ frames }) => every(1 + (i % 3))(frames) });
    expect(got[i]).toEqual(want);
  }
  await reader.close();
});

test('what is wrong names the file, and the thread goes on', async () => {
  const reader = new ClipReader(() => {});
  const bad = join(folder, 'bad.mp4');
  await writeFile(bad, 'no video');
  await expect(reader.read(join(folder, 'none.mp4'), every(1))).rejects.toMatchObject({
    code: 'invalid-file',
    message: expect.stringContaining('none.mp4: no such file'),
  });
  await expect(reader.read(bad, every(1))).rejects.toThrow(/bad\.mp4: is not a video/);
  await expect(reader.read(clips[0], () => [99])).rejects.toThrow('frame 99 does not exist');
  await expect(
    reader.read(clips[0], () => {
      throw new Error('no choice');
    }),
  ).rejects.toThrow('no choice');
  expect((await reader.read(clips[1], every(1))).frames).toBe(5);
  await reader.close();
});

test('closing waits for what is being decoded, and refuses the rest', async () => {
  const reader = new ClipReader(() => {});
  const reads = [...clips, ...clips, ...clips].map((path) => reader.read(path, every(1)));
  const settled = Promise.allSettled(reads);
  await reader.close();
  const results = await settled;
  const refused = results.filter((result) => result.status === 'rejected');
  expect(results.length - refused.length).toBeGreaterThan(0);
  for (const { reason } of refused) expect(reason.name).toBe('AbortError');
  await expect(reader.read(clips[0], every(1))).rejects.toThrow('stopped');
});
