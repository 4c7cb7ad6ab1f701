/** What a live run goes by: the videos or the scene, and the prompt. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { clipReport } from '@dwm/dwm-model';
import { exists } from '../generate/files.ts';
import { readNamedPrompt, readPrompt } from '../generate/inputs.ts';
import { jobOfVideo } from '../generate/jobs.ts';
import { type ClipFiles, readClipFiles } from '../render/clips.ts';
import type { Reporter } from '../report.ts';
import type { LiveFlags } from './flags.ts';
import { readPair } from './read-pair.ts';

/** Where a run's videos come from, and the caption beside them. */
export type LiveFiles = { readonly caption?: string } & (
  | { readonly scene: string[]; readonly trajectory: string }
  | { readonly static: string; readonly hands: string }
);

/** @throws InvalidArgumentError naming what is missing. */
export function liveFiles(flags: LiveFlags): LiveFiles {
  const { scene, trajectory, video } = flags;
  if (scene || trajectory !== undefined) {
    if (!scene) throw new InvalidArgumentError('scene', 'is required with --trajectory');
    if (trajectory === undefined) throw new InvalidArgumentError('trajectory', 'is required with --scene');
    for (const name of ['staticVideo', 'handVideo', 'video'] as const)
      if (flags[name] !== undefined)
        throw new InvalidArgumentError(
          'scene',
          'is drawn in place of videos: leave out --video, --static and --hands',
        );
    return { scene, trajectory, caption: trajectory.replace(/\.[^.]+$/, '.txt') };
  }
  const beside =
    video === undefined ? undefined : jobOfVideo(video, { promptSubdir: 'prompts_rewrite' }, 0, '');
  const still = flags.staticVideo ?? beside?.staticVideo;
  const hands = flags.handVideo ?? beside?.handVideo;
  if (still === undefined)
    throw new InvalidArgumentError(
      'static',
      'is required, unless --scene with --trajectory, or --video, is given',
    );
  if (hands === undefined)
    throw new InvalidArgumentError(
      'hands',
      'is required, unless --scene with --trajectory, or --video, is given',
    );
  return { static: still, hands, ...(beside && { caption: beside.promptFile }) };
}

export type LiveClips = ClipFiles | Awaited<ReturnType<typeof readPair>>;

/** The videos, or what they are drawn from; what is odd about videos is said. */
export async function readLiveClips(
  flags: LiveFlags,
  files: LiveFiles,
  {
    model,
    ...size
  }: { readonly height: number; readonly width: number; readonly fps: number; readonly model: string },
  reporter: Reporter,
): Promise<LiveClips> {
  if ('scene' in files) {
    const request = { ...flags, ...files, frames: flags.numFrames, ...size };
    return readClipFiles(request, reporter, { name: '--num-frames', step: 1 });
  }
  const clips = await readPair(files, size.fps, flags.numFrames);
  const { handVideo, sources } = clips;
  const aim = { ...size, model, numFrames: handVideo.frames, fps: handVideo.fps };
  const { line, warnings } = clipReport(sources, handVideo, aim);
  reporter.say(line);
  for (const warning of warnings) reporter.warn(warning);
  return clips;
}

export async function promptOf(
  flags: LiveFlags,
  caption: string | undefined,
  reporter: Reporter,
): Promise<string> {
  if (flags.prompt !== undefined) return flags.prompt;
  if (flags.promptFile !== undefined) return readNamedPrompt(flags.promptFile);
  if (caption !== undefined && (await exists(caption))) return readPrompt(caption);
  reporter.say('no --prompt and no caption beside the hands: the model goes by the hands alone');
  return '';
}
