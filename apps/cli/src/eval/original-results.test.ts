import { expect, test } from 'vitest';
import { originalResults, predictionNames } from './original-results.ts';

test('results.txt as compute_metrics.py writes it', () => {
  const text = originalResults([
    { truth: 'a/videos/1.mp4', prediction: 'a_videos_1_0.mp4', psnr: 20.12346, ssim: 0.5, lpips: 0.25 },
    { truth: 'a/videos/1.mp4', prediction: 'a_videos_1_1.mp4', psnr: 22, ssim: 0.7, lpips: 0.75 },
    { truth: 'b/videos/2.mp4', prediction: '2.mp4', psnr: Number.POSITIVE_INFINITY, ssim: 1, lpips: 0 },
  ]);
  expect(text).toBe(
    '\nGT: a/videos/1.mp4\n' +
      '  PRED: a_videos_1_0.mp4\tPSNR: 20.1235\tSSIM: 0.5000\tLPIPS: 0.250000\tDreamSim: nan\n' +
      '  PRED: a_videos_1_1.mp4\tPSNR: 22.0000\tSSIM: 0.7000\tLPIPS: 0.750000\tDreamSim: nan\n' +
      '\nGT: b/videos/2.mp4\n' +
      '  PRED: 2.mp4\tPSNR: inf\tSSIM: 1.0000\tLPIPS: 0.000000\tDreamSim: nan\n' +
      '\nOVERALL AVERAGES (across all GT–PRED pairs)\n' +
      'PSNR: inf\tSSIM: 0.7333\tLPIPS: 0.333333\tDreamSim: nan\n',
  );
  expect(originalResults([])).toContain('No valid GT–PRED pairs');
});

test('predictions are looked for by the names of both', () => {
  expect(predictionNames('a/videos/1.mp4', '1')).toEqual([
    'a_videos_1.mp4',
    'a_videos_1_0.mp4',
    '1.mp4',
    '1/1.mp4',
    'a_videos_1',
    'a_videos_1_0',
    '1/1',
    '1',
  ]);
  // Never by a stem that another clip has too.
  expect(predictionNames('a/videos/1.mp4', 'a/1')).toEqual([
    'a_videos_1.mp4',
    'a_videos_1_0.mp4',
    'a/1.mp4',
    'a/1/1.mp4',
    'a_videos_1',
    'a_videos_1_0',
    'a/1/1',
    'a/1',
  ]);
});
