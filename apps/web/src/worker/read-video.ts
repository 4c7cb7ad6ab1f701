/** A video file as the first frames of a run, at its rate. */
import { indicesAtRate, readVideo as readFrames } from '@dwm/media';
import type { ReadVideo, Settings } from './protocol.ts';

/** @throws InvalidFileError for a file that is no video, or is damaged; the signal's reason. */
export async function readVideo(
  source: File,
  { fps, frames }: Settings,
  signal: AbortSignal,
  onProgress: (done: number) => void,
): Promise<ReadVideo> {
  let whole = { frames: 0, fps };
  const clip = await readFrames(source, {
    indices(info) {
      whole = { frames: info.frames, fps: info.fps };
      return indicesAtRate(info, fps, frames);
    },
    onProgress: (done, total) => {
      signal.throwIfAborted();
      onProgress(done / total);
    },
  });
  return { clip: { ...clip, fps }, file: { ...whole, width: clip.width, height: clip.height } };
}
