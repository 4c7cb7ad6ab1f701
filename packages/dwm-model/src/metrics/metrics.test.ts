import { DwmError } from '@dwm/core-tensor';
import { expect, test } from 'vitest';
import type { Video } from '../video/video.ts';
import {
  bootstrapMean,
  changedRegion,
  clipPsnr,
  clipSsim,
  dilate,
  handAgreement,
  regionPsnr,
  scoreClip,
  shareOf,
  sharpness,
  temporalFlicker,
} from './index.ts';

/** A clip whose pixel (f, y, x) is what `color` says. */
function paint(
  frames: number,
  height: number,
  width: number,
  color: (f: number, y: number, x: number) => readonly number[],
): Video {
  const data = new Uint8Array(frames * height * width * 3);
  for (let f = 0, i = 0; f < frames; f++)
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++, i += 3) data.set(color(f, y, x), i);
  return { data, frames, height, width };
}

const grey = (value: number) => [value, value, value];
const flat = (value: number, frames = 3) => paint(frames, 16, 20, () => grey(value));
const textured = paint(3, 16, 20, (f, y, x) => [(x * 37 + f * 5) % 256, (y * 53) % 256, (x * y * 11) % 256]);

test('PSNR of a known error, of frames that differ, and of equal clips', () => {
  const off = clipPsnr(flat(110), flat(100));
  expect(off.wholeClip).toBeCloseTo(-20 * Math.log10(10 / 255), 9);
  const uneven = paint(2, 16, 20, (f) => grey(f === 0 ? 101 : 120));
  const psnr = clipPsnr(uneven, flat(100, 2));
  expect(psnr.wholeClip).toBeCloseTo(-10 * Math.log10((1 + 400) / 2 / 255 ** 2), 9);
  expect(psnr.meanOfFrames).toBeCloseTo(-10 * Math.log10(Math.sqrt(400) / 255 ** 2), 9);
  expect(clipPsnr(textured, textured).wholeClip).toBe(100);
});

test('SSIM of flat pictures is the luminance term; of equal ones 1', () => {
  const [a, b] = [110 / 255, 100 / 255];
  const want = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4);
  expect(clipSsim(flat(110), flat(100)).mean).toBeCloseTo(want, 9);
  expect(clipSsim(textured, textured).mean).toBeCloseTo(1, 12);
  const small = paint(1, 10, 20, () => grey(0));
  expect(() => clipSsim(small, small)).toThrow(/11x11 pixels or more, got 20x10/);
});

test('the changed region is what differs by more than 8, and 4 pixels around, within its frame', () => {
  const truth = paint(2, 16, 20, (f, y, x) =>
    grey(f === 1 && y === 2 && x === 10 ? 109 : f === 0 ? 108 : 100),
  );
  const region = changedRegion(truth, flat(100, 2));
  const set = [...region.keys()].filter((p) => region[p] === 1);
  expect(set.every((p) => p >= 320)).toBe(true);
  expect(set).toHaveLength(7 * 9);
  const corner = dilate(
    Uint8Array.from({ length: 12 }, (_, i) => Number(i === 3)),
    3,
    4,
    1,
  );
  expect([...corner]).toEqual([0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0]);
});

test('sharpness: half the contrast has half the gradient and a quarter of its energy, in the region alone', () => {
  const half = paint(3, 16, 20, (f, y, x) => {
    const at = ((f * 16 + y) * 20 + x) * 3;
    return x < 10 ? [0, 1, 2].map((c) => textured.data[at + c] >> 1) : grey(7);
  });
  const left = paint(3, 16, 20, (_, __, x) => grey(x < 10 ? 1 : 0)).data.filter((_, i) => i % 3 === 0);
  const all = left.map(() => 1);
  const { gradient, energy } = sharpness(half, textured, left)!;
  expect(gradient).toBeCloseTo(0.5, 1);
  expect(energy).toBeCloseTo(0.25, 1);
  expect(sharpness(half, textured, all)!.energy).toBeLessThan(0.2);
  // By hand: one step of 30 grey levels to the right, one of 40 down.
  const step = paint(1, 2, 2, (_, y, x) => grey(x === 1 ? 30 : y === 1 ? 40 : 0));
  const double = paint(1, 2, 2, (_, y, x) => grey(x === 1 ? 60 : y === 1 ? 80 : 0));
  const ones = new Uint8Array(4).fill(1);
  expect(sharpness(double, step, ones)!.gradient).toBeCloseTo(2, 12);
  expect(sharpness(double, step, ones)!.energy).toBeCloseTo(4, 12);
  expect(
    sharpness(
      step,
      paint(1, 2, 2, () => grey(9)),
      ones,
    ),
  ).toBeUndefined();
  expect(sharpness(step, double, new Uint8Array(4))).toBeUndefined();
});

test('regions split the error', () => {
  const region = paint(3, 16, 20, (_, __, x) => grey(x < 10 ? 1 : 0)).data.filter((_, i) => i % 3 === 0);
  const prediction = paint(3, 16, 20, (_, __, x) => grey(x < 10 ? 130 : 101));
  expect(regionPsnr(prediction, flat(100), region, 1)).toBeCloseTo(-20 * Math.log10(30 / 255), 9);
  expect(regionPsnr(prediction, flat(100), region, 0)).toBeCloseTo(-20 * Math.log10(1 / 255), 9);
  expect(
    regionPsnr(
      prediction,
      flat(100),
      region.map(() => 0),
      1,
    ),
  ).toBeUndefined();
  const { changed, unchanged, mean } = clipSsim(prediction, flat(100), region);
  expect(changed!).toBeLessThan(unchanged!);
  expect(mean).toBeGreaterThan(changed!);
});

test('flicker counts what stands still, whatever the camera does', () => {
  const moving = paint(3, 16, 20, (f, y, x) => grey((x * 9 + y * 3 + f * 20) % 200));
  const nothing = new Uint8Array(3 * 16 * 20);
  expect(temporalFlicker(moving, moving, nothing).mean).toBe(0);
  const flickers = { ...moving, data: moving.data.map((v, i) => v + (Math.floor(i / 960) === 1 ? 6 : 0)) };
  expect(temporalFlicker(flickers, moving, nothing)).toEqual({ mean: 6, steps: [6, 6] });
  const everything = nothing.map(() => 1);
  expect(temporalFlicker(flickers, moving, everything).mean).toBeUndefined();
});

test('hand agreement: skin where the render is, half off, and none', () => {
  const skin = [200, 140, 110];
  const still = flat(100);
  const at = (from: number) => (_: number, y: number, x: number) => y < 8 && x >= from && x < from + 8;
  const hands = paint(3, 16, 20, (...p) => (at(0)(...p) ? [128, 204, 128] : [0, 0, 0]));
  const shows = (from: number, color: number[]) =>
    paint(3, 16, 20, (...p) => (at(from)(...p) ? color : grey(100)));
  expect(handAgreement(shows(0, skin), still, hands).iou).toBe(1);
  expect(handAgreement(shows(4, skin), still, hands).iou).toBeCloseTo(1 / 3, 12);
  expect(handAgreement(shows(0, [30, 60, 220]), still, hands).iou).toBe(0);
  expect(handAgreement(still, still, flat(0)).iou).toBeUndefined();
});

test('the bootstrap interval covers the mean in about 95% of samples, and repeats', () => {
  let covered = 0;
  for (let trial = 0; trial < 40; trial++) {
    const values = Array.from(
      { length: 40 },
      (_, i) => ((Math.sin((trial * 40 + i) * 12.9898) * 43758.5453) % 1) ** 2,
    );
    const { low, high } = bootstrapMean(values)!;
    if (low <= 1 / 3 && 1 / 3 <= high) covered++;
  }
  expect(covered).toBeGreaterThan(33);
  expect(bootstrapMean([1, 2, 4])).toEqual(bootstrapMean([1, 2, 4]));
  expect(bootstrapMean([3])).toEqual({ mean: 3, low: 3, high: 3, count: 1 });
  expect(bootstrapMean([])).toBeUndefined();
});

test('clips of other lengths or sizes are an error that names both', () => {
  const named = (name: string, clip: Video) => ({ name, clip });
  const score = () => scoreClip({ prediction: named('p.mp4', flat(1, 2)), truth: named('t.mp4', flat(1)) });
  expect(score).toThrow(DwmError);
  expect(score).toThrow(/^p\.mp4 has 2 frames of 20x16, but t\.mp4 has 3 frames of 20x16/);
});

test('a score has every metric that its clips allow', () => {
  const named = (name: string, clip: Video) => ({ name, clip });
  const half = paint(3, 16, 20, (_, y, x) => grey(x < 6 ? (y * 53) % 256 : 90));
  const [truth, prediction] = [named('t', half), named('p', flat(90))];
  expect(Object.keys(scoreClip({ prediction, truth }))).toEqual(['psnr', 'psnrFrames', 'ssim', 'overTime']);
  const all = scoreClip({ prediction, truth, static: named('s', flat(90)), hands: named('h', flat(0)) });
  expect(all.flicker).toBe(0);
  expect(all.psnrChanged).toBeLessThan(30);
  expect(all.handIou).toBeNull();
});

test('an interval of a share: values of Wilson’s formula, inside 0 to 1', () => {
  const { low, high } = shareOf(38, 50);
  expect([low, high].map((value) => value.toFixed(4))).toEqual(['0.6259', '0.8570']);
  expect(shareOf(10, 10)).toMatchObject({ share: 1, high: 1 });
  expect(shareOf(10, 10).low).toBeCloseTo(0.7225, 3);
  expect(shareOf(0, 10).low).toBe(0);
});
