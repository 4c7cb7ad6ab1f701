/** What trivial gets: the two videos that a model is given, shown as if they were its answer. */
import { handPixels } from '@dwm/dwm-model/metrics';
import type { Frames } from '@dwm/media/node';
import type { Method } from './judge.ts';

export function pasteHands(staticVideo: Frames, handVideo: Frames): Frames {
  const data = staticVideo.data.slice();
  const hand = handPixels(handVideo);
  for (let p = 0; p < hand.length; p++)
    if (hand[p] === 1) data.set(handVideo.data.subarray(3 * p, 3 * p + 3), 3 * p);
  return { ...staticVideo, data };
}

/** @param given which videos every clip has. */
export const baselines = (given: { staticVideo: boolean; handVideo: boolean }): Method[] => [
  ...(given.staticVideo
    ? [
        {
          name: 'copy of the static video',
          kind: 'baseline' as const,
          make: async ({ staticVideo, staticName }: Parameters<Method['make']>[0]) => ({
            name: staticName!,
            clip: staticVideo!,
          }),
        },
      ]
    : []),
  ...(given.staticVideo && given.handVideo
    ? [
        {
          name: 'hand render on it',
          kind: 'baseline' as const,
          make: async ({ staticVideo, handVideo, handName }: Parameters<Method['make']>[0]) => ({
            name: handName!,
            clip: pasteHands(staticVideo!, handVideo!),
          }),
        },
      ]
    : []),
];
