/** What stands for the scene alone: a video along the same camera path, or the first frame where the camera stands. */
import { basename, dirname, join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { decodeFrames, type Frames, type RgbImage, videoInfo } from '@dwm/media/node';
import { sayPixels } from '../generate/clip-inputs.ts';
import { exists } from '../generate/files.ts';
import { cameraMotion } from '../render/camera-motion.ts';
import { frameProgress } from '../render/progress.ts';
import type { Reporter } from '../report.ts';
import type { Flags } from './flags.ts';
import { framesBeside, type PickedFrames, placementBeside } from './picked-frames.ts';
import { readPlaced } from './read-placed.ts';

/** The scene's video where the video lies in a folder of samples. */
export async function sceneBeside(video: string): Promise<string | undefined> {
  if (basename(dirname(video)) !== 'videos') return undefined;
  const path = join(dirname(dirname(video)), 'videos_static', basename(video));
  return (await exists(path)) ? path : undefined;
}

/**
 * What reads the scene alone, along the video's camera path.
 * @throws InvalidFileError for one that ends early, or has another shape.
 */
export async function sceneReader(
  file: string,
  chosen: PickedFrames,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<() => Promise<Frames>> {
  const info = await videoInfo(file);
  sayPixels(file, info, reporter);
  const indices = framesBeside(info, chosen, flags);
  if (indices.length < flags.frames)
    throw new InvalidFileError(
      file,
      `ends before frame ${indices.length} of ${flags.frames}; pass --frames ${indices.length}, or a longer --static`,
    );
  const placement = placementBeside(file, info, chosen, flags);
  return () => readPlaced(file, indices, placement, flags, frameProgress(reporter, 'static'), signal);
}

/** Frames of the clip that are held against its first one. */
const COMPARED = 6;

/**
 * The first frame stands for the scene in all others, which a camera that moves makes wrong.
 * @throws InvalidFileError where nobody has seen to the hands either, who might know better.
 */
export async function checkStands(
  { video, picked, source: { timestamps } }: PickedFrames,
  hasHands: boolean,
  reporter: Reporter,
): Promise<void> {
  const spread = Array.from({ length: COMPARED }, (_, i) =>
    Math.round((i * (picked.length - 1)) / (COMPARED - 1)),
  );
  const indices = [...new Set(spread.map((tick) => picked[tick]))];
  let first: RgbImage | undefined;
  for await (const frame of decodeFrames(video, { indices })) {
    const image = { data: await frame.rgb(), height: frame.height, width: frame.width };
    first ??= image;
    const motion = cameraMotion(first, image);
    if (!motion) continue;
    const seconds = (timestamps[frame.index] - timestamps[indices[0]]).toFixed(1);
    const seen = `after ${seconds} s ${Math.round(100 * motion.share)}% of the picture is elsewhere, by ${Math.round(motion.shift * image.width)} pixels or more`;
    const instead = 'take a video from a tripod, or a still stretch of this one (--start-frame, --frames)';
    if (!hasHands)
      throw new InvalidFileError(
        video,
        `its camera moves: ${seen}; pass a video of the scene alone along the same path (--static) or the hands (--hands), or ${instead}`,
      );
    reporter.warn(
      `${video}: its camera seems to move: ${seen}; the first frame stands for the scene, so ${instead}`,
    );
    return;
  }
}
