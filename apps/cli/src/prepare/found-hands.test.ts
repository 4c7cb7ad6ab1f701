import { cameraToWorld, fromFieldOfView, type Hands, NO_HANDS } from '@dwm/renderer';
import { expect, test } from 'vitest';
import { handReport } from './found-hands.ts';

test('the report counts a hand where it is seen or carried on, and says how sure each sight was', () => {
  const hand: Hands = { left: null, right: { joints: new Float64Array(175) } };
  const hands = [hand, hand, hand, NO_HANDS];
  const sight = (presence: number, reprojectionError: number) => ({
    left: null,
    right: { presence, sideCertainty: 0.75, reprojectionError },
  });
  const none = { left: null, right: null };
  const records = [sight(0.9, 2), none, sight(0.7, 4), none];
  const intrinsics = fromFieldOfView(640, 480, 1);
  const camera = cameraToWorld('opengl', [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
  const frames = hands.map((one, i) => ({ seconds: i / 8, intrinsics, camera, hands: one }));
  const found = { hands, records, sizes: { left: 1, right: 1.05 } };
  const shown = { video: 'a.mp4', size: { width: 640, height: 480 }, picked: [0, 4, 8, 12], fps: 8 };
  const report = handReport({ trajectory: { fps: 8, frames }, found }, shown);
  expect(report.right).toEqual({
    framesWithHand: 3,
    framesSeen: 2,
    confidence: 0.8,
    reprojectionErrorPixels: 4,
    size: 1.05,
  });
  expect(report.left).toMatchObject({ framesWithHand: 0, framesSeen: 0, confidence: null });
  expect(report.perFrame).toEqual([
    {
      ...{ sourceFrame: 0, left: null },
      right: { confidence: 0.9, sideCertainty: 0.75, reprojectionErrorPixels: 2 },
    },
    { sourceFrame: 4, left: null, right: 'bridged' },
    {
      ...{ sourceFrame: 8, left: null },
      right: { confidence: 0.7, sideCertainty: 0.75, reprojectionErrorPixels: 4 },
    },
    { sourceFrame: 12, left: null, right: null },
  ]);
});
