import { fromFieldOfView, NO_HANDS } from '@dwm/renderer';
import { expect, test } from 'vitest';
import { handBefore } from '../scene-editor/hand-rig.ts';
import { presetTrajectory } from '../scene-editor/presets.ts';
import { onGrid, readLink, writeLink } from './link.ts';

const settings = {
  width: 96,
  height: 64,
  frames: 17,
  fps: 8,
  steps: 10,
  guidance: 1.5,
  seed: 3,
  prompt: 'A hand.',
};
const camera = { position: [0.3, 1.6, -2] as const, yaw: 0.7, pitch: -0.2 };
const moved = presetTrajectory(
  'open',
  handBefore(camera, 'left'),
  camera,
  fromFieldOfView(96, 64, 1.2),
  settings,
);
/** With a drop-out in the middle. */
const trajectory = {
  ...moved,
  frames: moved.frames.map((frame, i) => (i === 5 ? { ...frame, hands: NO_HANDS } : frame)),
};

test('a link gives back, number for number, the trajectory that was on its grid', async () => {
  const kept = onGrid(trajectory);
  const link = await writeLink({ room: 1_000_012, settings, trajectory: kept });
  expect(await readLink(link)).toEqual({ room: 1_000_012, settings, trajectory: kept });
  expect(onGrid(kept)).toBe(kept);
  expect(link.length).toBeLessThan(8000);
});

test('the grid is finer than anyone sees', () => {
  const kept = onGrid(trajectory);
  trajectory.frames.forEach(({ hands, camera: pose }, i) => {
    const joints = kept.frames[i].hands.left?.joints;
    expect(joints === undefined).toBe(hands.left === null);
    joints?.forEach((value, k) => {
      expect(Math.abs(value - hands.left!.joints![k])).toBeLessThan(1e-4);
    });
    pose.matrix.forEach((value, k) => {
      expect(Math.abs(value - kept.frames[i].camera.matrix[k])).toBeLessThan(2e-4);
    });
  });
});

test('no link, and a damaged one', async () => {
  expect(await readLink('')).toBeUndefined();
  const link = await writeLink({ room: 1, settings, trajectory });
  await expect(readLink(link.slice(0, 60))).rejects.toThrow('damaged or cut short');
});
