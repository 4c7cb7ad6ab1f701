import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeVideo } from '@dwm/media/node';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryFolder } from '../testing.ts';
import { readPair } from './read-pair.ts';

test('both videos keep their time at the rate of the run; one picture lasts as long as the hands', async () => {
  const folder = await temporaryFolder();
  onTestFinished(() => rm(folder, { recursive: true }));
  /** A shade a frame, ten apart. */
  const video = async (name: string, frames: number, fps: number) => {
    const path = join(folder, name);
    const data = Uint8Array.from(
      { length: frames * 32 * 16 * 3 },
      (_, i) => Math.floor(i / (32 * 16 * 3)) * 10,
    );
    await writeVideo(path, { data, frames, height: 16, width: 32, fps });
    return path;
  };
  const hands = await video('hands.mp4', 18, 24);
  const shades = ({ data, frames }: { data: Uint8Array; frames: number }) =>
    Array.from({ length: frames }, (_, f) => Math.round(data[f * 32 * 16 * 3] / 10));
  const pair = await readPair({ static: await video('scene.mp4', 9, 8), hands }, 8, undefined);
  expect(shades(pair.handVideo)).toEqual([0, 3, 6, 9, 12, 15]);
  expect(shades(pair.staticVideo)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(pair.handVideo.fps).toBe(8);
  const still = await readPair({ static: await video('one.mp4', 1, 1), hands }, 8, 4);
  expect([still.staticVideo.frames, still.handVideo.frames]).toEqual([1, 4]);
  expect(still.sources.staticVideo).toMatchObject({ frames: 18, fps: 24 });
  await expect(readPair({ static: hands, hands }, 8, 7)).rejects.toThrow(
    'hands.mp4 has 6 frames at 8 a second, fewer than 7; pass --num-frames 6 or less',
  );
  const short = { static: await video('short.mp4', 3, 8), hands };
  await expect(readPair(short, 8, undefined)).rejects.toThrow('short.mp4 has 3 frames at 8 a second and');
});
