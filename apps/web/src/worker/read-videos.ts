/** The two videos of a clip, as `dwm generate` reads them for the same model. */
import { clipReport, type FamilyDefaults } from '@dwm/dwm-model';
import { type Frames, firstFrames, framesInTime, pixelRemark, readVideo, videoInfo } from '@dwm/media';
import type { Calls } from './protocol.ts';

/**
 * @param family how the model takes videos: at their own speed or the first frames, stretched or with bars.
 * @throws InvalidFileError for a file that is no video, or is damaged; the signal's reason.
 */
export async function readVideos(
  { scene, hands, settings, model }: Calls['readVideos']['argument'],
  { takes, fit }: Pick<FamilyDefaults, 'takes' | 'fit'>,
  signal: AbortSignal,
  report: (progress: Calls['readVideos']['progress']) => void,
): Promise<Calls['readVideos']['result']> {
  const { frames, fps } = settings;
  const files = [scene, hands];
  const infos = [await videoInfo(scene), await videoInfo(hands)];
  const whole = infos.every((info) => info.frames === frames);
  const starts = takes === 'first' ? firstFrames(infos, frames) : undefined;
  const read = async (file: File): Promise<Frames> => {
    const clip = await readVideo(file, {
      ...(!whole && { indices: (info) => starts?.indices ?? framesInTime(info, { frames, fps }) }),
      onProgress(done, total) {
        signal.throwIfAborted();
        report({ name: file.name, done: done / total });
      },
    });
    return { ...clip, fps };
  };
  const clips = { scene: await read(scene), hands: await read(hands) };
  const sources = { staticVideo: infos[0], handVideo: infos[1] };
  const aim = { ...settings, numFrames: frames, model, first: starts?.first, fit };
  const { line, warnings } = clipReport(sources, clips.hands, aim);
  const remarks = infos.map((info, i) => pixelRemark(files[i].name, info));
  const odd = [...remarks, ...warnings].filter((text) => text !== undefined);
  return { ...clips, notes: [line, ...odd] };
}
