import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytesSource, InvalidFileError } from '@dwm/core-tensor';
import { seeded } from '@dwm/core-tensor/testing';
import { decodeRgba } from '@dwm/media/node';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { randomCloud } from '../../tests/splat-files.ts';
import { readSplatFile } from '../node/splat-file.ts';
import { damaged, zip } from '../trajectory/testing.ts';
import type { ShDegree, SplatCloud } from './cloud.ts';
import { readSplats } from './read.ts';

type Files = Record<string, Uint8Array>;

const WIDTH = 8;

/** RGBA bytes [pixels, 4] as a lossless WebP, `width` wide. */
async function webp(pixels: Uint8Array, width = WIDTH): Promise<Uint8Array> {
  const height = Math.ceil(pixels.length / 4 / width);
  const data = new Uint8Array(4 * width * height).fill(255);
  data.set(pixels);
  const raw = { width, height, channels: 4 as const };
  return new Uint8Array(await sharp(data, { raw }).webp({ lossless: true, exact: true }).toBuffer());
}

/** Pixels from four numbers each. */
const pixels = (count: number, of: (i: number, channel: number) => number): Uint8Array =>
  Uint8Array.from({ length: 4 * count }, (_, at) => of(Math.floor(at / 4), at % 4));

const byte = (part: number) => Math.min(255, Math.max(0, Math.round(255 * part)));

/** A SOG's files, written from the format's description alone, and the cloud that they hold to the last bit. */
async function sog(
  version: 1 | 2,
  degree: ShDegree,
  count = 37,
): Promise<{ files: Files; cloud: SplatCloud }> {
  const cloud = randomCloud(count, degree);
  const random = seeded(version + degree);
  const K = (degree + 1) ** 2;
  const logs = cloud.positions.map((x) => Math.sign(x) * Math.log1p(Math.abs(x)));
  const side = (pick: (...all: number[]) => number) =>
    [0, 1, 2].map((axis) => pick(...logs.filter((_, i) => i % 3 === axis)) * 1.01);
  const [mins, maxs] = [side(Math.min), side(Math.max)];
  const words = logs.map((x, i) => Math.round((65535 * (x - mins[i % 3])) / (maxs[i % 3] - mins[i % 3])));
  cloud.positions.forEach((_, i) => {
    const value = mins[i % 3] + ((maxs[i % 3] - mins[i % 3]) * words[i]) / 65535;
    cloud.positions[i] = Math.sign(value) * (Math.exp(Math.abs(value)) - 1);
  });
  const of3 = (bytes: ArrayLike<number>) => pixels(count, (i, c) => (c < 3 ? bytes[3 * i + c] : 255));

  const codebook = (from: number, to: number) =>
    Array.from({ length: 256 }, (_, i) => from + (to - from) * (i / 255) ** 2);
  const [sizeBook, colorBook, restBook] = [codebook(-4, -1), codebook(-2, 2), codebook(-0.5, 0.5)];
  const spread = (least: number, most: number) => (b: number) => least + ((most - least) * b) / 255;
  const bytes = (n: number, most = 255) => Array.from({ length: n }, () => Math.floor(random() * (most + 1)));

  const sizes = bytes(3 * count);
  cloud.scales.forEach((_, i) => {
    cloud.scales[i] = Math.exp(version === 2 ? sizeBook[sizes[i]] : spread(-4 - (i % 3), -1)(sizes[i]));
  });
  const colors = bytes(4 * count);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++)
      cloud.sh[3 * K * i + c] =
        version === 2 ? colorBook[colors[4 * i + c]] : spread(-2 + c / 4, 2)(colors[4 * i + c]);
    const alpha = colors[4 * i + 3];
    cloud.opacities[i] = version === 2 ? alpha / 255 : 1 / (1 + Math.exp(-spread(-6, 6)(alpha)));
  }
  const turns = pixels(count, (i, c) => {
    const q = cloud.rotations.subarray(4 * i, 4 * i + 4);
    const largest = [0, 1, 2, 3].reduce((a, b) => (Math.abs(q[b]) > Math.abs(q[a]) ? b : a));
    if (c === 3) return 252 + largest;
    const others = [0, 1, 2, 3].filter((k) => k !== largest);
    return byte((Math.sign(q[largest]) * q[others[c]]) / Math.SQRT2 + 0.5);
  });
  const files: Files = {
    'means_l.webp': await webp(of3(words.map((word) => word & 255))),
    'means_u.webp': await webp(of3(words.map((word) => word >> 8))),
    'scales.webp': await webp(of3(sizes)),
    'quats.webp': await webp(turns),
    'sh0.webp': await webp(Uint8Array.from(colors)),
  };
  const names = (...all: string[]) => all.map((name) => `${name}.webp`);
  const shape = (n: number) => (version === 1 ? { shape: [count, n], dtype: 'float32' } : {});
  const meta: Record<string, unknown> = {
    ...(version === 2 && { version, asset: { generator: 'a test' }, count, antialias: true }),
    means: { ...shape(3), mins, maxs, files: names('means_l', 'means_u') },
    scales: {
      ...shape(3),
      ...(version === 2 ? { codebook: sizeBook } : { mins: [-4, -5, -6], maxs: [-1, -1, -1] }),
      files: names('scales'),
    },
    quats: { ...shape(4), files: names('quats') },
    sh0: {
      ...shape(4),
      ...(version === 2 ? { codebook: colorBook } : { mins: [-2, -1.75, -1.5, -6], maxs: [2, 2, 2, 6] }),
      files: names('sh0'),
    },
  };
  if (degree > 0) {
    const entries = 70;
    const rest = K - 1;
    const centroids = pixels(64 * 2 * rest, (at, c) => (c < 3 ? (at * 7 + c * 50) % 256 : 255));
    const labels = bytes(count, entries - 1);
    for (let i = 0; i < count; i++)
      for (let k = 0; k < rest; k++)
        for (let c = 0; c < 3; c++) {
          const at = Math.floor(labels[i] / 64) * 64 * rest + (labels[i] % 64) * rest + k;
          const b = (at * 7 + c * 50) % 256;
          cloud.sh[3 * (K * i + k + 1) + c] = version === 2 ? restBook[b] : spread(-0.7, 0.9)(b);
        }
    files['shN_centroids.webp'] = await webp(centroids, 64 * rest);
    files['shN_labels.webp'] = await webp(pixels(count, (i, c) => (c === 0 ? labels[i] : c === 3 ? 255 : 0)));
    meta.shN = {
      ...(version === 2
        ? { count: entries, bands: degree, codebook: restBook }
        : { shape: [count, 3 * rest], mins: -0.7, maxs: 0.9, quantization: 8 }),
      files: names('shN_centroids', 'shN_labels'),
    };
  }
  files['meta.json'] = new TextEncoder().encode(JSON.stringify(meta));
  return { files, cloud };
}

const decodeImage = ({ name, bytes }: { name: string; bytes: Uint8Array }) => decodeRgba(name, bytes);
const readBundle = (bytes: Uint8Array, warn = (_: string) => {}) =>
  readSplats(bytesSource('a.sog', bytes), { decodeImage, warn });
const edited = (files: Files, edit: (meta: Record<string, Record<string, unknown>>) => void): Files => {
  const meta = JSON.parse(new TextDecoder().decode(files['meta.json']));
  edit(meta);
  return { ...files, 'meta.json': new TextEncoder().encode(JSON.stringify(meta)) };
};

test.each([
  [2, 0],
  [2, 1],
  [2, 2],
  [2, 3],
  [1, 0],
  [1, 2],
  [1, 3],
] as [1 | 2, ShDegree][])('version %d of degree %d, as a bundle and as a folder', async (version, degree) => {
  const { files, cloud } = await sog(version, degree);
  const folder = await mkdtemp(join(tmpdir(), 'dwm-sog-'));
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
  const all = [
    await readBundle(zip(files)),
    await readBundle(
      zip(Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`scene/${name}`, bytes])), true),
    ),
    await readSplatFile(folder),
    await readSplatFile(join(folder, 'meta.json')),
  ];
  for (const got of all) {
    expect([got.count, got.degree, got.antialiased]).toEqual([cloud.count, degree, version === 2]);
    for (const field of ['positions', 'scales', 'opacities', 'sh'] as const)
      got[field].forEach((value, i) => {
        if (!(Math.abs(value - cloud[field][i]) <= 1e-6))
          expect([field, i, value]).toEqual([field, i, cloud[field][i]]);
      });
    for (let i = 0; i < got.count; i++) {
      const [a, b] = [got, cloud].map(({ rotations }) => rotations.subarray(4 * i, 4 * i + 4));
      expect(Math.abs(a.reduce((sum, x, k) => sum + x * b[k], 0))).toBeGreaterThan(1 - 1e-4);
    }
  }
});

test('a codebook that begins with null, a label beyond the palette, a tag that is none', async () => {
  const { files, cloud } = await sog(2, 1);
  const nulled = edited(files, ({ sh0 }) => {
    (sh0.codebook as unknown[])[0] = null;
  });
  expect((await readBundle(zip(nulled))).sh[0]).toBeCloseTo(cloud.sh[0], 1);
  const lines: string[] = [];
  const few = edited(files, ({ shN }) => {
    shN.count = 5;
  });
  const got = await readBundle(zip(few), (line) => lines.push(line));
  expect(got.count).toBeLessThan(cloud.count);
  const untagged = {
    ...files,
    'quats.webp': await webp(pixels(cloud.count, (i, c) => (c < 3 ? 128 : i === 4 ? 9 : 252))),
  };
  expect((await readBundle(zip(untagged), (line) => lines.push(line))).count).toBe(cloud.count - 1);
  expect(lines).toEqual([
    expect.stringMatching(
      /a\.sog: \d+ of 37 splats are damaged and left out \(splat \d+: spherical harmonics is NaN/,
    ),
    expect.stringMatching(/a\.sog: 1 of 37 splats are damaged and left out \(splat 4: rotation is NaN/),
  ]);
});

test('what is wrong with a SOG is one line', async () => {
  const { files } = await sog(2, 1);
  const lossy = await sharp(Buffer.alloc(4 * 64, 90), { raw: { width: 8, height: 8, channels: 4 } })
    .removeAlpha()
    .webp({ quality: 80 })
    .toBuffer();
  const { 'quats.webp': _, ...missing } = files;
  type Edit = Parameters<typeof edited>[1];
  const cases: [Files | Edit, string][] = [
    [(meta) => Object.assign(meta, { version: 3 }), 'version: 3, expected 1 or 2'],
    [
      (meta) => Object.assign(meta, { count: 41 }),
      'means.files: an array of 2, expected pictures of 41 pixels or more, not 8x5',
    ],
    [(meta) => Object.assign(meta, { count: 1e15 }), 'expected pictures of'],
    [(meta) => Object.assign(meta, { count: 0 }), 'count: 0, expected a positive number'],
    [
      ({ scales }) => Object.assign(scales, { codebook: [1] }),
      'scales.codebook: an array of 1, expected an array of 256',
    ],
    [
      ({ means }) => Object.assign(means, { files: ['../../means_l.webp', 'x'] }),
      'a.sog: holds no ../../means_l.webp',
    ],
    [({ shN }) => Object.assign(shN, { bands: 2 }), 'shN.bands: 2, expected a palette of 192, 512 or 960'],
    [(meta) => Object.assign(meta, { lodLevels: 3 }), 'is the index of a streamed SOG'],
    [missing, 'a.sog: holds no quats.webp'],
    [{ ...files, 'sh0.webp': new Uint8Array(lossy) }, 'its picture sh0.webp was compressed with loss'],
    [{ ...files, 'sh0.webp': files['sh0.webp'].subarray(0, 40) }, 'sh0.webp'],
    [{ 'other.txt': new Uint8Array(3) }, 'is a zip without a meta.json'],
  ];
  for (const [change, message] of cases) {
    const bytes = zip(typeof change === 'function' ? edited(files, change) : change);
    const error = await readBundle(bytes).catch((error: Error) => error);
    expect(error).toBeInstanceOf(InvalidFileError);
    expect((error as Error).message).toContain(message);
  }
  const folder = await mkdtemp(join(tmpdir(), 'dwm-sog-'));
  for (const [name, bytes] of Object.entries(missing)) await writeFile(join(folder, name), bytes);
  await expect(readSplatFile(folder)).rejects.toThrow(/quats\.webp/);
  const out = edited(files, ({ means }) => Object.assign(means, { files: ['../means_l.webp', 'x'] }));
  await writeFile(join(folder, 'meta.json'), out['meta.json']);
  await expect(readSplatFile(folder)).rejects.toThrow(/files "\.\.\/means_l\.webp" leads out/);
});

test('damaged bundles end in splats or in one line', async () => {
  const { files } = await sog(2, 1, 9);
  const [bytes, random] = [zip(files), seeded(2)];
  let errors = 0;
  for (let run = 0; run < 150; run++) {
    try {
      await readBundle(damaged(bytes, random));
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidFileError);
      errors++;
    }
  }
  expect(errors).toBeGreaterThan(50);
});
