import { fromFieldOfView, writeTransforms } from '@dwm/renderer';
import { expect, test } from 'vitest';
import { handBefore } from '../scene-editor/hand-rig.ts';
import { presetTrajectory } from '../scene-editor/presets.ts';
import { readRecording } from './recording.ts';

const dropped = (path: string, content: unknown) => ({
  path,
  file: new File([typeof content === 'string' ? content : JSON.stringify(content)], path),
});
const read = (...files: ReturnType<typeof dropped>[]) => readRecording(files, () => {});

const camera = { position: [0.3, 1.6, -2] as const, yaw: 0.7, pitch: -0.2 };
const lens = fromFieldOfView(96, 64, 1.2);
const motion = presetTrajectory('pull', handBefore(camera, 'right'), camera, lens, { frames: 3, fps: 8 });

/** As a page of WebXR writes it down. */
const webxr = {
  frames: motion.frames.map(({ hands }, i) => ({
    time: 1000 + 125 * i,
    view: {
      transform: { position: { x: 0, y: 1.5, z: 0 }, orientation: { x: 0, y: 0, z: 0, w: 1 } },
      projectionMatrix: [1, 0, 0, 0, 0, 1.5, 0, 0, 0, 0, -1, -1, 0, 0, -0.2, 0],
    },
    hands: {
      right: {
        joints: Array.from({ length: 25 }, (_, joint) => {
          const [x, y, z, ...turn] = hands.right!.joints!.subarray(7 * joint, 7 * joint + 7);
          const orientation = { x: turn[0], y: turn[1], z: turn[2], w: turn[3] };
          return { position: { x, y, z }, orientation, radius: 0.01 };
        }),
      },
    },
  })),
};

test("a trajectory of ours, a headset's recording and COLMAP's files are motions", async () => {
  const own = await read(dropped('trajectory.json', writeTransforms(motion)));
  expect(own.frames[2].hands.right!.joints).toEqual(motion.frames[2].hands.right!.joints);
  const recorded = await read(dropped('session.json', webxr));
  expect(recorded.fps).toBeCloseTo(8, 9);
  expect(recorded.frames[1].hands.right!.joints![0]).toBeCloseTo(motion.frames[1].hands.right!.joints![0], 9);
  expect(recorded.frames[0].hands.left).toBeNull();
  const path = await read(
    dropped('sparse/images.txt', '1 1 0 0 0 0 0 2 1 a.png\n\n2 1 0 0 0 0 0 3 1 b.png\n\n'),
    dropped('sparse/cameras.txt', '1 PINHOLE 720 480 300 300 360 240\n'),
  );
  expect(path.frames).toHaveLength(2);
});

test.each([
  ['half a model', [dropped('cameras.txt', '1 PINHOLE 7 4 3 3 3 2\n')], 'COLMAP needs both files'],
  ['hands of HOT3D', [dropped('h.jsonl', '{"timestamp_ns": 1, "hand_poses": {}}')], '--mano MANO_RIGHT.npz'],
  ['hands of HaMeR', [dropped('h.npz', 'PK\u0003\u0004')], 'h.npz: hands as MANO parameters'],
  ['a damaged file', [dropped('a.json', '{"frames": 3}')], 'a.json'],
  ['something else', [dropped('a.csv', 'x,y\n1,2\n')], 'is no recording that the page knows'],
])('%s: one line that says what to do', async (_, files, message) => {
  await expect(read(...files)).rejects.toThrow(message);
});
