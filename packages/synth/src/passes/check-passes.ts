/**
 * What a person would reject at a glance, measured on the pictures: a hand that is hardly seen, or a thing that is
 * said to move and does not change the picture.
 */
import type { Frames } from '@dwm/media';
import { LEAVES_ALL, LEFT_TO_PHYSICS, type SimulatedClip } from '../types.ts';
import type { ClipPasses } from './render-passes.ts';

/** Share of the picture's pixels. */
const LEAST_HAND = 0.01;
const LEAST_CHANGE = 0.006;
/** Share of the frames with a hand in the trajectory. */
const LEAST_FRAMES = 0.5;
/** Difference of a channel that is seen, of 255. */
const SEEN = 8;

interface PassMeasures {
  /** Share of the frames whose trajectory has a hand in which one is seen. */
  readonly framesWithHand: number;
  /** Share of the last frame's pixels that the moved things change, hands left out. */
  readonly changed: number;
}

export function measurePasses(clip: SimulatedClip, passes: ClipPasses): PassMeasures {
  const { handVideo, staticVideo, after } = passes;
  const pixels = handVideo.width * handVideo.height;
  let [present, seen] = [0, 0];
  clip.trajectory.frames.forEach(({ hands }, frame) => {
    if (!hands.left && !hands.right) return;
    present++;
    if (
      countPixels(handVideo, frame, (at) => handVideo.data[at] + handVideo.data[at + 1] > 0) >=
      LEAST_HAND * pixels
    )
      seen++;
  });
  const last = (staticVideo.frames - 1) * pixels * 3;
  const moved = countPixels(after, 0, (at) =>
    [0, 1, 2].some((c) => Math.abs(after.data[at + c] - staticVideo.data[last + at + c]) > SEEN),
  );
  return { framesWithHand: present > 0 ? seen / present : 1, changed: moved / pixels };
}

/** Why a clip is not shown, or undefined. */
export function passesProblem(clip: SimulatedClip, passes: ClipPasses): string | undefined {
  const { framesWithHand, changed } = measurePasses(clip, passes);
  if (framesWithHand < LEAST_FRAMES) return 'hand out of view';
  // What is opened in an episode may be shut at its end.
  if (clip.acts) return undefined;
  if (LEAVES_ALL.has(clip.action)) return changed > 0 ? 'something moved' : undefined;
  if (LEFT_TO_PHYSICS.has(clip.action)) return undefined;
  return changed < LEAST_CHANGE ? 'change not visible' : undefined;
}

function countPixels({ width, height }: Frames, frame: number, holds: (at: number) => boolean): number {
  let count = 0;
  const pixels = width * height;
  for (let i = frame * pixels; i < (frame + 1) * pixels; i++) if (holds(3 * i)) count++;
  return count;
}
