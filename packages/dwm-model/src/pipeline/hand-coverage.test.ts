import { expect, test } from 'vitest';
import { handCoverage, handWarning } from './hand-coverage.ts';

const size = { frames: 3, height: 20, width: 30 };
/** A patch of `colour` in the first columns of frames 1 and 2; `behind` elsewhere. */
function clip(colour: number[], columns: number, behind = [0, 0, 0]): Uint8Array {
  return Uint8Array.from({ length: 3 * 20 * 30 * 3 }, (_, i) => {
    const [channel, column, frame] = [i % 3, Math.floor(i / 3) % 30, Math.floor(i / (20 * 30 * 3))];
    return frame > 0 && column < columns ? colour[channel] : behind[channel];
  });
}

test('hands as they are drawn are hands: green or coral, bright or in shade', () => {
  for (const colour of [
    [128, 204, 128],
    [204, 102, 102],
    [64, 102, 64],
    [143, 71, 71],
  ]) {
    const data = clip(colour, 6, [5, 3, 8]);
    const found = handCoverage({ ...size, data });
    expect(found).toEqual({ frames: 2, share: 0.2, coloured: 1 });
    expect(handWarning(found)).toBeUndefined();
  }
});

test('a filmed video, and hands of other colours, are named', () => {
  const filmed = handCoverage({ ...size, data: clip([200, 180, 160], 6, [90, 100, 110]) });
  expect(filmed.frames).toBe(3);
  expect(handWarning(filmed)).toMatch(/^100% of the hand video is not black; expected hands alone on black/);
  const white = handCoverage({ ...size, data: clip([220, 220, 220], 6) });
  expect(handWarning(white)).toMatch(/^100% of what the hand video shows is neither green nor coral/);
});

test('a video without hands has none, which is said', () => {
  const none = handCoverage({ ...size, data: clip([9, 9, 9], 30) });
  expect(none).toEqual({ frames: 0, share: 0, coloured: 1 });
  expect(handWarning(none)).toBe('the hand video is black throughout: the model is shown no hands');
});
