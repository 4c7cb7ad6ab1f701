/** The two videos that a live run goes by: hands, and the scene along the same path or as one picture. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { ClipSources } from '@dwm/dwm-model';
import { type Frames, indicesAtRate, readVideo, videoInfo } from '@dwm/media/node';

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
  const read = async (path: string) => {
    const clip = await readVideo(path, {
      folderFps: fps,
      // One picture stays one, however long it is shown.
      indices: (info) => (info.frames === 1 ? [0] : indicesAtRate(info, fps)),
    });
    return { ...clip, fps };
  };
  const [staticVideo, handVideo] = await Promise.all([read(files.static), read(files.hands)]);
  const count = frames ?? handVideo.frames;
  if (count > handVideo.frames) {
    throw new InvalidArgumentError(
      'num-frames',
      `${files.hands} has ${handVideo.frames} frames at ${fps} a second, fewer than ${count}; pass --num-frames ${handVideo.frames} or less`,
    );
  }
  if (staticVideo.frames !== 1 && staticVideo.frames < count) {
    throw new InvalidArgumentError(
      'static',
      `${files.static} has ${staticVideo.frames} frames at ${fps} a second and ${files.hands} ${count}; give a static video as long, or one of a single frame for a camera that stands`,
    );
  }
  const cut = (video: Frames) => ({
    ...{ ...video, frames: Math.min(count, video.frames) },
    data: video.data.subarray(0, Math.min(count, video.frames) * video.height * video.width * 3),
  });
  const [scene, hands] = await Promise.all(
    [files.static, files.hands].map((path) => videoInfo(path, { folderFps: fps })),
  );
  const lasting = scene.frames === 1 ? { ...scene, frames: hands.frames, fps: hands.fps } : scene;
  return {
    staticVideo: cut(staticVideo),
    handVideo: cut(handVideo),
    sources: { staticVideo: lasting, handVideo: hands },
  };
}
