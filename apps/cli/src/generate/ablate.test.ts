import { expect, test } from 'vitest';
import { ablateVideos, shuffleHands } from './ablate.ts';

const clip = (...data: number[]) => ({
  data: Uint8Array.from(data),
  frames: data.length / 3,
  height: 1,
  width: 1,
  fps: 8,
});

test('an ablation takes away one thing and leaves the rest', () => {
  const videos = { staticVideo: clip(1, 2, 3, 4, 5, 6), handVideo: clip(7, 8, 9, 7, 8, 9) };
  expect(ablateVideos(videos, 'no-hands')).toEqual({ ...videos, handVideo: clip(0, 0, 0, 0, 0, 0) });
  expect(ablateVideos(videos, 'no-static')).toEqual({ ...videos, staticVideo: clip(1, 2, 3, 1, 2, 3) });
  expect(ablateVideos(videos, 'shuffled-hands')).toBe(videos);
  expect(ablateVideos(videos, undefined)).toBe(videos);
});

test('shuffled hands are another clip’s, each used once', () => {
  const jobs = ['a', 'b', 'c'].map((handVideo) => ({ handVideo }));
  expect(shuffleHands(jobs).map(({ handVideo }) => handVideo)).toEqual(['b', 'c', 'a']);
  expect(() => shuffleHands(jobs.slice(0, 1))).toThrow(/two clips or more/);
});
