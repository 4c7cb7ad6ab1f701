/** The clips that the flags of `dwm generate` ask for: those of a list, of a manifest, or one. */
import { basename, extname, join } from 'node:path';
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { ModelFamily } from '@dwm/dwm-model';
import type { Reporter } from '../report.ts';
import { shuffleHands } from './ablate.ts';
import { exists } from './files.ts';
import type { Asked } from './flags.ts';
import { type Job, jobOfVideo, readDatasetList, type Share, shareOf } from './jobs.ts';
import { outputPaths } from './outputs.ts';
import { hasPrompt } from './prompts.ts';
import { readVariants, type Variants } from './variants.ts';

/** Every job's `name` is the output path without extension. */
interface AskedJobs extends Variants {
  /** Clips of all processes together. */
  readonly total: number;
}

export async function askedJobs(
  asked: Asked,
  share: Share,
  family: ModelFamily,
  reporter: Reporter,
): Promise<AskedJobs> {
  if (asked.datasetFile) return listJobs(asked, asked.datasetFile, share, family);
  if (asked.variantManifestJson) return variantJobs(asked, asked.variantManifestJson);
  return { jobs: [await oneJob(asked, reporter)], total: 1 };
}

/** Without those whose video `--skip-existing` leaves as it is. */
export async function unmadeJobs(jobs: readonly Job[], asked: Asked, reporter: Reporter): Promise<Job[]> {
  const unmade: Job[] = [];
  for (const job of jobs) {
    if (asked.skipExisting && (await exists(outputPaths(job.name, false).video))) {
      reporter.say(`${job.name}.mp4 is there already`);
    } else unmade.push(job);
  }
  return unmade;
}

/** A clip's path below the output folder, without extension. */
const outputStem = ({ outputDir, suffix = '' }: Asked, name: string): string =>
  join(outputDir!, name + suffix);

/** A clip for each of a manifest's hands, and what it says to all of them. */
async function variantJobs(asked: Asked, file: string): Promise<AskedJobs> {
  const variants = await readVariants(file, asked, asked.dataRoot);
  const jobs = variants.jobs.map((job) => ({ ...job, name: outputStem(asked, job.name) }));
  return { ...variants, jobs, total: jobs.length };
}

/** This process's clips of the list. */
async function listJobs(
  flags: Asked,
  list: string,
  share: Share,
  { defaults }: ModelFamily,
): Promise<AskedJobs> {
  const all = await readDatasetList(list, {
    dataRoot: flags.dataRoot!,
    promptSubdir: flags.promptSubdir,
    staticSubdir: flags.staticSubdir,
    handSubdir: flags.handSubdir,
    followLinks: flags.followLinks,
    layout: flags.datasetOutputLayout,
    maxSamples: flags.maxSamples,
    shuffleSeed: flags.shuffleDataset ? (flags.shuffleSeed ?? flags.seed) : undefined,
  });
  const own = flags.ablate === 'shuffled-hands' ? shuffleHands(all) : all;
  const jobs = flags.withoutHands ? own.map((job) => ({ ...job, handVideo: job.staticVideo })) : own;
  const named = shareOf(jobs, share, defaults.chunkRemainder).map((job) => ({
    ...job,
    name: outputStem(flags, job.name),
  }));
  return { jobs: named, total: jobs.length };
}

/** The caption beside a trajectory, `<trajectory>.txt`; without one the hands alone tell what happens. */
async function captionOfTrajectory(trajectory: string, reporter: Reporter): Promise<string | undefined> {
  const file = trajectory.replace(/\.[^.]+$/, '.txt');
  if (await exists(file)) return file;
  reporter.say(`no --prompt and no ${file}: the model gets no caption and goes by the hands alone`);
}

/** The one clip that the flags ask for. */
async function oneJob(flags: Asked, reporter: Reporter): Promise<Job> {
  const beside = flags.video ? jobOfVideo(flags.video, flags, 0, '') : undefined;
  const staticVideo = flags.scene?.[0] ?? flags.staticVideo ?? beside?.staticVideo;
  const handVideo =
    flags.trajectory ?? (flags.withoutHands ? staticVideo : (flags.handVideo ?? beside?.handVideo));
  if (!staticVideo || !handVideo) {
    const missing = staticVideo ? 'hands' : 'static';
    throw new InvalidArgumentError(
      missing,
      'is required, unless --scene, --video, --dataset-file or --variant-manifest-json is given',
    );
  }
  const stem = flags.video ? basename(flags.video, extname(flags.video)) : 'generated';
  const out = flags.out ?? (flags.outputDir && `${outputStem(flags, stem)}.mp4`);
  if (!out) throw new InvalidArgumentError('out', 'is required: the .mp4 to write');
  if (extname(out) !== '.mp4')
    throw new InvalidArgumentError('out', `expected a name ending in .mp4, got ${out}`);
  const prompted = hasPrompt(flags);
  if (!beside && !flags.trajectory && !prompted) {
    throw new InvalidArgumentError(
      'prompt',
      'is required; or pass --prompt-file, --prompt-embeds or --use-empty-prompts',
    );
  }
  return {
    staticVideo,
    handVideo,
    truth: beside?.truth,
    promptFile:
      flags.trajectory && !prompted
        ? await captionOfTrajectory(flags.trajectory, reporter)
        : beside?.promptFile,
    name: out.slice(0, -4),
    index: 0,
  };
}
