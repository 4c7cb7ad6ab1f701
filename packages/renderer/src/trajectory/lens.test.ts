import { InvalidFileError } from '@dwm/core-tensor';
import { seeded } from '@dwm/core-tensor/testing';
import { describe, expect, test } from 'vitest';
import { isColmapCameras, isColmapImages } from '../recordings/colmap-binary.ts';
import { importColmap, importColmapBinary } from '../recordings/index.ts';
import type { TextFile } from './fields.ts';
import { readTransforms } from './index.ts';
import { largestShift, openCvLens } from './lens.ts';
import { damaged } from './testing.ts';

const camera = { fx: 500, fy: 480, cx: 350, cy: 250, width: 720, height: 480 };

test('the largest shift is that of the farthest corner for a plain radial lens', () => {
  // In numbers of its own: r^2 (k1 + k2 r^2) times the corner's distance from the principal point.
  const [x, y] = [(720 - 350) / 500, -250 / 480];
  const r2 = x * x + y * y;
  const radial = 0.02 * r2 + 0.003 * r2 * r2;
  expect(largestShift(camera, openCvLens({ k: [0.02, 0.003] }))).toBeCloseTo(
    Math.hypot(x * radial * 500, y * radial * 480),
    10,
  );
  // One that vanishes in the corner is found inside the picture.
  const inside = largestShift(
    { ...camera, cx: 360, cy: 240 },
    openCvLens({ k: [0.1, -0.1 / (0.72 ** 2 + 0.5 ** 2)] }),
  );
  expect(inside).toBeGreaterThan(5);
  expect(largestShift(camera, openCvLens({ k: [0, 0, 0, -1 / r2] }))).toBeGreaterThan(1e3);
});

const models: Record<string, readonly [id: number, params: readonly number[]]> = {
  SIMPLE_PINHOLE: [0, [500, 360, 240]],
  PINHOLE: [1, [500, 490, 360, 240]],
  SIMPLE_RADIAL: [2, [500, 360, 240, 0.01]],
  RADIAL: [3, [500, 360, 240, 0.01, -0.002]],
  OPENCV: [4, [500, 490, 360, 240, 0.01, 0.001, 0.0005, -0.0005]],
  OPENCV_FISHEYE: [5, [500, 490, 360, 240, 0, 0, 0, 0]],
  FULL_OPENCV: [6, [500, 490, 360, 240, 0.01, 0, 0.0005, 0, 0, 0.002, 0, 0]],
  FOV: [7, [500, 490, 360, 240, 0.9]],
  SIMPLE_RADIAL_FISHEYE: [8, [500, 360, 240, 0]],
  RADIAL_FISHEYE: [9, [500, 360, 240, 0, 0]],
  THIN_PRISM_FISHEYE: [10, [500, 490, 360, 240, 0, 0, 0, 0, 0, 0, 0, 0]],
  RAD_TAN_THIN_PRISM_FISHEYE: [11, [500, 490, 360, 240, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  SIMPLE_DIVISION: [12, [500, 360, 240, 0.01]],
  DIVISION: [13, [500, 490, 360, 240, 0.01]],
  SIMPLE_FISHEYE: [14, [500, 360, 240]],
  FISHEYE: [15, [500, 490, 360, 240]],
  EUCM: [16, [500, 490, 360, 240, 0.6, 1.1]],
  EQUIRECTANGULAR: [17, [720, 480]],
};
const usable = [
  'PINHOLE',
  'SIMPLE_PINHOLE',
  'SIMPLE_RADIAL',
  'RADIAL',
  'OPENCV',
  'FULL_OPENCV',
  'SIMPLE_DIVISION',
  'DIVISION',
];

interface Shot {
  readonly name: string;
  readonly camera: number;
  readonly q: readonly number[];
  readonly t: readonly number[];
  readonly points: number;
}

/** Written from COLMAP's description alone. */
function binaryModel(cameras: readonly (readonly [id: number, model: string])[], shots: readonly Shot[]) {
  const bytes: number[] = [];
  const put = (size: number, write: (view: DataView) => void) => {
    const view = new DataView(new ArrayBuffer(size));
    write(view);
    bytes.push(...new Uint8Array(view.buffer));
  };
  const u32 = (value: number) => put(4, (view) => view.setUint32(0, value, true));
  const u64 = (value: number) => put(8, (view) => view.setBigUint64(0, BigInt(value), true));
  const f64 = (value: number) => put(8, (view) => view.setFloat64(0, value, true));
  u64(cameras.length);
  for (const [id, model] of cameras) {
    u32(id);
    u32(models[model][0]);
    u64(720);
    u64(480);
    models[model][1].forEach(f64);
  }
  const first = Uint8Array.from(bytes.splice(0));
  u64(shots.length);
  for (const [i, { name, camera: id, q, t, points }] of shots.entries()) {
    u32(i + 1);
    [...q, ...t].forEach(f64);
    u32(id);
    bytes.push(...new TextEncoder().encode(name), 0);
    u64(points);
    for (let point = 0; point < points; point++) {
      [1.5, 2.5].forEach(f64);
      u64(point);
    }
  }
  return {
    cameras: { name: 'cameras.bin', bytes: first },
    images: { name: 'images.bin', bytes: Uint8Array.from(bytes) },
  };
}

function textModel(cameras: readonly (readonly [id: number, model: string])[], shots: readonly Shot[]) {
  const file = (name: string, lines: readonly string[]): TextFile => ({
    name,
    text: `# a comment\n${lines.join('\n')}\n`,
  });
  return {
    cameras: file(
      'cameras.txt',
      cameras.map(([id, model]) => `${id} ${model} 720 480 ${models[model][1].join(' ')}`),
    ),
    images: file(
      'images.txt',
      shots.flatMap(({ name, camera: id, q, t, points }, i) => [
        `${i + 1} ${[...q, ...t].join(' ')} ${id} ${name}`,
        Array(points).fill('1.5 2.5 -1').join(' '),
      ]),
    ),
  };
}

const random = seeded(3);
const shots = (ids: readonly number[]): Shot[] =>
  ids.map((id, i) => ({
    // Names in another order than the file's, one of them with a blank and a letter of two bytes.
    name: `${['ü b', 'a'][i % 2]}${9 - i}.jpg`,
    camera: id,
    q: Array.from({ length: 4 }, () => 2 * random() - 1),
    t: Array.from({ length: 3 }, () => 2 * random() - 1),
    points: i % 3,
  }));

test('binary and text models of all usable cameras give the same trajectory, and one warning', () => {
  const cameras = usable.map((model, i) => [7 * i + 3, model] as const);
  const all = shots(cameras.map(([id]) => id));
  const [text, binary] = [textModel(cameras, all), binaryModel(cameras, all)];
  const lines: string[] = [];
  const options = { scale: 0.4, fps: 30, warn: (line: string) => lines.push(line) };
  const read = importColmapBinary(binary.cameras, binary.images, options);
  expect(read).toEqual(importColmap(text.cameras, text.images, options));
  expect(read.frames).toHaveLength(usable.length);
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatch(
    /^cameras\.bin: camera \d: its lens moves points by up to [\d.]+ pixels, 0\.\d+% of the picture's diagonal/,
  );
  expect([isColmapCameras(binary.cameras), isColmapImages(binary.images)]).toEqual([true, true]);
  expect([isColmapCameras(binary.images), isColmapImages(binary.cameras)]).toEqual([false, false]);
});

test('a camera of COLMAP at z -1 and -2', () => {
  const at = (z: number, name: string) => ({ name, camera: 1, q: [1, 0, 0, 0], t: [0, 0, z], points: 2 });
  const { cameras, images } = binaryModel([[1, 'PINHOLE']], [at(1, 'a.png'), at(2, 'b.png')]);
  const { frames } = importColmapBinary(cameras, images);
  expect(
    frames.map(({ camera: { matrix } }) => [matrix[3], matrix[7], matrix[11]].map((x) => x + 0)),
  ).toEqual([
    [0, 0, -1],
    [0, 0, -2],
  ]);
});

test.each(Object.keys(models).filter((model) => !usable.includes(model)))(
  '%s is refused with what to do',
  (model) => {
    const { cameras, images } = binaryModel([[1, model]], shots([1]));
    expect(() => importColmapBinary(cameras, images, { ignoreDistortion: true })).toThrow(
      new RegExp(`cameras\\.bin: camera 0: camera model ${model}, expected .*PINHOLE.*undistort the images`),
    );
    // One that no image was taken with is in nobody's way.
    const other = binaryModel(
      [
        [1, model],
        [2, 'PINHOLE'],
      ],
      shots([2]),
    );
    expect(importColmapBinary(other.cameras, other.images).frames).toHaveLength(1);
  },
);

test('more distortion than a little needs ignoreDistortion, and is said', () => {
  const cameras: TextFile = { name: 'cameras.txt', text: '1 OPENCV 720 480 500 500 360 240 0.1 0 0 0\n' };
  const images: TextFile = { name: 'images.txt', text: '1 1 0 0 0 0 0 2 1 a.png\n\n' };
  // 0.7488 is r^2 of a corner at (0.72, 0.48); its pinhole distance is 432.6 pixels, the diagonal 865.3.
  expect(() => importColmap(cameras, images)).toThrow(
    /cameras\.txt: line 1: its lens moves points by up to 32 pixels, 3\.7% of the picture's diagonal, expected at most 1%: .*`ignoreDistortion`/,
  );
  const lines: string[] = [];
  const { frames } = importColmap(cameras, images, {
    ignoreDistortion: true,
    warn: (line) => lines.push(line),
  });
  expect(frames[0].intrinsics).toEqual({ fx: 500, fy: 500, cx: 360, cy: 240, width: 720, height: 480 });
  expect(lines).toEqual([expect.stringMatching(/moves points by up to 32 pixels.*as was asked for$/)]);
});

test('damaged binary models end in one line', () => {
  const { cameras, images } = binaryModel([[1, 'OPENCV']], shots([1, 1, 1]));
  let errors = 0;
  for (let run = 0; run < 300; run++) {
    const [which, copy] = [run % 2, { cameras, images }];
    const file = which ? cameras : images;
    const broken = { name: file.name, bytes: damaged(file.bytes, random) };
    try {
      importColmapBinary(which ? broken : copy.cameras, which ? copy.images : broken, { warn: () => {} });
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidFileError);
      expect((error as Error).message).not.toMatch(/\p{Cc}/u);
      errors++;
    }
  }
  expect(errors).toBeGreaterThan(100);
});

const rows = [0, 1, 2, 3].map((i) => [0, 1, 2, 3].map((j) => Number(i === j)));
const transforms = (root: object, ...frames: object[]) => ({
  name: 't.json',
  text: JSON.stringify({
    fl_x: 500,
    w: 720,
    h: 480,
    ...root,
    frames: [{}, ...frames].map((frame, i) => ({ seconds: i, transform_matrix: rows, ...frame })),
  }),
});

describe('transforms.json', () => {
  test.each([
    [{ is_fisheye: true }, /^t\.json: is_fisheye: true, expected a pinhole camera; undistort/],
    [{ camera_model: 'OPENCV_FISHEYE' }, /camera_model: "OPENCV_FISHEYE", expected a pinhole/],
    [{ camera_model: 'EQUIRECTANGULAR' }, /camera_model: "EQUIRECTANGULAR", expected a pinhole/],
    [{ camera_model: 'FISHEYE624' }, /expected a pinhole/],
    [{ ftheta_p0: 0, ftheta_p1: 1 }, /ftheta_p0: 0, expected a pinhole/],
    [{ latlong: 1 }, /latlong: 1, expected a pinhole/],
    [
      { distortion_params: Array(16).fill(0) },
      /distortion_params: an array of 16, expected k1 k2 k3 k4 p1 p2/,
    ],
  ])('%j is refused whatever the options', (root, message) => {
    expect(() => readTransforms(transforms(root), { ignoreDistortion: true })).toThrow(message);
    expect(() => readTransforms(transforms({}, root), { ignoreDistortion: true })).toThrow(/frames\[1\]\./);
  });

  test('distortion of the file and of a frame: a little is said once, much is refused', () => {
    const lines: string[] = [];
    const options = { warn: (line: string) => lines.push(line) };
    readTransforms(transforms({ camera_model: 'OPENCV', is_fisheye: false, k1: 0, p1: 0 }), options);
    expect(lines).toEqual([]);
    readTransforms(transforms({ k1: 0.01 }, { k1: 0.02 }, {}), options);
    expect(lines).toEqual([
      expect.stringMatching(/^t\.json: frames\[1\]\.k1: its lens moves points by up to 6\.5 pixels, 0\.75%/),
    ]);
    // nerfstudio's k4 is of r^8.
    expect(() => readTransforms(transforms({}, { k4: 0.2 }), options)).toThrow(
      /frames\[1\]\.k4: .* 27 pixels, 3\.1%/,
    );
    expect(() => readTransforms(transforms({ distortion_params: [0, 0, 0, 0, 0.05, 0] }))).toThrow(
      /distortion_params: its lens/,
    );
  });
});
