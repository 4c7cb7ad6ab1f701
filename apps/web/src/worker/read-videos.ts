/** The two videos of a clip, as `dwm generate` reads them: at their own speed, or frame by frame where both fit. */
import { clipReport } from '@dwm/dwm-model';
import { framesInTime, pixelRemark, readVideo, videoInfo } from '@dwm/media';
import type { Calls, Clip } from './protocol.ts';

/** @throws InvalidFileError for a file that is no video, or is damaged; the signal's reason. */
export async function readVideos(
  { scene, hands, settings, model }: Calls['readVideos']['argument'],
  signal: AbortSignal,
  report: (progress: Calls['readVideos']['progress']) => void,
): Promise<Calls['readVideos']['result']> {
  const { frames, fps } = settings;
  const files = [scene, hands];
  const infos = [await videoInfo(scene), await videoInfo(hands)];
  const whole = infos.every((info) => info.frames === frames);
  const read = async (file: File): Promise<Clip> => {
    const clip = await readVideo(file, {
      ...(!whole && { indices: (info) => framesInTime(info, { frames, fps }) }),
      onProgress(done, total) {
        signal.throwIfAborted();
        report({ name: file.name, done: done / total });
      },
    });
    return { ...clip, fps };
  };
  const clips = { scene: await read(scene), hands: await read(hands) };
  const sources = { staticVideo: infos[0], handVideo: infos[1] };
  const { line, warnings } = clipReport(sources, clips.hands, { ...settings, numFrames: frames, model });
  const remarks = infos.map((info, i) => pixelRemark(files[i].name, info));
  const odd = [...remarks, ...warnings].filter((text) => text !== undefined);
  return { ...clips, notes: [line, ...odd] };
}
