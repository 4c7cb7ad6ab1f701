/** The clips that the flags of `dwm eval` ask for: those of a list, or one pair. */
import { basename, dirname } from 'node:path';
import { readDatasetList } from '../generate/jobs.ts';
import { fetchJobs, openDataRoot } from '../remote/data-roots.ts';
import type { Reporter } from '../report.ts';
import type { Flags } from './flags.ts';
import { type ClipFiles, filesOfJob } from './read-clips.ts';

/** @throws as `readDatasetList` and `filesOfJob`. */
export async function askedClips(
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<ClipFiles[]> {
  if (!flags.datasetFile) {
    const { truthVideo, staticVideo, handVideo } = flags;
    return [{ name: basename(truthVideo!), index: 0, truth: truthVideo!, staticVideo, handVideo }];
  }
  const opened = await openDataRoot(flags.dataRoot, flags.datasetFile, signal);
  const jobs = await readDatasetList(opened?.list ?? flags.datasetFile, {
    dataRoot: opened?.remote.folder ?? flags.dataRoot!,
    promptSubdir: flags.promptSubdir,
    followLinks: flags.followLinks,
    layout: 'per_sample',
    maxSamples: flags.limit,
  });
  if (opened) await fetchJobs(opened.remote, jobs, reporter);
  // The folder that a clip would have: its stem, or its path where another one has that stem too.
  return Promise.all(jobs.map((job) => filesOfJob({ ...job, name: dirname(job.name) })));
}
