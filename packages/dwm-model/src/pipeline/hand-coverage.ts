/**
 * Whether a hand video is what the model was trained on: hands alone on black, the left one green, the right one coral.
 * A model takes any video for its hands, and makes of a filmed one what nobody wants.
 */
import type { Video } from '../video/video.ts';

/** What a hand video shows. */
export interface HandCoverage {
  /** Frames that show anything. */
  readonly frames: number;
  /** Of the pixels of those frames, how many are not black. */
  readonly share: number;
  /** Of the pixels that are not black, how many have a colour of hands. */
  readonly coloured: number;
}

/** Of 255; what a codec makes of black stays below. */
const BLACK = 24;
/** Of a frame's pixels: fewer are specks of a codec. */
const SPECKS = 2e-4;

/** @param clip as `generate` takes it. */
export function handCoverage({ data, frames, height, width }: Video): HandCoverage {
  const pixels = height * width;
  let [withHands, seen, coloured] = [0, 0, 0];
  for (let frame = 0; frame < frames; frame++) {
    let [lit, like] = [0, 0];
    for (let i = frame * pixels * 3; i < (frame + 1) * pixels * 3; i += 3) {
      const [r, g, b] = [data[i], data[i + 1], data[i + 2]];
      if (Math.max(r, g, b) <= BLACK) continue;
      lit++;
      // Shaded (0.5, 0.8, 0.5), or (0.8, 0.4, 0.4): both keep one channel well above the two others.
      if ((g > 1.15 * r && g > 1.15 * b) || (r > 1.3 * g && r > 1.3 * b)) like++;
    }
    if (lit < Math.max(4, SPECKS * pixels)) continue;
    withHands++;
    seen += lit;
    coloured += like;
  }
  return {
    frames: withHands,
    share: withHands > 0 ? seen / (withHands * pixels) : 0,
    coloured: seen > 0 ? coloured / seen : 1,
  };
}

const EXPECTED = 'expected hands alone on black, the left green, the right coral, as dwm render draws them';

/** One line about a video that does not look like hands on black; undefined for one that does. */
export function handWarning({ frames, share, coloured }: HandCoverage): string | undefined {
  const percent = (x: number) => `${Math.round(100 * x)}%`;
  if (frames === 0) return 'the hand video is black throughout: the model is shown no hands';
  if (share > 0.5) return `${percent(share)} of the hand video is not black; ${EXPECTED}`;
  if (coloured < 0.5)
    return `${percent(1 - coloured)} of what the hand video shows is neither green nor coral; ${EXPECTED}`;
  return undefined;
}
