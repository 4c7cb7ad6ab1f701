/** The clips of a folder: videos, and folders of frames beside them. */
import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';

/** How names of videos end. */
export const VIDEO_ENDINGS: readonly string[] = ['.mp4', '.m4v', '.mov', '.webm', '.mkv'];

/** What files that belong to a clip are called by: a folder of frames may be named as a video is. */
export const stemOf = (clip: string): string => basename(clip, extname(clip));

/**
 * Every video in `folder`, and every folder in it, as one of frames: who reads it says where it holds none. Hidden ones
 * are left out.
 * @returns sorted; none where there is no such folder.
 * @throws InvalidFileError for two clips that the same files would belong to.
 */
export async function clipsIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => [] as string[]);
  const clips = new Map<string, string>();
  for (const name of names.sort()) {
    if (name.startsWith('.')) continue;
    const path = join(folder, name);
    const isVideo = VIDEO_ENDINGS.includes(extname(name).toLowerCase());
    if (!isVideo && !(await stat(path).catch(() => undefined))?.isDirectory()) continue;
    const other = clips.get(stemOf(path));
    if (other !== undefined)
      throw new InvalidFileError(
        path,
        `has the name of ${basename(other)}, so the same files would belong to both; rename one, or move it out`,
      );
    clips.set(stemOf(path), path);
  }
  return [...clips.values()];
}
