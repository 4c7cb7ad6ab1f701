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

/** Of reading or writing: `what: 1.2 GB of 11.1 GB, 1.1 GB/s, 0:09 left`, counted from the start of each `what`. */
export function byteProgress(reporter: Reporter): (what: string, done: number, total: number) => void {
  let current: string | undefined;
  let [since, before] = [0, 0];
  return (what, done, total) => {
    const now = performance.now();
    if (what !== current) [current, since, before] = [what, now, done];
    const rate = (done - before) / ((now - since) / 1000);
    const pace =
      now - since > 500 && rate > 0 ? `, ${size(rate)}/s, ${clock((total - done) / rate)} left` : '';
    reporter.progress(`${what}: ${size(done)} of ${size(total)}${pace}`);
  };
}

/** For `DwmPipeline.load`, which it stops when `signal` is. */
export function loadingProgress(reporter: Reporter, signal: AbortSignal) {
  const report = byteProgress(reporter);
  return (part: string, done: number, total: number): void => {
    signal.throwIfAborted();
    report(`loading the ${part}`, done, total);
  };
}
