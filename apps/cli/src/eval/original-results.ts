/** `results.txt` in the form of the original's `compute_metrics.py`, and the names that it looks for predictions by. */
import { basename, extname } from 'node:path';

/** A clip and what was made of it. */
interface Pair {
  /** As its list has it. */
  readonly truth: string;
  readonly prediction: string;
  readonly psnr: number;
  readonly ssim: number;
  /** Undefined without its weights. */
  readonly lpips?: number;
}

/**
 * Names below the folder of predictions, the first that is there: the original's, then those of `dwm generate`, and
 * of each as a folder of frames.
 * @param own the clip's name among those of its list: its stem, or its path where another clip has that stem too.
 */
export function predictionNames(truth: string, own: string): string[] {
  const flat = truth.replaceAll('/', '_');
  const extension = extname(flat);
  const root = flat.slice(0, flat.length - extension.length);
  const files = [flat, `${root}_0${extension}`, `${own}.mp4`, `${own}/${basename(own)}.mp4`];
  // Last of all the folder of `dwm generate`, which holds other pictures too.
  const folders = [root, `${root}_0`, `${own}/${basename(own)}`, own];
  return [...new Set([...files, ...folders])];
}

const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;

/** Python's text of a number; DreamSim has no weights here. */
const fixed = (value: number | undefined, digits: number) =>
  value === undefined || Number.isNaN(value)
    ? 'nan'
    : Number.isFinite(value)
      ? value.toFixed(digits)
      : value > 0
        ? 'inf'
        : '-inf';

export function originalResults(pairs: readonly Pair[]): string {
  if (pairs.length === 0) return 'No valid GT–PRED pairs were found; nothing to average.\n';
  const numbers = (psnr: number, ssim: number, lpips: number | undefined) =>
    `PSNR: ${fixed(psnr, 4)}\tSSIM: ${fixed(ssim, 4)}\tLPIPS: ${fixed(lpips, 6)}\tDreamSim: nan\n`;
  let text = '';
  let current: string | undefined;
  for (const { truth, prediction, psnr, ssim, lpips } of pairs) {
    if (truth !== current) text += `\nGT: ${truth}\n`;
    current = truth;
    text += `  PRED: ${prediction}\t${numbers(psnr, ssim, lpips)}`;
  }
  const lpips = pairs.flatMap((pair) => pair.lpips ?? []);
  text += '\nOVERALL AVERAGES (across all GT–PRED pairs)\n';
  text += numbers(
    mean(pairs.map(({ psnr }) => psnr)),
    mean(pairs.map(({ ssim }) => ssim)),
    lpips.length === pairs.length ? mean(lpips) : undefined,
  );
  return text;
}
