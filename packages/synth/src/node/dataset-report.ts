/** Clips, rejections and actions counted. */
import type { DatasetReport } from './dataset-options.ts';
import type { ClipResult } from './make-clip.ts';

export function datasetReport(
  list: string,
  results: readonly ClipResult[],
  kept: number,
  seconds: number,
): DatasetReport {
  const tally = (values: readonly (string | undefined)[]) => {
    const counts: Record<string, number> = {};
    for (const value of values) if (value) counts[value] = (counts[value] ?? 0) + 1;
    return counts;
  };
  const good = results.filter(({ rejected }) => !rejected);
  const measured = good.flatMap(({ codecPsnr }) => (codecPsnr === undefined ? [] : [codecPsnr]));
  const rejected = results.length - good.length;
  return {
    list,
    clips: good.length,
    kept,
    rejected,
    rejectionRate: results.length > 0 ? rejected / results.length : 0,
    reasons: tally(results.map(({ rejected, action }) => rejected && `${rejected} (${action})`)),
    actions: tally(good.map(({ action }) => action)),
    seconds,
    clipsPerSecond: (good.length - kept) / Math.max(seconds, 1e-3),
    ...(measured.length > 0 && { codecPsnr: Math.min(...measured) }),
    seeds: seedsOf(good),
  };
}

/** Ascending. */
export const seedsOf = (results: readonly ClipResult[]): number[] =>
  results
    .filter(({ rejected }) => !rejected)
    .map(({ seed }) => seed)
    .sort((a, b) => a - b);
