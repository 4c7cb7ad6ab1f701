/** How a scene is to look in the end: a picture, the last frames of a video or of a folder, or words. */
import { stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { type Device, InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { openDirectory } from '@dwm/core-tensor/node';
import type { Video } from '@dwm/dwm-model';
import { VIDEO_ENDINGS } from '@dwm/dwm-model/node';
import { CLIPModel } from '@dwm/dwm-model/ranking';
import { readImage, readVideo } from '@dwm/media/node';
import { fit } from '../generate/fit.ts';
import type { Reporter } from '../report.ts';

/** Of a video, frames that are compared. */
const LAST = 4;

/** @param size of the clips that are compared with it. @throws InvalidFileError for another kind of file. */
export async function readGoal(
  path: string,
  size: { height: number; width: number },
  reporter: Reporter,
): Promise<Video> {
  const extension = extname(path).toLowerCase();
  const folder = (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
  if (!folder && ['.png', '.jpg', '.jpeg', '.webp'].includes(extension)) {
    const image = await readImage(path);
    return fit({ ...image, frames: 1, fps: 1 }, { ...size, frames: 1, fps: 1 });
  }
  if (!folder && !VIDEO_ENDINGS.includes(extension)) {
    throw new InvalidFileError(
      path,
      'is no goal: expected a .png, .jpg or .webp picture, or a video or folder of frames whose last ones count',
    );
  }
  const video = await readVideo(path, {
    warn: (line) => reporter.say(line),
    indices: ({ frames }) => Array.from({ length: frames }, (_, i) => i).slice(-LAST),
  });
  return fit(video, { ...size, frames: video.frames, fps: video.fps });
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

/** Words, and the model that compares them with pictures. */
export async function openTextGoal(
  device: Device,
  { goalText, textImageModel }: GoalFlags,
  reporter: Reporter,
) {
  const model = await CLIPModel.load(device, await openDirectory(textImageModel!));
  const text = goalText!;
  const [tokens, { positions }] = [model.tokenCount(text), model.config.text];
  if (tokens > positions)
    reporter.warn(`the goal text has ${tokens} tokens, two around it included; the model reads ${positions}`);
  return { text, model };
}
