/** What a clip is made of: a video or a part of one, and what a data set knows of it. */
import { basename, extname } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { videoInfo } from '@dwm/media/node';
import type { Trajectory } from '@dwm/renderer';
import { exists } from '../generate/files.ts';
import { isLerobot, LerobotDataset } from '../lerobot/dataset.ts';
import { episodeTrajectory, hasHands } from '../lerobot/hands.ts';
import { importTrajectory } from '../render/import.ts';
import type { Reporter } from '../report.ts';

export interface SourceFlags {
  /** A recording, or the folder of a LeRobot data set. */
  from?: string[];
  /** Of a LeRobot data set, as is the camera. */
  episode?: number;
  camera?: string;
  mano?: string;
  ignoreDistortion?: true;
}

export interface ClipSource {
  readonly video: string;
  /** What the clip is called where nobody says otherwise. */
  readonly name: string;
  /** The part of the video that is the clip's, seconds. */
  readonly part?: { readonly from: number; readonly to?: number };
  readonly caption?: string;
  /** Hands that the data set knows, which run beside the part. */
  readonly recorded?: { readonly file: string; readonly trajectory: Trajectory };
}

/** What a file's clip is called. */
export const nameOf = (path: string) => basename(path, extname(path));

/** @throws InvalidArgumentError where there is no video; what the readers throw. */
export async function clipSource(
  video: string | undefined,
  flags: SourceFlags,
  reporter: Reporter,
): Promise<ClipSource> {
  const { from, episode, camera } = flags;
  const [first] = from ?? [];
  if (from?.length === 1 && (await isLerobot(first))) {
    if (video !== undefined)
      throw new InvalidArgumentError('video', `${video} is one too many: ${first} has its own videos`);
    return lerobotSource(first, flags);
  }
  const [[flag, value] = []] = Object.entries({ episode, camera }).filter(([, given]) => given !== undefined);
  if (flag)
    throw new InvalidArgumentError(
      flag,
      `is of a LeRobot data set (--from FOLDER with meta/info.json), got ${value}`,
    );
  if (from === undefined) {
    if (video === undefined)
      throw new InvalidArgumentError('video', 'is required: the video to prepare, or --from');
    return { video, name: nameOf(video) };
  }
  const beside = video ?? first.replace(/\.[^./\\]+$/, '.mp4');
  if (video === undefined && !(await exists(beside)))
    throw new InvalidFileError(
      beside,
      `is not there, the video of ${first}; name it: dwm prepare VIDEO --from …`,
    );
  // Recordings without times have a frame for each of the video's.
  const { fps, width, height } = await videoInfo(beside);
  const { mano, ignoreDistortion } = flags;
  const options = { format: 'auto' as const, mano, ignoreDistortion, fps, width, height };
  const { trajectory } = await importTrajectory(from, options, reporter);
  return { video: beside, name: nameOf(beside), recorded: { file: first, trajectory } };
}

async function lerobotSource(folder: string, { episode = 0, camera }: SourceFlags): Promise<ClipSource> {
  const data = await LerobotDataset.open(folder);
  const found = await data.episode(episode);
  const { path, ...part } = await found.video(data.camera(camera));
  return {
    video: path,
    name: `episode_${String(episode).padStart(6, '0')}`,
    part,
    ...(found.task && { caption: found.task }),
    ...(hasHands(data) && {
      recorded: { file: folder, trajectory: await episodeTrajectory(data, found) },
    }),
  };
}
