import { expect, test } from 'vitest';
import { atLength, videoNotes } from './video-notes.ts';

const settings = { width: 4, height: 2, frames: 5, fps: 8, steps: 1, guidance: 1, seed: 0, prompt: '' };
const clip = (frames: number, value: (frame: number) => number) => ({
  width: 4,
  height: 2,
  frames,
  fps: 8,
  data: Uint8Array.from({ length: frames * 24 }, (_, i) => value(Math.floor(i / 24))),
});
const video = (name: string, frames: number, value: (frame: number) => number, file = {}) => ({
  name,
  clip: clip(frames, value),
  file: { frames, fps: 8, width: 4, height: 2, ...file },
});
/** A hand in one pixel of the first frames. */
const handful = (frames: number, seen: number) => {
  const made = video('h.mp4', frames, () => 0);
  for (let frame = 0; frame < seen; frame++) made.clip.data.fill(200, frame * 24, frame * 24 + 3);
  return made;
};

test('videos as the run is', () => {
  expect(
    videoNotes(
      video('s.mp4', 5, () => 9),
      handful(5, 4),
      settings,
    ),
  ).toEqual(['s.mp4: 0.63 s of 0.63 s', 'h.mp4: 0.63 s of 0.63 s', 'hands are seen for 0.5 s']);
});

test('other rates, sizes, lengths, shapes, and hands that are none are said', () => {
  const long = video('s.mp4', 5, () => 9, { frames: 49, fps: 24, width: 720, height: 480 });
  const notes = videoNotes(
    long,
    video('h.mp4', 3, () => 200),
    settings,
  );
  expect(notes).toEqual([
    's.mp4: 0.63 s of 2.04 s, 8 of its 24 frames a second, 720 × 480 stretched to 4 × 2',
    'h.mp4: 0.38 s of 0.38 s',
    'hands are seen for 0.38 s',
    'h.mp4 ends after 3 of 5 frames and has no hands from there on',
    'h.mp4 has another shape than s.mp4: hands are not where they should be',
    'h.mp4 does not look like hands on black, which the model expects',
  ]);
});

test('a scene that ends early stands still, hands that end early are gone', () => {
  const short = clip(2, (frame) => frame + 1);
  expect([...atLength(short, 4, 'scene').data].filter((_, i) => i % 24 === 0)).toEqual([1, 2, 2, 2]);
  expect([...atLength(short, 4, 'hands').data].filter((_, i) => i % 24 === 0)).toEqual([1, 2, 0, 0]);
  expect(atLength(short, 2, 'hands')).toBe(short);
});
