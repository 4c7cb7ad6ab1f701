/** One clip from its inputs: made, written and recorded. */
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeUse } from '@dwm/core-tensor/tune';
import {
  handCoverage,
  handWarning,
  type Mask,
  type ModelFamily,
  type RunSettings,
  UndecodedError,
} from '@dwm/dwm-model';
import { shortcutsOf } from '../commands/options.ts';
import { clock, type Reporter } from '../report.ts';
import { ablateVideos } from './ablate.ts';
import type { CheckedRun } from './checked-run.ts';
import type { ClipInputs } from './clip-inputs.ts';
import { exists } from './files.ts';
import type { Flags } from './flags.ts';
import { readLatents } from './inputs.ts';
import type { Job, Share } from './jobs.ts';
import type { Opened } from './open-on-device.ts';
import {
  keptLatents,
  metadataPath,
  outputPaths,
  recordRun,
  saveLatents,
  saveTensors,
  writeClip,
} from './outputs.ts';
import { generationProgress } from './progress.ts';
import { warnIfLong } from './prompts.ts';
import { clipRecord, filesRecord } from './records.ts';

/** What the clips of a run have in common. */
export interface ClipContext {
  readonly run: CheckedRun;
  readonly share: Share;
  /** What is true of the whole run, for `metadata.json`. */
  readonly record: Readonly<Record<string, unknown>>;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

/** What was written. */
export interface WrittenClip {
  readonly video: string;
  readonly metadata: string;
  readonly seconds: number;
}

export async function makeClip(
  { run, share, record, reporter, signal }: ClipContext,
  opened: Opened,
  job: Job,
  { prompt, said = [], ...read }: ClipInputs,
): Promise<WrittenClip> {
  const { flags, draws } = run;
  const { device, pipeline } = opened;
  const videos = ablateVideos(read.videos, flags.ablate);
  if (typeof prompt === 'string') warnIfLong(prompt, pipeline, reporter);
  const paths = outputPaths(job.name, videos.truth !== undefined, flags.out === undefined);
  const settings = settingsOf(flags, job, pipeline.family);
  const estimate = () => pipeline.estimate({ ...settings, ...videos, prompt });
  await beforeUse.tune(device, () => estimate().plans);
  const plannedBytes = estimate().bytes;
  // Hands that were taken away on purpose are no news.
  const handless = flags.ablate ?? flags.withoutHands;
  const known = new Set([...said, ...(handless ? [handWarning(handCoverage(videos.handVideo))] : [])]);
  const started = performance.now();
  const kept = keptLatents(job.name);
  const denoised = flags.resume && (await exists(kept)) ? await readLatents(kept) : undefined;
  if (denoised) reporter.say(`decoding ${kept}`);
  else if (flags.resume) reporter.say(`${kept} is not there, so the clip is made from the start`);
  const generation = pipeline.generate({
    ...settings,
    ...videos,
    ...(flags.firstFrameOnly && { mask: laterFrames(settings) }),
    prompt,
    draws,
    denoised,
    exact: flags.saveTensors !== undefined,
    signal,
    onWarning(line) {
      if (!known.has(line)) reporter.warn(line);
    },
    onProgress: generationProgress(reporter),
  });
  const generated = await generation.catch((error: unknown) =>
    keepUndecoded(error, kept, denoised !== undefined),
  );
  const seconds = (performance.now() - started) / 1000;
  signal.throwIfAborted();
  if (flags.saveTensors) await saveTensors(flags.saveTensors, generated);
  const metadata = metadataPath(paths.video, share);
  const hasTruth = videos.truth !== undefined;
  const made = { prompt, hasTruth, generated, plannedBytes, seconds };
  const entry = clipRecord(settings, flags, job, opened, made);
  if (flags.datasetFile && flags.datasetOutputLayout === 'per_sample' && share.shard.rank === 0) {
    await recordRun(join(dirname(paths.video), 'metadata.json'), {
      ...record,
      relative_video_path: job.line,
      ...filesRecord(job, flags),
      seed: settings.seed,
      global_index: job.index,
    });
  }
  const written = typeof prompt === 'string' ? prompt : '';
  await writeClip(paths, { ...generated, fps: flags.fps }, videos, { file: metadata, entry }, written);
  if (denoised) await rm(kept);
  const left = generated.calculated.filter((step) => !step).length;
  const steps = left > 0 ? `, ${left} of ${generated.calculated.length} steps left out` : '';
  reporter.progress(`${paths.video}: ${clock(seconds)}${steps}`, true);
  return { video: paths.video, metadata, seconds };
}

/** What the pipeline is told, and the record has. */
const settingsOf = (flags: Flags, { index }: Job, { defaults }: ModelFamily) => ({
  negativePrompt: flags.negativePrompt,
  numFrames: flags.numFrames,
  height: flags.height,
  width: flags.width,
  numInferenceSteps: flags.numInferenceSteps,
  guidanceScale: flags.guidanceScale,
  dynamicGuidance: flags.dynamicGuidance ?? false,
  composite: flags.composite,
  seed: flags.seed + (flags.datasetFile && defaults.seedOfClip === 'add-place' ? index : 0),
  strength: flags.strength,
  tiling: flags.tiling,
  ...shortcutsOf(flags),
});

/**
 * Throws the error on; latents that could not be decoded are kept in `kept` first.
 * @param again whether they come from there.
 */
async function keepUndecoded(error: unknown, kept: string, again: boolean): Promise<never> {
  if (!(error instanceof UndecodedError)) throw error;
  const { latentShape, latents } = error;
  if (!again) await saveLatents(kept, latentShape, latents);
  error.message += again
    ? `; the latents stay in ${kept}: with less --memory than is there, --resume decodes them in smaller tiles still`
    : `; the latents are kept in ${kept}: the same command with --resume decodes them again, in smaller tiles`;
  throw error;
}

/** A mask that hides all frames but the first. */
function laterFrames({
  numFrames: frames,
  height,
  width,
}: Pick<RunSettings, 'numFrames' | 'height' | 'width'>): Mask {
  return { frames, height, width, data: new Uint8Array(frames * height * width).fill(255, height * width) };
}
