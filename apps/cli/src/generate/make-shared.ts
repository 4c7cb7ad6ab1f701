/** The clips of a list as one of several processes that share it; those that are there are kept. */
import { relative } from 'node:path';
import { fetchJobs } from '../remote/data-roots.ts';
import type { Worker } from '../work/claim.ts';
import { checkJobFiles } from './check.ts';
import { readInputs } from './clip-inputs.ts';
import type { Job } from './jobs.ts';
import { type ClipContext, makeClip, type WrittenClip } from './make-clip.ts';
import { type Opened, openOnDevice } from './open-on-device.ts';
import { outputPaths, recordRun } from './outputs.ts';
import { runFile } from './records.ts';

export async function makeShared(worker: Worker, jobs: readonly Job[], context: ClipContext): Promise<void> {
  const { run, record, reporter, signal } = context;
  const { flags } = run;
  const made: WrittenClip[] = [];
  if (worker.place.rank === 0) await recordRun(runFile(flags, jobs[0]), record);
  let opened: Opened | undefined;
  try {
    await worker.each({
      items: jobs.map((job) => ({
        job,
        name: job.line!,
        file: relative(flags.outputDir!, outputPaths(job.name, false).video),
      })),
      signal,
      open: async () => {
        opened = await openOnDevice(run, jobs, reporter, signal);
        return opened;
      },
      async work({ job }, model) {
        if (flags.remote) await fetchJobs(flags.remote, [job], reporter);
        await checkJobFiles([job], flags);
        made.push(await makeClip(context, model, job, await readInputs(job, run, reporter)));
      },
    });
  } finally {
    opened?.pipeline.destroy();
    opened?.device.destroy();
  }
  const text = made.map(({ video }) => video).join('\n');
  reporter.result({ clips: made }, made.length > 0 ? text : 'nothing to do: other processes made all clips');
}
