import { encodeVideo, type Frames, frameAt } from '@dwm/media/node';
import { expect, test } from 'vitest';
import { readVideos } from './read-videos.ts';

const [height, width] = [32, 48];

/** Frame f is of grey 12 f. */
async function video(name: string, frames: number, fps: number): Promise<File> {
  const size = height * width * 3;
  const data = Uint8Array.from({ length: frames * size }, (_, i) => 12 * Math.floor(i / size));
  return new File([(await encodeVideo({ data, frames, height, width, fps })) as BlobPart], name);
}
const greys = (clip: Frames) =>
  Array.from({ length: clip.frames }, (_, f) => Math.round(frameAt(clip, f).data[0] / 12));

test('videos are read the way of the model: in their time, or the first frames with bars', async () => {
  const files = { scene: await video('s.mp4', 17, 24), hands: await video('h.mp4', 13, 24) };
  const settings = {
    ...{ width: 32, height: 32, frames: 15, fps: 8, steps: 1, guidance: 1, seed: 1 },
    prompt: '',
  };
  const read = (takes: 'in-time' | 'first', fit: 'stretch' | 'letterbox') =>
    readVideos({ ...files, settings }, { takes, fit }, new AbortController().signal, () => {});

  const inTime = await read('in-time', 'stretch');
  expect(greys(inTime.scene).slice(0, 7)).toEqual([0, 3, 6, 9, 12, 16, 16]);
  expect(inTime.notes[0]).toMatch(/at their own speed.*; 48x32 squeezed to 32x32/);

  const first = await read('first', 'letterbox');
  const shortest = [...Array.from({ length: 13 }, (_, f) => f), 12, 12];
  expect([greys(first.scene), greys(first.hands)]).toEqual([shortest, shortest]);
  expect(first.scene.fps).toBe(8);
  expect(first.notes[0]).toMatch(
    /^the first 13 of 17 frames, and the last one repeated to 15; 48x32 fitted into 32x32 with black bars/,
  );
});
