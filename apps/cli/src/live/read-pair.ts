/** The two videos that a live run goes by: hands, and the scene along the same path or as one picture. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { ClipSources } from '@dwm/dwm-model';
import { type Frames, indicesAtRate, readVideo, type VideoInfo, videoInfo } from '@dwm/media/node';

interface Pair {
  readonly staticVideo: Frames;
  readonly handVideo: Frames;
  /** The files; one picture of the scene lasts as long as the hands. */
  readonly sources: ClipSources;
}

/**
 * Both at their own speed, with `fps` frames a second.
 * @param frames of the hands; all unless told.
 * @throws InvalidArgumentError where the hands, or a scene of more than one frame, are shorter.
 */
export async function readPair(
  files: { readonly static: string; readonly hands: string },
  fps: number,
  frames: number | undefined,
): Promise<Pair> {
  const info = (path: string) => videoInfo(path, { folderFps: fps });
  const [scene, hands] = await Promise.all([info(files.static), info(files.hands)]);
  // One picture stays one, however long it is shown.
  const atRate = (video: VideoInfo) => (video.frames === 1 ? [0] : indicesAtRate(video, fps));
  const [sceneIndices, handIndices] = [atRate(scene), atRate(hands)];
  const count = frames ?? handIndices.length;
  if (count > handIndices.length) {
    throw new InvalidArgumentError(
      'num-frames',
      `${files.hands} has ${handIndices.length} frames at ${fps} a second, fewer than ${count}; pass --num-frames ${handIndices.length} or less`,
    );
  }
  if (sceneIndices.length !== 1 && sceneIndices.length < count) {
    throw new InvalidArgumentError(
      'static',
      `${files.static} has ${sceneIndices.length} frames at ${fps} a second and ${files.hands} ${count}; give a static video as long, or one of a single frame for a camera that stands`,
    );
  }
  const read = async (path: string, indices: readonly number[]) => ({
    ...(await readVideo(path, { folderFps: fps, indices: indices.slice(0, count) })),
    fps,
  });
  const [staticVideo, handVideo] = await Promise.all([
    read(files.static, sceneIndices),
    read(files.hands, handIndices),
  ]);
  const lasting = scene.frames === 1 ? { ...scene, frames: hands.frames, fps: hands.fps } : scene;
  return { staticVideo, handVideo, sources: { staticVideo: lasting, handVideo: hands } };
}
