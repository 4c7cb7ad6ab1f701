import { cameraToWorld, fromFieldOfView, type Vec3 } from '@dwm/renderer';
import { expect, test } from 'vitest';
import { targetsAt } from './hand-path.ts';
import { targetsNearChange } from './near-change.ts';

test('targets are those seen where the goal differs; all, where none is', () => {
  const size = { frames: 1, height: 16, width: 24 };
  const clip = (bright: (x: number, y: number) => boolean) => ({
    ...size,
    data: Uint8Array.from({ length: 16 * 24 * 3 }, (_, i) => {
      const p = Math.floor(i / 3);
      return bright(p % 24, Math.floor(p / 24)) ? 200 : 50;
    }),
  });
  const intrinsics = fromFieldOfView(24, 16, 1.2);
  const camera = cameraToWorld('opengl', [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
  const trajectory = {
    fps: 8,
    frames: [{ seconds: 0, intrinsics, camera, hands: { left: null, right: null } }],
  };
  // Upper left, lower right, and behind the camera.
  const points: Vec3[] = [
    [-0.4, 0.2, -1],
    [0.4, -0.2, -1],
    [-0.4, 0.2, 1],
  ];
  const targets = targetsAt(points, [0, 0, 0]);
  const near = (bright: (x: number, y: number) => boolean) =>
    targetsNearChange(
      targets,
      trajectory,
      clip(() => false),
      clip(bright),
    ).map(({ name }) => name.slice(0, 8));
  expect(new Set(near((x, y) => x < 6 && y < 6))).toEqual(new Set(['target 1']));
  expect(new Set(near((x, y) => x > 18 && y > 10))).toEqual(new Set(['target 2']));
  expect(near((x, y) => x > 20 && y < 2)).toHaveLength(9);
});
