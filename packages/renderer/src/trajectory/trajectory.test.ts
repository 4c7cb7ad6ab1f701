import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { relativeError, seeded } from '@dwm/core-tensor/testing';
import { describe, expect, test } from 'vitest';
import { checkTrajectory } from '../../tests/fixtures/trajectory.ts';
import {
  cameraToWorld,
  fromAxisAngle,
  placedCamera,
  type Quaternion,
  slerp,
  toAxisAngle,
  type Vec3,
} from '../camera/index.ts';
import { unit } from '../camera/rotation.ts';
import { golden } from '../camera/testing.ts';
import { loadMano } from '../mano/index.ts';
import {
  deviceTrajectory,
  hot3dTrajectory,
  importColmap,
  importHamer,
  importWebxr,
  readAriaPath,
  readHot3dHands,
  readHot3dPath,
} from '../recordings/index.ts';
import type { TextFile } from './fields.ts';
import { readTransforms, resample, type Trajectory, type TrajectoryFrame, writeTransforms } from './index.ts';
import { fuzz } from './testing.ts';

const random = seeded(11);
const noise = (count: number, size = 1) =>
  Float64Array.from({ length: count }, () => size * (2 * random() - 1));
const vec = () => [...noise(3)] as unknown as Vec3;
const turn = (): Quaternion => unit([...noise(4)] as unknown as Quaternion)!;
const file = (name: string, content: unknown): TextFile => ({
  name,
  text: typeof content === 'string' ? content : JSON.stringify(content),
});

const intrinsics = { fx: 360, fy: 355, cx: 359, cy: 241, width: 720, height: 480 };
const joints = () => Array.from({ length: 25 }, () => [...vec(), ...turn()]).flat();
const mano = (flat: boolean) => ({
  orient: noise(3),
  pose: noise(45),
  betas: noise(10),
  transl: noise(3),
  flat,
});
const frame = (seconds: number, hands: Partial<TrajectoryFrame['hands']> = {}): TrajectoryFrame => ({
  seconds,
  intrinsics,
  camera: placedCamera('opengl', vec(), turn()),
  hands: { left: null, right: null, ...hands },
});
const hand = () => ({ joints: Float64Array.from(joints()) });

const identity = [
  [1, 0, 0, 0],
  [0, 1, 0, 0],
  [0, 0, 1, 0],
  [0, 0, 0, 1],
];
const minimal = { fl_x: 360, w: 720, h: 480, frames: [{ transform_matrix: identity }] };

describe('the trajectory file', () => {
  test('is read as it was written', () => {
    const trajectory: Trajectory = {
      fps: 8,
      frames: [
        frame(0, { right: { ...hand(), radii: noise(25), mano: mano(false) } }),
        {
          ...frame(1 / 8, { left: { mano: mano(true) } }),
          intrinsics: { ...intrinsics, fx: 400, width: 640 },
        },
        frame(2 / 8),
      ],
    };
    const text = writeTransforms(trajectory);
    const back = readTransforms(file('t.json', text));
    expect(back).toEqual(JSON.parse(JSON.stringify(trajectory), revive));
    expect(writeTransforms(back)).toBe(text);
    expect(JSON.parse(text).frames[0]).not.toHaveProperty('seconds');
  });

  /** MANO arrays may be given as lists; reading makes Float64Arrays of all. */
  const revive = (_key: string, value: unknown) =>
    value &&
    typeof value === 'object' &&
    '0' in value &&
    typeof (value as Record<string, unknown>)[0] === 'number'
      ? Float64Array.from(Object.values(value as object) as number[])
      : value;

  test('keeps uneven times', () => {
    const trajectory = { fps: 10, frames: [frame(0), frame(0.13), frame(0.2)] };
    const back = readTransforms(file('t.json', writeTransforms(trajectory)));
    expect(back.frames.map(({ seconds }) => seconds)).toEqual([0, 0.13, 0.2]);
  });

  test('sorts by file_path by code points, only where every frame has one', () => {
    const at = (x: number, path?: string) => ({
      ...(path && { file_path: path }),
      transform_matrix: identity.map((row, i) => (i === 0 ? [1, 0, 0, x] : row)),
    });
    const order = (frames: unknown[]) =>
      readTransforms(file('t.json', { ...minimal, frames })).frames.map(({ camera }) => camera.matrix[3]);
    expect(order([at(0, 'b'), at(1, '\u{1F600}'), at(2, '\uFF5E'), at(3, 'B')])).toEqual([3, 0, 2, 1]);
    expect(order([at(0, 'b'), at(1), at(2, 'a')])).toEqual([0, 1, 2]);
  });

  const withFrame = (changes: object) => ({ ...minimal, frames: [{ ...minimal.frames[0], ...changes }] });
  const withMano = (changes: object) => {
    const zeros = (count: number) => Array(count).fill(0);
    const params = { orient: zeros(3), pose: zeros(45), betas: zeros(10), transl: zeros(3), flat: true };
    return withFrame({ hands: { right: { mano: { ...params, ...changes } } } });
  };
  test.each([
    ['{', 't.json: not valid JSON'],
    [[], 't.json: content: an array of 0, expected an object'],
    [{}, 't.json: frames: missing, expected an array of values'],
    [{ ...minimal, frames: [] }, 'frames: an array of 0, expected at least one frame'],
    [{ ...minimal, fps: 0 }, 'fps: 0, expected a positive number'],
    [{ ...minimal, w: 7.5 }, 'w: 7.5, expected a whole number of pixels'],
    [{ ...minimal, fl_x: undefined }, 'fl_x: missing, expected a focal length in pixels, or camera_angle_x'],
    [{ ...minimal, k1: 0.1 }, 'k1: its lens moves points by up to 62 pixels, 7.2% of'],
    [{ ...minimal, camera_model: 'OPENCV_FISHEYE' }, 'camera_model: "OPENCV_FISHEYE", expected a pinhole'],
    [
      withFrame({ transform_matrix: undefined }),
      'frames[0].transform_matrix: missing, expected an array of 4 rows',
    ],
    [
      withFrame({ transform_matrix: [[1, 0, 0, null], ...identity.slice(1)] }),
      'transform_matrix[0]: an array of 4, null at 3, expected 4 finite',
    ],
    [
      withFrame({ transform_matrix: identity.map((row, i) => (i === 2 ? [0, 0, -1, 0] : row)) }),
      'not mirrored',
    ],
    [withFrame({ transform_matrix: identity.map((row) => row.map((x) => 2 * x)) }), 'orthonormal'],
    [withFrame({ hands: { left: {} } }), 'frames[0].hands.left: an object, expected joints or mano, or null'],
    [
      withFrame({ hands: { left: { joints: [[1]] } } }),
      'hands.left.joints: an array of 1, expected an array of 25 joints',
    ],
    [
      withFrame({ hands: { left: { joints: Array(25).fill([0, 0, 0, 0, 0, 0, 0]) } } }),
      'joints[0]: an array of 7, expected x y z and a quaternion',
    ],
    [withMano({ pose: [0] }), 'frames[0].hands.right.mano.pose: an array of 1, expected 45 finite numbers'],
    [withMano({ flat: 1 }), 'frames[0].hands.right.mano.flat: 1, expected true or false'],
    [
      {
        ...minimal,
        frames: [frame(1), frame(1)].map(({ seconds }) => ({ seconds, transform_matrix: identity })),
      },
      'frames[1].seconds: 1, expected increasing',
    ],
  ])('names what is wrong: case %#', (content, message) => {
    expect(() => readTransforms(file('t.json', content))).toThrow(message);
  });
});

describe('resample', () => {
  test('moves straight and turns at constant speed, of cameras, joints and MANO alike', () => {
    const [a, b] = [
      frame(0, { left: { ...hand(), mano: mano(true) } }),
      frame(1, { left: { ...hand(), mano: mano(true) } }),
    ];
    const { fps, frames } = resample({ fps: 1, frames: [a, b] }, 4);
    expect([fps, frames.length]).toEqual([4, 5]);
    expect(
      frames[0].hands.left?.joints?.every((x, i) => Math.abs(x - a.hands.left!.joints![i]) < 1e-12),
    ).toBe(true);
    const quarter = frames[1];
    const between = (x: ArrayLike<number>, y: ArrayLike<number>) =>
      Array.from(x, (value, i) => 0.75 * value + 0.25 * y[i]);
    const place = ({ matrix }: { matrix: Float64Array }) => [matrix[3], matrix[7], matrix[11]];
    expect(relativeError(place(quarter.camera), between(place(a.camera), place(b.camera)))).toBeLessThan(
      1e-12,
    );
    const [from, to, mixed] = [a, b, quarter].map(({ hands }) => hands.left!);
    const rotation = (all: Float64Array) => all.subarray(3, 7) as unknown as Quaternion;
    expect(
      relativeError(
        mixed.joints!.subarray(0, 3),
        between(from.joints!.subarray(0, 3), to.joints!.subarray(0, 3)),
      ),
    ).toBeLessThan(1e-12);
    expect(
      relativeError(rotation(mixed.joints!), slerp(rotation(from.joints!), rotation(to.joints!), 0.25)),
    ).toBeLessThan(1e-12);
    const orient = (params: { orient: ArrayLike<number> }) =>
      fromAxisAngle(Array.from(params.orient) as unknown as Vec3);
    const expected = toAxisAngle(slerp(orient(from.mano!), orient(to.mano!), 0.25));
    expect(relativeError(mixed.mano!.orient, expected)).toBeLessThan(1e-12);
    expect(relativeError(mixed.mano!.betas, between(from.mano!.betas, to.mano!.betas))).toBeLessThan(1e-12);
  });

  test('a hand beside a gap belongs to the nearer frame', () => {
    const source = { fps: 1, frames: [frame(0, { right: hand() }), frame(1), frame(2, { right: hand() })] };
    const there = resample(source, 5).frames.map(({ hands }) => (hands.right ? 1 : 0));
    expect(there).toEqual([1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1]);
  });

  test('takes as many frames as asked, and no more than there are', () => {
    const source = { fps: 30, frames: Array.from({ length: 61 }, (_, i) => frame(i / 30)) };
    expect(resample(source, 8, 16).frames).toHaveLength(16);
    expect(() => resample(source, 8, 49)).toThrow(
      '49 frames at 8 a second last 6.00 s, the trajectory lasts 2.00 s; use at most 17',
    );
  });
});

describe('importers name what is wrong', () => {
  const cameras = file('cameras.txt', '1 PINHOLE 720 480 500 500 360 240\n');
  test.each([
    ['1 FISH 720 480 1 2 3', 'cameras.txt: line 1: camera model "FISH", expected one of'],
    [
      '# c\n1 PINHOLE 720 480 1 2 3',
      'cameras.txt: line 2: expected CAMERA_ID PINHOLE WIDTH HEIGHT and 4 numbers',
    ],
    ['1 PINHOLE 720 480 -500 500 360 240', 'positive focal length'],
  ])('COLMAP cameras %#', (text, message) => {
    expect(() => importColmap(file('cameras.txt', text), file('images.txt', ''))).toThrow(message);
  });
  test.each([
    ['', 'images.txt: holds no images'],
    ['1 1 0 0 0 0 0 0 2 a.jpg\n', 'images.txt: line 1: camera "2" is not in cameras.txt'],
    ['1 1 0 0 0 0 0 0 1\n\n', 'line 1: expected IMAGE_ID QW'],
    ['\n1 0 0 0 0 0 0 0 1 a.jpg\n', 'line 2: the quaternion is zero'],
  ])('COLMAP images %#', (text, message) => {
    expect(() => importColmap(cameras, file('images.txt', text))).toThrow(message);
  });

  test('COLMAP names with blanks, and points that look like an image', () => {
    const line = '1 1 0 0 0 0 0 0 1';
    const images = file('images.txt', `${line} b b.jpg\r\n1 1 0 0 0 0 0 0 9 x\r\n${line} a.jpg`);
    expect(importColmap(cameras, images).frames).toHaveLength(2);
    expect(() => importColmap(cameras, images, { scale: 0 })).toThrow('scale: 0, expected a positive number');
  });

  const aria =
    'tracking_timestamp_us,tx_world_device,ty_world_device,tz_world_device,qx_world_device,qy_world_device,qz_world_device,qw_world_device';
  test.each([
    ['a,b\n1,2', 'mps.csv: has no column tracking_timestamp_us'],
    [aria, 'mps.csv: holds no poses'],
    [`${aria}\n1.5,0,0,0,0,0,0,1`, 'line 2, tracking_timestamp_us: "1.5", expected a whole number'],
    [`${aria}\n1,0,nan,0,0,0,0,1`, 'line 2, ty_world_device: "nan", expected a finite number'],
    [`${aria}\n1,0,0,0,0,0,0`, 'line 2, qw_world_device: "", expected a finite number'],
    [`${aria}\n1,0,0,0,0,0,0,0`, 'expected a quaternion of length 1'],
    [
      `${aria}\n2,0,0,0,0,0,0,1\n2,0,0,0,0,0,0,1`,
      'line 3, tracking_timestamp_us: "2", expected increasing times',
    ],
  ])('Aria csv %#', (text, message) => {
    expect(() => readAriaPath(file('mps.csv', text))).toThrow(message);
  });

  test('nanoseconds since 1970 are told apart to the last digit', () => {
    const header = 'timestamp[ns],t_wo_x[m],t_wo_y[m],t_wo_z[m],q_wo_w,q_wo_x,q_wo_y,q_wo_z';
    const rows = [1n, 2n, 4n].map((k) => `${1708666715295211175n + k},0,0,0,1,0,0,0`);
    const { poses } = readHot3dPath(file('headset.csv', [header, ...rows].join('\n')));
    expect(poses.map(({ seconds }) => seconds)).toEqual([0, 1e-9, 3e-9]);
  });

  const recording = (frames: unknown) => file('webxr.json', { frames });
  const view = {
    transform: { position: { x: 0, y: 0, z: 0 }, orientation: { x: 0, y: 0, z: 0, w: 1 } },
    projectionMatrix: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, -1, 0, 0, -1, 0],
  };
  test.each([
    [[], 'frames: an array of 0, expected at least one frame'],
    [[{}], 'frames[0].time: missing, expected a finite number'],
    [[{ time: 1 }], 'frames[0].view: missing, expected an object'],
    [
      [
        { time: 1, view },
        { time: 1, view },
      ],
      'frames[1].time: 1, expected increasing times',
    ],
    [
      [{ time: 1, view: { ...view, projectionMatrix: Array(16).fill(0) } }],
      'projectionMatrix: an array of 16, expected a perspective',
    ],
    [
      [{ time: 1, view, hands: { left: { joints: [] } } }],
      'hands.left.joints: an array of 0, expected an array of 25 joints',
    ],
  ])('WebXR %#', (frames, message) => {
    expect(() => importWebxr(recording(frames))).toThrow(message);
  });
});

const { dir, missing } = golden('render_trajectory');
const skipped = missing ? ' (skipped, no shared data)' : '';
describe.skipIf(missing)(`with the golden files${skipped}`, () => {
  test('goldens of render_trajectory', async () => {
    const checks = await checkTrajectory(dir);
    expect(checks.length).toBeGreaterThan(70);
    expect(checks.filter(({ error, tolerance }) => !(error <= tolerance))).toEqual([]);
  });

  const text = async (name: string) => file(name, await readFile(join(dir, name), 'utf8'));
  const bytes = async (name: string) => ({ name, bytes: new Uint8Array(await readFile(join(dir, name))) });
  const model = async () => loadMano(await bytes('../render_mano/mano_like.npz'));

  test('HOT3D hands are seen from the headset at their own times', async () => {
    const path = readHot3dPath(await text('headset_trajectory.csv'));
    const hands = readHot3dHands(await text('mano_hand_pose_trajectory.jsonl'), await model());
    const deviceFromCamera = cameraToWorld('opencv', identity.flat());
    const { frames } = hot3dTrajectory(hands, path, { intrinsics, deviceFromCamera });
    expect(frames).toHaveLength(hands.frames.length);
    const first = deviceTrajectory(path, { intrinsics, deviceFromCamera }).frames[0];
    expect(relativeError(frames[0].camera.matrix, first.camera.matrix)).toBeLessThan(1e-12);
    const far = { ...path, firstNanoseconds: path.firstNanoseconds + 10n ** 15n };
    expect(() => hot3dTrajectory(hands, far, { intrinsics, deviceFromCamera })).toThrow('covers no time');
  });

  test('every import survives the trajectory file', async () => {
    const imported = [
      importWebxr(await text('webxr_recording.json')),
      importColmap(await text('cameras.txt'), await text('images.txt')),
      await importHamer(await bytes('hamer.npz'), await model()),
    ];
    for (const trajectory of imported) {
      const back = readTransforms(file('t.json', writeTransforms(trajectory)));
      expect(back.frames.map(({ camera }) => camera)).toEqual(trajectory.frames.map(({ camera }) => camera));
      expect(back.frames.map(({ hands }) => !hands.left)).toEqual(
        trajectory.frames.map(({ hands }) => !hands.left),
      );
    }
  });

  const FUZZ_RUNS = Number(process.env.DWM_FUZZ_RUNS ?? 150);
  test('damaged files end in a trajectory or in one line', async () => {
    const mano = await model();
    const cameras = await text('cameras.txt');
    const images = await text('images.txt');
    const readers: Record<string, (bytes: Uint8Array, text: string) => unknown> = {
      'transforms.json': (_, text) => readTransforms({ name: 'f', text }),
      'trajectory_hands.json': (_, text) => resample(readTransforms({ name: 'f', text }), 8),
      'webxr_recording.json': (_, text) => resample(importWebxr({ name: 'f', text }), 8),
      'cameras.txt': (_, text) => importColmap({ name: 'f', text }, images),
      'images.txt': (_, text) => importColmap(cameras, { name: 'f', text }),
      'closed_loop_trajectory.csv': (_, text) => {
        const deviceFromCamera = cameraToWorld('opencv', identity.flat());
        return deviceTrajectory(readAriaPath({ name: 'f', text }), { intrinsics, deviceFromCamera }, 8);
      },
      'headset_trajectory.csv': (_, text) => readHot3dPath({ name: 'f', text }),
      'mano_hand_pose_trajectory.jsonl': (_, text) => readHot3dHands({ name: 'f', text }, mano),
      'hamer.npz': (bytes) => importHamer({ name: 'f', bytes }, mano),
    };
    for (const [name, read] of Object.entries(readers))
      expect(await fuzz((await bytes(name)).bytes, FUZZ_RUNS, random, read), name).toBeGreaterThan(
        FUZZ_RUNS / 10,
      );
  });
});
