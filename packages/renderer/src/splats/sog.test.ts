import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { bytesSource } from '@dwm/core-tensor/files';
import { seeded } from '@dwm/core-tensor/testing';
import { decodeRgba } from '@dwm/media/node';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { type Files, pixels, sog, webp } from '../../tests/sog-files.ts';
import { readSplatFile } from '../node/splat-file.ts';
import { damaged, zip } from '../trajectory/testing.ts';
import type { ShDegree } from './cloud.ts';
import { readSplats } from './read.ts';

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
  await expect(readSplatFile(folder)).rejects.toThrow(
    /meta\.json: files: .*quats\.webp: no such file or folder; copy it beside the meta\.json$/,
  );
  await mkdir(join(folder, 'quats.webp'));
  await expect(readSplatFile(folder)).rejects.toThrow(/quats\.webp: is a folder, expected a file$/);
  const out = edited(files, ({ means }) => Object.assign(means, { files: ['../means_l.webp', 'x'] }));
  await writeFile(join(folder, 'meta.json'), out['meta.json']);
  await expect(readSplatFile(folder)).rejects.toThrow(/files "\.\.\/means_l\.webp" leads out/);
});

test('no decoder sees a picture that says it is too large', async () => {
  const { files } = await sog(2, 0);
  const bomb = files['means_l.webp'].slice();
  new DataView(bomb.buffer).setUint32(21, 0xfffffff, true);
  const seen: string[] = [];
  const reading = readSplats(bytesSource('a.sog', zip({ ...files, 'means_l.webp': bomb })), {
    decodeImage: async (image) => {
      seen.push(image.name);
      return decodeImage(image);
    },
  });
  await expect(reading).rejects.toThrow(
    /^a\.sog: means_l\.webp: says it is of 16384x16384 pixels, expected 1 to 67108864 in all/,
  );
  expect(seen).toEqual([]);
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
