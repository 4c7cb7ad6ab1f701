/** The files of an evaluation: numbers, the original's table, everybody's table, and the report. */
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { writeFileAtomic } from '@dwm/core-tensor/node';
import type { Strip } from './judge.ts';
import { originalResults } from './original-results.ts';
import type { ClipFiles } from './read-clips.ts';
import { reportHtml } from './report-html.ts';
import type { Scoring } from './score.ts';
import { resultsText } from './summary.ts';
import type { Evaluation, MethodResult } from './types.ts';

/**
 * One of the processes that share the folder writes them.
 * @param strips of the first method.
 * @param predictions files of the clips, where the first method is those.
 * @returns the paths.
 */
export async function writeResults(
  out: string,
  evaluation: Evaluation,
  strips: readonly Strip[],
  predictions: ReadonlyMap<string, string> | undefined,
  { files, worker, settings, signal }: Scoring,
): Promise<Readonly<Record<string, string>>> {
  await mkdir(out, { recursive: true });
  const paths = {
    json: join(out, 'results.json'),
    text: join(out, 'results.txt'),
    methods: join(out, 'methods.txt'),
    report: join(out, 'report.html'),
  };
  const write = async () => {
    await writeFileAtomic(paths.report, await reportHtml(evaluation, strips));
    await writeFileAtomic(paths.methods, resultsText(evaluation));
    await writeFileAtomic(paths.text, originalText(files, evaluation.methods[0], predictions));
    await writeFileAtomic(paths.json, `${JSON.stringify(evaluation, undefined, 1)}\n`);
  };
  const names = Object.values(paths).map((path) => basename(path));
  if (worker) await worker.parts(['the report'], settings, signal, write, names);
  else await write();
  return paths;
}

/**
 * `results.txt`: the first method's numbers in the original's form.
 * @param predictions files of the clips, where the first method is those.
 */
function originalText(
  files: readonly ClipFiles[],
  { clips }: MethodResult,
  predictions: ReadonlyMap<string, string> | undefined,
): string {
  const byName = new Map(files.map((file) => [file.name, file]));
  return originalResults(
    clips.flatMap(({ clip, psnr, ssim, lpipsVgg: lpips }) => {
      const file = byName.get(clip);
      const prediction = basename(predictions?.get(clip) ?? `${clip}.mp4`);
      return file ? [{ truth: file.line ?? file.truth, prediction, psnr, ssim, lpips }] : [];
    }),
  );
}
