/** What a model makes of less than it should be given: how much of a result comes from the hands and from the scene. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { type Frames, frameAt } from '@dwm/media/node';
import type { ClipVideos } from './inputs.ts';
import type { Job } from './jobs.ts';

export const ABLATIONS = ['no-hands', 'no-static', 'shuffled-hands'] as const;
export type Ablation = (typeof ABLATIONS)[number];

/** The clip's first frame in place of every frame. */
export function frozen(clip: Frames): Frames {
  const data = new Uint8Array(clip.data.length);
  const first = frameAt(clip, 0).data;
  for (let f = 0; f < clip.frames; f++) data.set(first, f * first.length);
  return { ...clip, data };
}

/** Videos without what the ablation takes away; shuffled hands are another clip's already (`shuffleHands`). */
export function ablateVideos(videos: ClipVideos, ablation: Ablation | undefined): ClipVideos {
  if (ablation === 'no-static') return { ...videos, staticVideo: frozen(videos.staticVideo) };
  if (ablation !== 'no-hands') return videos;
  const { handVideo } = videos;
  return { ...videos, handVideo: { ...handVideo, data: new Uint8Array(handVideo.data.length) } };
}

/** Every clip with the hands of the next one in the list, the last with those of the first. */
export function shuffleHands<T extends Pick<Job, 'handVideo'>>(jobs: readonly T[]): T[] {
  if (jobs.length < 2)
    throw new InvalidArgumentError('ablate', 'shuffled-hands needs a list of two clips or more');
  return jobs.map((job, i) => ({ ...job, handVideo: jobs[(i + 1) % jobs.length].handVideo }));
}
