/** The progress lines of a generation: of loading, then stage, step, seconds a step and time left. */
import type { Progress } from '@dwm/dwm-model';
import { clock, type Reporter, size } from '../report.ts';

const STAGES: Record<Progress['stage'], string> = {
  text: 'reading the prompt',
  encode: 'encoding the videos',
  denoise: 'denoising',
  decode: 'decoding the video',
};

export function generationProgress(reporter: Reporter): (progress: Progress) => void {
  let stage: Progress['stage'] | undefined;
  let since = 0;
  return ({ stage: now, done, step, steps, preview }) => {
    if (now !== stage) {
      stage = now;
      since = performance.now();
    }
    const elapsed = (performance.now() - since) / 1000;
    const left = done > 0.02 ? `, ${clock((elapsed / done) * (1 - done))} left` : '';
    if (now === 'denoise' && step && steps) {
      const pace =
        done > 0
          ? `, ${(elapsed / (done * steps)).toFixed(elapsed / done / steps < 10 ? 2 : 0)} s a step`
          : '';
      reporter.progress(
        `denoising: step ${step} of ${steps}${pace}${left}`,
        preview !== undefined && step === steps,
      );
    } else {
      reporter.progress(`${STAGES[now]}: ${Math.floor(done * 100)}%${left}`);
    }
  };
}

/** For `DwmPipeline.load`, which it stops when `signal` is. */
export const loadingProgress =
  (reporter: Reporter, signal: AbortSignal) =>
  (part: string, done: number, total: number): void => {
    signal.throwIfAborted();
    reporter.progress(`loading the ${part}: ${size(done)} of ${size(total)}`);
  };
