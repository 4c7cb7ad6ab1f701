import { afterEach, expect, test, vi } from 'vitest';
import type { Reporter } from '../report.ts';
import { byteProgress, generationProgress } from './progress.ts';

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

test('bytes a second and the time left, counted from the start of each part', () => {
  vi.useFakeTimers();
  const lines: string[] = [];
  const report = byteProgress({ progress: (line: string) => lines.push(line) } as unknown as Reporter);
  report('loading a', 0, 4e9);
  vi.advanceTimersByTime(2_000);
  report('loading a', 1e9, 4e9);
  report('loading b', 1e6, 9e6);
  expect(lines).toEqual([
    'loading a: 0 B of 4.0 GB',
    'loading a: 1.0 GB of 4.0 GB, 500 MB/s, 0:06 left',
    'loading b: 1.0 MB of 9.0 MB',
  ]);
});
