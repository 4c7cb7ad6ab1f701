/** Goals as what they ask of a clip: how far its end is from them. */
import { checkSameSize, frameOf } from '../metrics/clip.ts';
import type { Video } from '../video/video.ts';
import { type Distance, wantedChange } from './distance.ts';

/** Texts and pictures as vectors of length 1 in one space; `CLIPModel` is one. */
export interface TextImageModel {
  embedText(text: string): Promise<Float32Array>;
  /** @param frame one frame. */
  embedImage(frame: Video): Promise<Float32Array>;
}

/** How the scene is to look in the end, in words. */
export interface TextGoal {
  readonly text: string;
  readonly model: TextImageModel;
}

type ToGoal = (clip: Video) => Promise<number>;

/**
 * Mean distance of a clip's last frames to those of the goal, where these differ from the scene.
 * @throws DwmError where the goal's size is not the static video's.
 */
export function pictureGoal(goal: Video, staticVideo: Video, distance: Distance): ToGoal {
  const compared = Math.min(goal.frames, staticVideo.frames);
  const lastOf = (clip: Video) =>
    Array.from({ length: compared }, (_, i) => frameOf(clip, clip.frames - compared + i));
  const [goals, stills] = [lastOf(goal), lastOf(staticVideo)];
  checkSameSize([
    { name: 'the last static frame', clip: stills[0] },
    { name: 'the goal', clip: goals[0] },
  ]);
  const wanted = goals.map((frame, i) => wantedChange(stills[i], frame));
  return async (clip) => {
    let sum = 0;
    for (const [i, frame] of lastOf(clip).entries()) sum += await distance(frame, wanted[i]);
    return sum / compared;
  };
}

/** One minus the cosine between a clip's last frame, all of it, and the text: 0 to 2. */
export async function textGoal({ text, model }: TextGoal): Promise<ToGoal> {
  const wanted = await model.embedText(text);
  return async (clip) => {
    const got = await model.embedImage(frameOf(clip, clip.frames - 1));
    return 1 - got.reduce((sum, value, i) => sum + value * wanted[i], 0);
  };
}
