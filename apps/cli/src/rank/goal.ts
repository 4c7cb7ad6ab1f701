/** How a scene is to look in the end: a picture, or the last frames of a video. */
import { extname } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
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
