/** The progress line of a clip that is drawn: frame, frames a second and time left. */
import { clock, type Reporter } from '../report.ts';

export function frameProgress(reporter: Reporter, what: string): (done: number, frames: number) => void {
  const started = performance.now();
  return (done, frames) => {
    const seconds = (performance.now() - started) / 1000;
    const rate = done / seconds;
    reporter.progress(
      `${what}: frame ${done} of ${frames}, ${rate.toFixed(1)} a second, ${clock((frames - done) / rate)} left`,
    );
  };
}
