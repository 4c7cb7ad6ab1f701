/** Hands and captions that a clip can be given in place of its own: those of the other clips of its list, or none. */
import type { Device } from '@dwm/core-tensor';
import { captionOf } from '../generate/prompts.ts';
import type { Counterfactuals } from './counterfactuals.ts';
import { hasRoom, idleHands } from './idle-hands.ts';
import { type ClipFiles, readEvalClip, stateOf } from './read-clips.ts';
import type { EvalClip } from './types.ts';

/**
 * @param files of all clips.
 * @param words whether captions may be others.
 * @param device that hands are drawn on.
 */
export async function substitutesOf(
  files: readonly ClipFiles[],
  words: boolean,
  device: Device,
  warn: (line: string) => void,
): Promise<Counterfactuals> {
  const differ = words && (await wrongCaption(files, 0)) !== undefined;
  const states = await Promise.all(files.map(({ truth }) => stateOf(truth)));
  const [withHands, ...others] = files.filter(({ handVideo }) => handVideo !== undefined);
  return {
    hands: {
      ...(states.every(hasRoom) && { 'touching nothing': (clip) => idleHands(device, clip) }),
      ...(others.length > 0 && {
        'shuffled hands': (clip) => nextHands(files, withHands.handVideo!, clip, warn),
      }),
    },
    words: {
      ...(differ && { 'wrong caption': async ({ index }) => (await wrongCaption(files, index))! }),
      ...(words && { 'no caption': async () => '' }),
    },
  };
}

/** @param first hands of the list, where the next clip has none. */
async function nextHands(
  files: readonly ClipFiles[],
  first: string,
  { index, truth: { frames, height, width } }: EvalClip,
  warn: (line: string) => void,
) {
  const next = files[(index + 1) % files.length].handVideo ?? first;
  const read = await readEvalClip({ name: '', index, truth: next }, { frames, height, width }, warn);
  return read.truth;
}

/** The next caption of the list that says something else. */
async function wrongCaption(files: readonly ClipFiles[], index: number): Promise<string | undefined> {
  const own = await captionOf(files[index]);
  for (let k = 1; k < files.length; k++) {
    const other = await captionOf(files[(index + k) % files.length]);
    if (other !== own) return other;
  }
  return undefined;
}
