import { InvalidArgumentError } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, expect, test } from 'vitest';
import { fromFieldOfView, placedCamera } from '../camera/index.ts';
import { RiggedHand } from '../hands/rigged-hand.ts';
import { decodeImage, readDefaultHand } from '../node/index.ts';
import type { Hands, Trajectory } from '../trajectory/index.ts';
import {
  clipTrajectory,
  fitCamera,
  PosedHands,
  renderHandClip,
  renderSceneClip,
  StaticScene,
} from './index.ts';

const device = await openNodeDevice();
const rigs = { left: await readDefaultHand('left'), right: await readDefaultHand('right') };
afterAll(() => device.destroy());

const across = ({ fx, width }: { fx: number; width: number }) =>
  (2 * Math.atan(width / (2 * fx)) * 180) / Math.PI;

test('a camera at another size: equal shapes are scaled, headset squares cropped to 100 degrees, wide ones covered', () => {
  const aria = { fx: 300, fy: 300, cx: 512, cy: 512, width: 1024, height: 1024 };
  expect(fitCamera(aria, 720, 480)).toEqual({ fx: 300, fy: 300, cx: 360, cy: 240, width: 720, height: 480 });
  expect(across(fitCamera(aria, 720, 480))).toBeCloseTo(100.4, 1);
  expect(across(fitCamera(aria, 720, 480, 'scale'))).toBeCloseTo(119.3, 1);
  // The same angle at any size, of any number of pixels; as much of the height as the shape allows.
  for (const [size, factor] of [
    [96, 1],
    [720, 4],
    [1280, 0.5],
  ] as const) {
    const times = (camera: typeof aria) =>
      Object.fromEntries(Object.entries(camera).map(([key, value]) => [key, factor * value])) as typeof aria;
    const fitted = fitCamera(times(aria), size, (size * 2) / 3);
    expect(across(fitted)).toBeCloseTo((2 * Math.atan(360 / 300) * 180) / Math.PI, 9);
    expect([fitted.cx, fitted.fy]).toEqual([size / 2, fitted.fx]);
  }
  expect(across(fitCamera(aria, 96, 64, 'crop'))).toBeCloseTo(18.2, 1);
  // Squares that are no wider, and tall pictures, keep what they see across.
  const narrow = { ...aria, fx: 512, fy: 512 };
  expect(across(fitCamera(narrow, 720, 480))).toBeCloseTo(90, 9);
  const phone = { fx: 1500, fy: 1500, cx: 540, cy: 960, width: 1080, height: 1920 };
  expect(across(fitCamera(phone, 720, 480))).toBeCloseTo(across(phone), 9);

  const trumans = { fx: 360, fy: 360, cx: 350, cy: 240, width: 720, height: 480 };
  expect(fitCamera(trumans, 720, 480)).toEqual(trumans);
  expect(fitCamera(trumans, 180, 120)).toEqual({ fx: 90, fy: 90, cx: 87.5, cy: 60, width: 180, height: 120 });
  const wide = fitCamera({ fx: 900, fy: 900, cx: 640, cy: 360, width: 1280, height: 720 }, 720, 480);
  expect(wide).toEqual({ fx: 600, fy: 600, cx: 360, cy: 240, width: 720, height: 480 });
  expect(() => fitCamera(trumans, 1024, 1024, 'crop')).toThrow(/1024x1024 cannot be cut out of .* 720x480/);
});

/** Hands that hold their rest pose, turned by nothing, at `x` in front of a camera at the origin. */
function still(frames: number, fps: number, hands: (frame: number) => Hands): Trajectory {
  const intrinsics = fromFieldOfView(72, 48, Math.PI / 3);
  const camera = placedCamera('opengl', [0, 0, 0], [0, 0, 0, 1]);
  return {
    fps,
    frames: Array.from({ length: frames }, (_, i) => ({
      seconds: i / fps,
      intrinsics,
      camera,
      hands: hands(i),
    })),
  };
}

function restAt(side: 'left' | 'right', place: readonly [number, number, number]) {
  const hand = new RiggedHand(device, rigs[side]);
  const joints = hand.restJoints();
  hand.destroy();
  const centre = [0, 1, 2].map((axis) => joints[11 * 7 + axis]);
  for (let j = 0; j < 25; j++)
    for (let axis = 0; axis < 3; axis++) joints[7 * j + axis] += place[axis] - centre[axis];
  return { joints };
}

test('a clip of the asked rate is taken as it is, others are resampled, short ones refused', () => {
  const at = (frames: number, fps: number) => still(frames, fps, () => ({ left: null, right: null }));
  const settings = { frames: 9, fps: 8, width: 72, height: 48 };
  const ready = at(20, 8);
  expect(clipTrajectory(ready, settings).frames.map(({ camera }) => camera)).toEqual(
    ready.frames.slice(0, 9).map(({ camera }) => camera),
  );
  const slowed = clipTrajectory(at(40, 30), settings);
  expect(slowed.frames.map(({ seconds }) => seconds)).toEqual(Array.from({ length: 9 }, (_, i) => i / 8));
  expect(() => clipTrajectory(at(8, 8), settings)).toThrow(/use at most 8 frames/);
});

test('projected joints lie in the rendered hand; a frame without hands is black; runs are equal', async () => {
  const [left, right] = [restAt('left', [-0.08, 0, -0.4]), restAt('right', [0.08, 0, -0.4])];
  const trajectory = clipTrajectory(
    still(3, 8, (i) => ({ left: i === 1 ? null : left, right: i === 2 ? right : null })),
    { frames: 3, fps: 8, width: 288, height: 192 },
  );
  const posed = new PosedHands(device, { rigs });
  const clip = await renderHandClip(device, posed, trajectory);
  expect([clip.frames, clip.height, clip.width, clip.fps]).toEqual([3, 192, 288, 8]);
  const frame = (i: number) => clip.data.subarray(i * 288 * 192 * 3, (i + 1) * 288 * 192 * 3);
  expect(frame(1).every((value) => value === 0)).toBe(true);

  const { fx, fy, cx, cy } = trajectory.frames[0].intrinsics;
  const seen = (picture: Uint8Array, { joints }: { joints: Float64Array }) =>
    Array.from({ length: 25 }, (_, j) => {
      const [x, y, z] = joints.subarray(7 * j, 7 * j + 3);
      const at = (Math.floor(cy + (fy * y) / z) * 288 + Math.floor(cx - (fx * x) / z)) * 3;
      const [r, g] = [picture[at], picture[at + 1]];
      return g > r ? 'left' : r > g ? 'right' : 'nothing';
    });
  // Tips lie at the very end of the mesh and may round out of it.
  const inside = (all: string[]) => all.filter((_, j) => j !== 4 && (j < 5 || j % 5 !== 4));
  expect(new Set(inside(seen(frame(0), left)))).toEqual(new Set(['left']));
  expect(new Set(inside(seen(frame(2), right)))).toEqual(new Set(['right']));

  expect(Buffer.compare((await renderHandClip(device, posed, trajectory)).data, clip.data)).toBe(0);
  posed.destroy();
});

test('MANO parameters without a MANO model are refused', () => {
  const posed = new PosedHands(device, { rigs });
  const zeros = (n: number) => new Float64Array(n);
  const mano = { orient: zeros(3), pose: zeros(45), betas: zeros(10), transl: zeros(3), flat: true };
  expect(() => posed.pose({ left: null, right: { mano } })).toThrow(InvalidArgumentError);
  posed.destroy();
});

test('a scene: bytes and depth of every frame, equal runs, stopped between frames', async () => {
  const trajectory = still(3, 8, () => ({ left: null, right: null }));
  const scene = await StaticScene.load(device, { meshes: rigs.left }, { decodeImage });
  const depths: Float32Array[] = [];
  const seen: number[] = [];
  const clip = await renderSceneClip(scene, trajectory, {
    onDepth: (frame, metres) => {
      depths[frame] = metres;
    },
    onFrame: (done) => seen.push(done),
  });
  expect(seen).toEqual([1, 2, 3]);
  expect(depths.map(({ length }) => length)).toEqual([72 * 48, 72 * 48, 72 * 48]);
  expect(Buffer.compare((await renderSceneClip(scene, trajectory)).data, clip.data)).toBe(0);
  const controller = new AbortController();
  const stopped = renderSceneClip(scene, trajectory, {
    signal: controller.signal,
    onFrame: () => controller.abort(),
  });
  await expect(stopped).rejects.toThrow(/abort/i);
  scene.destroy();
  await expect(StaticScene.load(device, {})).rejects.toThrow(/scene: is empty/);
});
