import { expect, it } from 'vitest';
import { type DownloadProgress, ProgressMeter } from './progress.ts';

it('ProgressMeter measures rate and remaining time over the last five seconds', () => {
  let now = 0;
  const events: DownloadProgress[] = [];
  const meter = new ProgressMeter(
    10_000,
    (event) => events.push(event),
    () => now,
  );
  meter.finished('a', 1000);
  // 100 bytes a second for 10 s, then 300 bytes a second for 10 s.
  let bytes = 0;
  for (let second = 1; second <= 20; second++) {
    now = second * 1000;
    const chunk = second <= 10 ? 100 : 300;
    bytes += chunk;
    meter.received('b', 9000, bytes, chunk);
    if (second === 10)
      expect(events.at(-1)).toMatchObject({ bytes: 2000, bytesPerSecond: 100, etaSeconds: 80 });
  }
  expect(events.at(-1)).toEqual({
    phase: 'download',
    file: 'b',
    fileBytes: 4000,
    fileSize: 9000,
    bytes: 5000,
    totalBytes: 10_000,
    bytesPerSecond: 300,
    etaSeconds: 5000 / 300,
  });
  const count = events.length;
  now += 50;
  meter.received('b', 9000, bytes + 1, 1);
  expect(events.length).toBe(count);
});
