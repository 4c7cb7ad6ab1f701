/** The clips of a run, one after another, once everything about them is looked at. */
import { basename, dirname } from 'node:path';
import { checkOutput } from '@dwm/core-tensor/node';
import { knowsOnly } from '@dwm/dwm-model';
import { fetchJobs } from '../remote/data-roots.ts';
import { drawVideos, readClipFiles } from '../render/clips.ts';
import type { Reporter } from '../report.ts';
import { checkJobFiles } from './check.ts';
import { readInputs } from './clip-inputs.ts';
import { tellPlan } from './dry-run.ts';
import { type Flags, isMany } from './flags.ts';
import type { Job } from './jobs.ts';
import { type ClipContext, makeClip, type WrittenClip } from './make-clip.ts';
import { openOnDevice } from './open-on-device.ts';
import { recordRun } from './outputs.ts';
import { hasPrompt, promptOf } from './prompts.ts';
import { filesRecord, runFile } from './records.ts';

/** Of a pixel of a clip, in its videos and pictures, at the least. */
const CLIP_BYTES = 0.1;

export async function makeList(jobs: readonly Job[], context: ClipContext): Promise<void> {
  const { run, share, record, reporter, signal } = context;
  const { flags } = run;
  await checkFiles(jobs, flags, reporter);
  const { scene, trajectory } = flags;
  const drawn =
    scene && trajectory !== undefined
      ? await readClipFiles({ ...flags, scene, trajectory, frames: flags.numFrames }, reporter)
      : undefined;
  const first = drawn
    ? { prompt: await promptOf(jobs[0], run.prompt, flags) }
    : await readInputs(jobs[0], run, reporter);
  const limit = drawn && knowsOnly(basename(flags.model ?? ''));
  if (limit) reporter.say(limit);
  if (flags.dryRun) return tellPlan(run, reporter);

  const opened = await openOnDevice(run, jobs, reporter, signal);
  const recorded = { ...record, ...(!isMany(flags) && filesRecord(jobs[0], flags)) };
  // Those that deal a list out write it once, as the original has it.
  if (share.shard.rank === 0) await recordRun(runFile(flags, jobs[0]), recorded);
  try {
    const made: WrittenClip[] = [];
    for (const [i, job] of jobs.entries()) {
      signal.throwIfAborted();
      if (jobs.length > 1) reporter.say(`clip ${i + 1} of ${jobs.length}: ${basename(job.name)}`);
      const inputs = i === 0 ? first : await readInputs(job, run, reporter);
      const whole =
        'videos' in inputs
          ? inputs
          : { ...inputs, videos: await drawVideos(opened.device, drawn!, reporter, signal) };
      made.push(await makeClip(context, opened, job, whole));
    }
    reporter.result({ clips: made }, made.map(({ video }) => video).join('\n'));
  } finally {
    opened.pipeline.destroy();
    opened.device.destroy();
  }
}

/** That inputs are there, and outputs have room. */
async function checkFiles(jobs: readonly Job[], flags: Flags, reporter: Reporter): Promise<void> {
  if (flags.remote) await fetchJobs(flags.remote, jobs, reporter);
  const silent = await checkJobFiles(jobs, flags);
  if (silent.length > 0 && !hasPrompt(flags)) {
    const others = silent.length > 1 ? ` and ${silent.length - 1} others` : '';
    reporter.warn(`${silent[0]}${others}: no such caption; the prompt is empty`);
  }
  const pixels = flags.numFrames * flags.height * flags.width;
  await checkOutput(dirname(jobs[0].name), jobs.length * pixels * CLIP_BYTES);
  if (flags.saveTensors) await checkOutput(dirname(flags.saveTensors), pixels * 12);
}
