/** How a scene is to look in the end: a picture, the last frames of a video, or words. */
import { extname } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import type { MetricClip } from '@dwm/dwm-model';
import { type Frames, readPng, readVideo } from '@dwm/media/node';
import { fit } from '../generate/outputs.ts';

/** Of a video, frames that are compared. */
const LAST = 4;

/** @param size of the clips that are compared with it. @throws InvalidFileError for another kind of file. */
export async function readGoal(path: string, size: { height: number; width: number }): Promise<MetricClip> {
  const extension = extname(path).toLowerCase();
  if (extension === '.png') {
    const image = await readPng(path);
    return fit({ ...image, frames: 1, fps: 1 }, { ...size, frames: 1, fps: 1 });
  }
  if (!['.mp4', '.mov', '.webm', '.mkv'].includes(extension))
    throw new InvalidFileError(path, 'is no goal: expected a .png, or a video whose last frames count');
  const video: Frames = await readVideo(path);
  const frames = Math.min(LAST, video.frames);
  const data = video.data.subarray(video.data.length - frames * video.height * video.width * 3);
  return fit({ ...video, frames, data }, { ...size, frames, fps: video.fps });
}

export interface GoalFlags {
  readonly goal?: string;
  readonly goalText?: string;
  readonly textImageModel?: string;
  readonly lpips?: string;
}

/** @throws InvalidArgumentError unless there is one goal, and what it is measured with. */
export function checkGoal({ goal, goalText, textImageModel, lpips }: GoalFlags): void {
  if (!goal === !goalText) {
    const got = goal ? 'both' : 'neither';
    throw new InvalidArgumentError('goal', `expected --goal or --goal-text, got ${got}`);
  }
  if (goal && textImageModel)
    throw new InvalidArgumentError('text-image-model', 'is for --goal-text; --goal is compared without it');
  if (!goalText) return;
  if (!textImageModel) {
    throw new InvalidArgumentError(
      'goal-text',
      'needs --text-image-model with the folder of a CLIP model as transformers saves it, such as openai/clip-vit-base-patch32; dwm brings none',
    );
  }
  if (lpips) throw new InvalidArgumentError('lpips', 'compares pictures; leave it out with --goal-text');
}
