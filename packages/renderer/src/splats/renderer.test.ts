import { type Device, InvalidArgumentError } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { seeded } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { randomCloud } from '../../tests/splat-files.ts';
import { cameraToWorld, inverted, placedCamera, withAxes } from '../camera/index.ts';
import { RenderTarget } from '../gpu/render-target.ts';
import type { View } from '../gpu/view.ts';
import { type ShDegree, type SplatCloud, shCoefficients } from './cloud.ts';
import { readSplatImage, type SplatPixels } from './read-image.ts';
import { type SplatOptions, SplatRenderer } from './renderer.ts';
import { SplatScene } from './scene.ts';

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device.destroy());

/** From outside the box of `randomCloud`, a third of it beyond the edges; odd sizes, off centre. */
const view: View = {
  intrinsics: { width: 61, height: 43, fx: 50, fy: 44, cx: 28.5, cy: 23 },
  pose: placedCamera('opengl', [0.3, 0.4, 2.4], [-0.1, 0.05, 0.02, 0.99]),
};
/** Among the splats. */
const inside: View = { ...view, pose: placedCamera('opencv', [0.1, 0, -0.3], [0.2, 0.5, -0.1, 0.8]) };

/** Associated Legendre functions by recurrence, Condon-Shortley phase in: harmonics independent of our table. */
function harmonic(l: number, m: number, [x, y, z]: readonly number[]): number {
  const k = Math.abs(m);
  // P_l^k(z) / (1 - z^2)^(k / 2); the root goes into the powers of x + i y.
  let p = 1;
  for (let i = 1; i <= k; i++) p *= -(2 * i - 1);
  let previous = 0;
  for (let n = k + 1; n <= l; n++)
    [previous, p] = [p, ((2 * n - 1) * z * p - (n + k - 1) * previous) / (n - k)];
  let [re, im] = [1, 0];
  for (let i = 0; i < k; i++) [re, im] = [re * x - im * y, re * y + im * x];
  let ratio = 1;
  for (let i = l - k + 1; i <= l + k; i++) ratio /= i;
  const norm = Math.sqrt(((2 * l + 1) / (4 * Math.PI)) * ratio) * (m === 0 ? 1 : Math.SQRT2);
  return norm * p * (m < 0 ? im : re);
}

interface Expected {
  rgb: number[];
  alpha: number[];
  depth: number[];
  median: number[];
}

/** Every pixel as a sum over all splats in float64; `limit` is the depth of a surface of colour `behind`. */
function reference(
  cloud: SplatCloud,
  { intrinsics, pose, near = 0.2 }: View,
  { compensate = false, background = [0, 0, 0], limit = Number.POSITIVE_INFINITY } = {},
): Expected {
  const { width, height, fx, fy, cx, cy } = intrinsics;
  const opencv = withAxes(pose, 'opencv');
  const eye = [3, 7, 11].map((k) => opencv.matrix[k]);
  const m = inverted(opencv).matrix;
  const splats = Array.from({ length: cloud.count }, (_, i) => {
    const p = Array.from(cloud.positions.subarray(3 * i, 3 * i + 3));
    const t = [0, 4, 8].map((r) => m[r] * p[0] + m[r + 1] * p[1] + m[r + 2] * p[2] + m[r + 3]);
    const z = t[2];
    const clamped = [(1.3 * width) / (2 * fx), (1.3 * height) / (2 * fy)].map((most, k) =>
      Math.max(-most, Math.min(most, t[k] / z)),
    );
    const [w, x, y, v] = cloud.rotations.subarray(4 * i, 4 * i + 4);
    const turn = [
      [1 - 2 * (y * y + v * v), 2 * (x * y - w * v), 2 * (x * v + w * y)],
      [2 * (x * y + w * v), 1 - 2 * (x * x + v * v), 2 * (y * v - w * x)],
      [2 * (x * v - w * y), 2 * (y * v + w * x), 1 - 2 * (x * x + y * y)],
    ];
    // The image of each axis of the splat, one standard deviation long.
    const axes = [0, 1, 2].map((k) => {
      const d = [0, 4, 8].map(
        (r) => turn.reduce((sum, row, j) => sum + m[r + j] * row[k], 0) * cloud.scales[3 * i + k],
      );
      return [(fx * (d[0] - clamped[0] * d[2])) / z, (fy * (d[1] - clamped[1] * d[2])) / z];
    });
    const moment = (a: number, b: number) => axes.reduce((sum, axis) => sum + axis[a] * axis[b], 0);
    const [xx, xy, yy] = [moment(0, 0), moment(0, 1), moment(1, 1)];
    const det = (xx + 0.3) * (yy + 0.3) - xy * xy;
    const inverse = [(yy + 0.3) / det, -xy / det, (xx + 0.3) / det];
    const scale = compensate ? Math.sqrt(Math.max(0, xx * yy - xy * xy) / det) : 1;
    const towards = p.map((value, k) => value - eye[k]);
    const direction = towards.map((value) => value / Math.hypot(...towards));
    const coefficients = shCoefficients(cloud.degree);
    const color = [0, 1, 2].map((c) => {
      let sum = 0.5;
      for (let l = 0; l <= cloud.degree; l++) {
        for (let o = -l; o <= l; o++) {
          sum += cloud.sh[3 * (i * coefficients + l * l + l + o) + c] * harmonic(l, o, direction);
        }
      }
      return Math.max(0, sum);
    });
    const center = [fx * (t[0] / z) + cx, fy * (t[1] / z) + cy];
    return { z, center, inverse, color, opacity: scale * cloud.opacities[i] };
  });
  const sorted = splats.filter(({ z }) => z > near).sort((a, b) => a.z - b.z);
  const out: Expected = { rgb: [], alpha: [], depth: [], median: [] };
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const sum = [0, 0, 0];
      let [through, depth, median] = [1, 0, 0];
      for (const { z, center, inverse, color, opacity } of sorted) {
        if (z >= limit) break;
        const [dx, dy] = [column + 0.5 - center[0], row + 0.5 - center[1]];
        const q = inverse[0] * dx * dx + 2 * inverse[1] * dx * dy + inverse[2] * dy * dy;
        const alpha = Math.min(0.999, opacity * Math.exp(-q / 2));
        if (alpha < 1 / 255) continue;
        if (through * (1 - alpha) < 1e-4) break;
        for (let k = 0; k < 3; k++) sum[k] += through * alpha * color[k];
        depth += through * alpha * z;
        if (through > 0.5 && through * (1 - alpha) <= 0.5) median = z;
        through *= 1 - alpha;
      }
      out.rgb.push(...sum.map((value, k) => Math.min(1, value + through * background[k])));
      out.alpha.push(1 - through);
      if (limit < Number.POSITIVE_INFINITY) {
        depth += through * limit;
        median ||= limit;
      } else if (through < 1) depth /= 1 - through;
      out.depth.push(depth);
      out.median.push(median);
    }
  }
  return out;
}

async function render(
  cloud: SplatCloud,
  view: View,
  options: SplatOptions = {},
  on = device,
): Promise<SplatPixels> {
  const scene = new SplatScene(on, cloud);
  const renderer = new SplatRenderer(on);
  try {
    const image = await renderer.render(scene, view, options);
    const pixels = await readSplatImage(on, image);
    image.destroy();
    return pixels;
  } finally {
    scene.destroy();
    renderer.destroy();
  }
}

const rms = (got: ArrayLike<number>, want: ArrayLike<number>) => {
  expect(got.length).toBe(want.length);
  return Math.sqrt(Array.from(got).reduce((sum, value, i) => sum + (value - want[i]) ** 2, 0) / want.length);
};

/** Share of values further than 1e-3 apart: where 1/2 or 1/255 is met exactly, float32 may decide otherwise. */
const strays = (got: ArrayLike<number>, want: ArrayLike<number>) =>
  Array.from(got).filter((value, i) => !(Math.abs(value - want[i]) < 1e-3)).length / want.length;

function expectSame(got: SplatPixels, want: Expected): void {
  expect(rms(got.rgb, want.rgb)).toBeLessThan(1e-4);
  expect(rms(got.alpha, want.alpha)).toBeLessThan(1e-4);
  expect(strays(got.depth, want.depth)).toBeLessThan(2e-3);
  expect(strays(got.medianDepth, want.median)).toBeLessThan(2e-3);
}

describe.each([0, 1, 2, 3] as ShDegree[])('degree %i', (degree) => {
  const cloud = randomCloud(333, degree, degree + 1);
  test.each([
    ['outside', view],
    ['inside', inside],
  ])('equals a float64 sum over all splats, from %s', async (_, from) => {
    expectSame(await render(cloud, from), reference(cloud, from));
  });
});

const cloud = randomCloud(333, 1);

test('opacity compensation for thin splats', async () => {
  const thin = {
    ...cloud,
    scales: cloud.scales.map((value, i) => (i % 3 === 0 ? 0.01 * value : 0.2 * value)),
  };
  const want = reference(thin, view, { compensate: true });
  expectSame(await render(thin, view, { compensate: true }), want);
  expectSame(await render({ ...thin, antialiased: true }, view), want);
  expect(rms(want.rgb, reference(thin, view).rgb)).toBeGreaterThan(0.01);
});

test("the other kind of device's tiles and sort draw the same picture", async () => {
  const { kind } = device.caps.adapter;
  const renderer = new SplatRenderer(device, kind === 'software' ? 'hardware' : 'software');
  const scene = new SplatScene(device, cloud);
  const image = await renderer.render(scene, view);
  expectSame(await readSplatImage(device, image), reference(cloud, view));
  for (const held of [image, scene, renderer]) held.destroy();
});

test('a background shows through what is not covered', async () => {
  const background = [0.2, 0.9, 0.4] as const;
  expectSame(
    await render(cloud, view, { background }),
    reference(cloud, view, { background: [...background] }),
  );
});

test('near is the last depth that is dropped', async () => {
  const near = { ...view, near: 2.5 };
  const want = reference(cloud, near);
  expectSame(await render(cloud, near), want);
  expect(rms(want.rgb, reference(cloud, view).rgb)).toBeGreaterThan(0.05);
});

test('equal depths keep the order of the file', async () => {
  const n = 40;
  const flat = randomCloud(n, 0);
  flat.positions.forEach((_, i) => {
    flat.positions[i] = [0.1, 0, 0][i % 3];
  });
  const facing = { ...view, pose: placedCamera('opengl', [0, 0, 2], [0, 0, 0, 1]) };
  expectSame(await render(flat, facing), reference(flat, facing));
});

test('meshes and splats hide each other', async () => {
  const { width, height } = view.intrinsics;
  const near = 0.25;
  const limit = 2.4;
  const target = new RenderTarget(device, width, height);
  onTestFinished(() => target.destroy());
  const encoder = device.gpu.createCommandEncoder();
  encoder
    .beginRenderPass({
      colorAttachments: [
        {
          view: target.color.createView(),
          clearValue: [51 / 255, 102 / 255, 204 / 255, 1],
          loadOp: 'clear',
          storeOp: 'store',
        },
      ],
      depthStencilAttachment: {
        view: target.depth.createView(),
        depthClearValue: near / limit,
        depthLoadOp: 'clear',
        depthStoreOp: 'store',
      },
    })
    .end();
  device.gpu.queue.submit([encoder.finish()]);
  const from = { ...view, near };
  const want = reference(cloud, from, { limit, background: [0.2, 0.4, 0.8] });
  expectSame(await render(cloud, from, { over: target }), want);
  expect(rms(want.alpha, reference(cloud, from).alpha)).toBeGreaterThan(0.05);

  const small = new RenderTarget(device, 8, 8);
  onTestFinished(() => small.destroy());
  await expect(render(cloud, view, { over: small })).rejects.toThrow(
    "expected the view's 61x43 pixels, got 8x8",
  );
});

test('a device of small bindings draws the same picture bit for bit, in windows', async () => {
  const small = await openNodeDevice({
    limits: { maxStorageBufferBindingSize: 16_384, maxComputeWorkgroupsPerDimension: 13 },
  });
  onTestFinished(() => small.destroy());
  // Faint and wide: all 20 tiles see all 333 splats, more pairs than the 4096 of a window, and none is opaque early.
  const faint = randomCloud(333, 2);
  const large = {
    ...faint,
    scales: faint.scales.map((value) => 30 * value),
    opacities: faint.opacities.map((value) => 0.008 + 0.02 * value),
  };
  const tiny: View = { ...view, intrinsics: { width: 40, height: 25, fx: 30, fy: 30, cx: 20, cy: 12 } };
  const whole = await render(large, tiny);
  expect(Math.max(...whole.alpha)).toBeLessThan(0.999);
  const split = new SplatScene(small, large);
  expect(split.parts.length).toBe(3);
  split.destroy();
  const parts = await render(large, tiny, {}, small);
  expect(parts.rgb).toEqual(whole.rgb);
  expect(parts.depth).toEqual(whole.depth);
  expect(parts.medianDepth).toEqual(whole.medianDepth);
  await expect(render(randomCloud(400, 0), tiny, {}, small)).rejects.toThrow(
    /splat projections: needs 19200 bytes in one binding, this device allows 16384/,
  );
  await expect(render(cloud, view, {}, small)).rejects.toThrow(/camera size: 61x43 pixels take 41968 bytes/);
});

test('twice is the same bit for bit, also when frames are asked for at once', async () => {
  const scene = new SplatScene(device, cloud);
  const renderer = new SplatRenderer(device);
  onTestFinished(() => {
    scene.destroy();
    renderer.destroy();
  });
  const images = await Promise.all([view, inside, view].map((from) => renderer.render(scene, from)));
  const [first, other, again] = await Promise.all(images.map((image) => readSplatImage(device, image)));
  expect(again).toEqual(first);
  expect(rms(first.rgb, other.rgb)).toBeGreaterThan(0.01);
  for (const image of images) image.destroy();
});

test('the textures hold what the tensors hold', async () => {
  const scene = new SplatScene(device, cloud);
  const renderer = new SplatRenderer(device);
  const image = await renderer.render(scene, view);
  const { width, height } = view.intrinsics;
  const bytesPerRow = 256 * Math.ceil((4 * width) / 256);
  const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const copy = device.createBuffer(bytesPerRow * height, usage, 'depth');
  const encoder = device.gpu.createCommandEncoder();
  encoder.copyTextureToBuffer({ texture: image.depth }, { buffer: copy.gpu, bytesPerRow }, [width, height]);
  device.gpu.queue.submit([encoder.finish()]);
  const rows = new Float32Array(await device.read(copy));
  const { depth } = await readSplatImage(device, image);
  expect(
    depth.every((value, i) => value === rows[(bytesPerRow / 4) * Math.floor(i / width) + (i % width)]),
  ).toBe(true);
  for (const held of [copy, image, scene, renderer]) held.destroy();
});

test('no splat in view: the background, no depth', async () => {
  const away = { ...view, pose: placedCamera('opengl', [0, 0, 5], [0, 1, 0, 0]) };
  const { rgb, alpha, depth, medianDepth } = await render(cloud, away, { background: [0, 0.5, 1] });
  expect(Array.from(rgb.subarray(0, 3))).toEqual([0, 0.5, 1]);
  for (const values of [alpha, depth, medianDepth]) expect(values.every((value) => value === 0)).toBe(true);
});

test('huge, tiny and far splats leave finite pixels', async () => {
  const random = seeded(5);
  const wild = randomCloud(200, 2);
  wild.positions.forEach((value, i) => {
    wild.positions[i] = value * 10 ** Math.floor(10 * random());
  });
  wild.scales.forEach((_, i) => {
    wild.scales[i] = 10 ** (18 * random() - 9);
  });
  wild.sh.forEach((value, i) => {
    wild.sh[i] = value * 10 ** Math.floor(9 * random());
  });
  const { rgb, alpha, depth } = await render(wild, view);
  for (const values of [rgb, alpha, depth]) expect(values.every(Number.isFinite)).toBe(true);
});

test.each<[string, Partial<View['intrinsics']>, string]>([
  ['width', { width: 0 }, 'camera width: expected 1 to'],
  ['height', { height: 3.5 }, 'camera height: expected 1 to'],
  ['fx', { fx: Number.NaN }, 'camera fx: expected a number over 0'],
  ['cy', { cy: Number.POSITIVE_INFINITY }, 'camera cy: expected finite numbers'],
])('refuses a camera with a bad %s', async (_, change, message) => {
  const broken = { ...view, intrinsics: { ...view.intrinsics, ...change } };
  await expect(render(cloud, broken)).rejects.toThrow(InvalidArgumentError);
  await expect(render(cloud, broken)).rejects.toThrow(message);
});

test('refuses a pose that is not finite', async () => {
  const pose = cameraToWorld('opengl', new Array(16).fill(Number.NaN));
  await expect(render(cloud, { ...view, pose })).rejects.toThrow('camera pose: expected finite numbers');
});
