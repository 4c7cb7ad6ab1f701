/** The clips of an evaluation: a data root's list, or one pair of files; at their own size, or at the one asked for. */
import { basename, dirname, join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { readRegularText } from '@dwm/core-tensor/node';
import type { VideoSize } from '@dwm/dwm-model';
import { type Frames, videoInfo } from '@dwm/media/node';
import { exists } from '../generate/files.ts';
import { fit } from '../generate/fit.ts';
import { readClip } from '../generate/inputs.ts';
import type { Job } from '../generate/jobs.ts';
import type { EvalClip } from './types.ts';

/** Rate of folders of frames, which do not say. */
const FPS = 8;

export interface ClipFiles {
  readonly name: string;
  readonly index: number;
  readonly truth: string;
  readonly staticVideo?: string;
  readonly handVideo?: string;
  readonly promptFile?: string;
  /** As the list has it. */
  readonly line?: string;
}

/** Of a dataset's job: whichever of its videos are there. @throws InvalidFileError without a truth. */
export async function filesOfJob({ name, index, truth, ...job }: Job): Promise<ClipFiles> {
  if (!(await exists(truth!)))
    throw new InvalidFileError(truth!, 'no such file; an evaluation needs what happened');
  const ifThere = async (path: string) => ((await exists(path)) ? path : undefined);
  return {
    ...{ name, index, truth: truth!, promptFile: job.promptFile, line: job.line },
    staticVideo: await ifThere(job.staticVideo),
    handVideo: await ifThere(job.handVideo),
  };
}

/** What `dwm synth` says the hands do, and where. */
export async function stateOf(truth: string): Promise<Pick<EvalClip, 'action' | 'simulated'>> {
  const stem = basename(truth).replace(/\.[^.]+$/, '');
  const log = join(dirname(dirname(truth)), 'states', `${stem}.json`);
  const text = await readRegularText(log).catch(() => undefined);
  if (text === undefined) return {};
  try {
    const { action, seed, room = action, fixedCamera, fps } = JSON.parse(text);
    if (typeof action !== 'string') return {};
    return {
      action,
      ...(Number.isSafeInteger(seed) &&
        fps > 0 &&
        fps < 1000 && { simulated: { seed, room, fixedCamera: fixedCamera === true, fps } }),
    };
  } catch {
    throw new InvalidFileError(log, 'is not JSON; make the clip again');
  }
}

export interface Size {
  readonly frames?: number;
  readonly height?: number;
  readonly width?: number;
}

/** What `readEvalClip` brings a video to. */
export async function evalSize(path: string, size: Size): Promise<VideoSize> {
  const { frames, height, width } = await videoInfo(path, { folderFps: FPS });
  return {
    frames: size.frames ?? frames,
    height: size.height ?? height,
    width: size.width ?? width,
  };
}

export async function readEvalClip(
  files: ClipFiles,
  size: Size,
  warn: (line: string) => void,
): Promise<EvalClip> {
  const read = async (path: string | undefined): Promise<Frames | undefined> => {
    if (path === undefined) return undefined;
    const time = size.frames === undefined ? undefined : { frames: size.frames, fps: FPS };
    const clip = await readClip(path, FPS, time, warn);
    const target = {
      frames: clip.frames,
      height: size.height ?? clip.height,
      width: size.width ?? clip.width,
      fps: clip.fps,
    };
    const same = (['frames', 'height', 'width'] as const).every((side) => target[side] === clip[side]);
    return same ? clip : fit(clip, target);
  };
  return {
    name: files.name,
    index: files.index,
    ...(await stateOf(files.truth)),
    truth: (await read(files.truth))!,
    truthName: files.truth,
    staticVideo: await read(files.staticVideo),
    staticName: files.staticVideo,
    handVideo: await read(files.handVideo),
    handName: files.handVideo,
  };
}
