/** A video file as the first frames of a run, at its rate. */
import { indicesAtRate, readVideo as readFrames } from '@dwm/media';
import type { Clip, Settings } from './protocol.ts';

/** @throws InvalidFileError for a file that is no video, or is damaged; the signal's reason. */
export async function readVideo(
  file: File,
  { fps, frames }: Settings,
  signal: AbortSignal,
  onProgress: (done: number) => void,
): Promise<Clip> {
  return readFrames(file, {
    indices: (info) => indicesAtRate(info, fps, frames),
    onProgress: (done, total) => {
      signal.throwIfAborted();
      onProgress(done / total);
    },
  });
}
