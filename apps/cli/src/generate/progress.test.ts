import { afterEach, expect, test, vi } from 'vitest';
import type { Reporter } from '../report.ts';
import { generationProgress } from './progress.ts';

afterEach(() => vi.useRealTimers());

test('the line shows step, seconds a step and time left, counted from the start of the stage', () => {
  vi.useFakeTimers();
  const lines: string[] = [];
  const reporter = { progress: (line: string) => lines.push(line) } as unknown as Reporter;
  const report = generationProgress(reporter);
  report({ stage: 'encode', done: 0 });
  vi.advanceTimersByTime(30_000);
  report({ stage: 'encode', done: 0.25 });
  report({ stage: 'denoise', done: 0, step: 1, steps: 4 });
  vi.advanceTimersByTime(4_000);
  report({ stage: 'denoise', done: 0.25, step: 1, steps: 4 });
  vi.advanceTimersByTime(2_000);
  report({ stage: 'denoise', done: 0.375, step: 2, steps: 4 });
  expect(lines).toEqual([
    'encoding the videos: 0%',
    'encoding the videos: 25%, 1:30 left',
    'denoising: step 1 of 4',
    'denoising: step 1 of 4, 4.00 s a step, 0:12 left',
    'denoising: step 2 of 4, 4.00 s a step, 0:10 left',
  ]);
});
