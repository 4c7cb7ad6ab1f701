import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { InvalidFileError } from '@dwm/core-tensor';
import { bytesSource } from '@dwm/core-tensor/files';
import { openPath } from '@dwm/core-tensor/node';
import { seeded } from '@dwm/core-tensor/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  compressedPly,
  inriaPly,
  plyBytes,
  randomCloud,
  splatFile,
  spzFile,
} from '../../tests/splat-files.ts';
import type { ShDegree, SplatCloud } from './cloud.ts';
import { readSplats } from './read.ts';

const read = (name: string, bytes: Uint8Array, warn = (_: string) => {}) =>
  readSplats(bytesSource(name, bytes), { warn });

const largest = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
};

/** A quaternion and its negative are the same rotation. */
function rotationDifference(a: SplatCloud, b: SplatCloud): number {
  let most = 0;
  for (let i = 0; i < a.count; i++) {
    const [p, q] = [a, b].map(({ rotations }) => rotations.subarray(4 * i, 4 * i + 4));
    const dot = p.reduce((sum, value, k) => sum + value * q[k], 0);
    most = Math.max(
      most,
      largest(
        p,
        q.map((value) => value * Math.sign(dot)),
      ),
    );
  }
  return most;
}

interface Steps {
  position: number;
  logScale: number;
  rotation: number;
  opacity: number;
  color: number;
  rest: number;
}

/** Every number of `got` within half a step, or a bit more, of the cloud it was written from. */
function expectClose(got: SplatCloud, cloud: SplatCloud, steps: Steps): void {
  expect([got.count, got.degree]).toEqual([cloud.count, cloud.degree]);
  const perSplat = cloud.sh.length / cloud.count;
  const color = (_: number, i: number) => i % perSplat < 3;
  const rest = (_: number, i: number) => i % perSplat >= 3;
  expect(largest(got.positions, cloud.positions)).toBeLessThan(steps.position);
  expect(largest(got.scales.map(Math.log), cloud.scales.map(Math.log))).toBeLessThan(steps.logScale);
  expect(rotationDifference(got, cloud)).toBeLessThan(steps.rotation);
  expect(largest(got.opacities, cloud.opacities)).toBeLessThan(steps.opacity);
  expect(largest(got.sh.filter(color), cloud.sh.filter(color))).toBeLessThan(steps.color);
  expect(largest(got.sh.filter(rest), cloud.sh.filter(rest))).toBeLessThan(steps.rest);
}

const exact = { position: 1e-7, logScale: 1e-6, rotation: 1e-6, opacity: 1e-6, color: 1e-6, rest: 1e-6 };
const byte = 0.51 / 255;
const spzSteps = {
  position: 0.51 / 4096,
  logScale: 0.51 / 16,
  opacity: byte,
  color: byte / 0.15,
  rest: 0.51 / 128,
};

describe.each([0, 1, 2, 3] as ShDegree[])('degree %i', (degree) => {
  const cloud = randomCloud(517, degree);

  test('.ply with its properties in any order', async () => {
    expectClose(await read('a.ply', inriaPly(cloud)), cloud, exact);
  });

  test('compressed .ply', async () => {
    // Boxes are at most 2 wide in position, log 15 in scale, and 1 in colour.
    const steps = {
      position: 1.1 / 1023,
      logScale: 1.5 / 1023,
      rotation: 3e-3,
      opacity: byte,
      color: 8e-3,
      rest: 4.1 / 256,
    };
    expectClose(await read('a.ply', compressedPly(cloud)), cloud, steps);
  });

  test.each([1, 2, 3, 4] as const)('.spz version %i', async (version) => {
    const got = await read('a.spz', spzFile(cloud, version));
    expectClose(got, cloud, {
      ...spzSteps,
      position: version === 1 ? 2 ** -11 : spzSteps.position,
      // w is the root of what the three bytes leave.
      rotation: version < 3 ? 0.15 : 3e-3,
    });
    expect(got.antialiased).toBe(true);
    // Node's own arrays are parts of larger ones.
    const inside = Buffer.concat([Buffer.alloc(7, 1), spzFile(cloud, version)]).subarray(7);
    expect(await read('a.spz', inside)).toEqual(got);
  });
});

test('.spz positions in another fixed point', async () => {
  const cloud = randomCloud(100, 0);
  const got = await read('a.spz', spzFile(cloud, 3, 20));
  expect(largest(got.positions, cloud.positions)).toBeLessThan(2 ** -20);
});

test('.splat', async () => {
  const cloud = randomCloud(100, 0);
  // Colours beyond black and white do not survive this format.
  cloud.sh.forEach((value, i) => {
    cloud.sh[i] = Math.max(-1.7, Math.min(1.7, value));
  });
  const got = await read('scan.SPLAT?v=1', splatFile(cloud));
  expectClose(got, cloud, { ...exact, rotation: 8e-3, opacity: byte, color: byte / 0.28 });
});

test('a quaternion of no length is no rotation', async () => {
  const cloud = randomCloud(3, 0);
  cloud.rotations.fill(0, 4, 8);
  const { rotations } = await read('a.ply', inriaPly(cloud));
  expect(largest(rotations.subarray(4, 8), [1, 0, 0, 0])).toBe(0);
});

test('opacities of exactly 0 and 1 come back from infinite logits', async () => {
  const cloud = randomCloud(2, 0);
  cloud.opacities.set([0, 1]);
  expect(Array.from((await read('a.ply', inriaPly(cloud))).opacities)).toEqual([0, 1]);
});

describe('damaged splats are left out, the others stay', () => {
  const cloud = randomCloud(600, 1);
  /** Of splats 2, 300 and 599. */
  const spoiled = (values: 'positions' | 'scales' | 'sh', value: number) => {
    const copy = randomCloud(600, 1);
    const width = copy[values].length / 600;
    for (const splat of [2, 300, 599]) copy[values][splat * width + width - 1] = value;
    return copy;
  };
  const without = ({ positions }: SplatCloud, bad: readonly number[]) =>
    positions.filter((_, i) => !bad.includes(Math.floor(i / 3)));
  const chunk = () => {
    // A bound that is none spoils its whole chunk.
    const bytes = compressedPly(cloud);
    const start = Buffer.from(bytes).indexOf('end_header\n') + 11;
    new DataView(bytes.buffer).setFloat32(start + 18 * 4, Number.NaN, true);
    return bytes;
  };
  const half = () => {
    const plain = new Uint8Array(gunzipSync(spzFile(cloud, 1)));
    for (const splat of [2, 300, 599]) plain.set([0, 0x7e], 16 + 6 * splat + 4);
    return new Uint8Array(gzipSync(plain));
  };
  const three = [2, 300, 599];
  test.each<[string, string, Uint8Array, readonly number[], string]>([
    ['NaN', 'a.ply', inriaPly(spoiled('positions', Number.NaN)), three, 'splat 2: position is NaN'],
    [
      'Infinity',
      'a.ply',
      inriaPly(spoiled('sh', Number.POSITIVE_INFINITY)),
      three,
      'splat 2: spherical harmonics is Infinity',
    ],
    ['e^60', 'a.ply', inriaPly(spoiled('scales', Math.exp(60))), three, 'splat 2: scale is'],
    ['NaN', 'a.splat', splatFile(spoiled('positions', Number.NaN)), three, 'splat 2: position is NaN'],
    ['NaN', 'a.spz', half(), three, 'splat 2: position is NaN'],
    [
      'NaN',
      'compressed.ply',
      chunk(),
      Array.from({ length: 256 }, (_, i) => 256 + i),
      'splat 256: position is NaN',
    ],
  ])('%s in %s', async (_, name, bytes, bad, reason) => {
    const lines: string[] = [];
    const got = await read(name, bytes, (line) => lines.push(line));
    expect(got.count).toBe(600 - bad.length);
    expect(largest(got.positions, without(cloud, bad))).toBeLessThan(3e-3);
    expect([got.scales.length, got.rotations.length, got.opacities.length]).toEqual(
      [3, 4, 1].map((k) => k * got.count),
    );
    expect(lines).toEqual([
      expect.stringContaining(`${name}: ${bad.length} of 600 splats are damaged and left out (${reason}`),
    ]);
  });
});

describe('bad files', () => {
  const cloud = randomCloud(300, 1);
  const ply = inriaPly(cloud);
  const spz = spzFile(cloud, 4);
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');
  const edited = (bytes: Uint8Array, from: string | RegExp, to: string) =>
    new Uint8Array(Buffer.from(text(bytes).replace(from, to), 'latin1'));
  const withByte = (bytes: Uint8Array, at: number, value: number) => bytes.with(at, value);
  const withNan = () => {
    const damaged = randomCloud(300, 1);
    damaged.positions.fill(Number.NaN);
    return inriaPly(damaged);
  };
  const plain = gunzipSync(spzFile(cloud, 2));

  test.each<[string, string, Uint8Array, string]>([
    ['cut', 'a.ply', ply.subarray(0, ply.length - 1), 'element vertex of 300 rows ends at byte'],
    ['cut in the header', 'a.ply', ply.subarray(0, 100), 'has no end_header line'],
    ['a count that lies', 'a.ply', edited(ply, 'vertex 300', 'vertex 301'), 'or its header lies'],
    ['10 GB', 'a.ply', edited(ply, 'vertex 300', 'vertex 99999999'), 'or its header lies'],
    [
      'a count of words',
      'a.ply',
      edited(ply, 'vertex 300', 'vertex many'),
      '"element vertex many": expected',
    ],
    ['no splats', 'a.ply', edited(ply, 'vertex 300', 'vertex 0'), 'holds no splats'],
    [
      'text that is none',
      'a.ply',
      edited(ply, 'binary_little_endian', 'ascii'),
      'element vertex, row 0: opacity is no number',
    ],
    [
      'another encoding',
      'a.ply',
      edited(ply, 'binary_little_endian', 'binary_middle_endian'),
      'format is "binary_middle_endian", expected one of ascii, binary_little_endian',
    ],
    [
      'a mesh',
      'a.ply',
      plyBytes(['element vertex 0', 'property float x'], new Uint8Array()),
      'a point cloud or mesh',
    ],
    [
      'a list whose length is none',
      'a.ply',
      edited(ply, 'uchar label', 'list float int label'),
      '"property list float int label"',
    ],
    ['harmonics of no degree', 'a.ply', edited(ply, 'f_rest_8', 'rest_8'), 'has 8 f_rest properties'],
    [
      'no numbers',
      'a.ply',
      withNan(),
      'splat 0: position is NaN, expected a number within ±1e9, and so on: no splat',
    ],
    [
      'too few chunks',
      'a.ply',
      edited(compressedPly(cloud), 'chunk 2', 'chunk 1'),
      'has 1 chunks and 300 rows of sh',
    ],
    ['cut', 'a.splat', splatFile(cloud).subarray(5), 'has 9595 bytes, expected a multiple of 32'],
    ['cut', 'a.spz', spz.subarray(0, spz.length - 9), 'stream 5 has'],
    ['cut in the table', 'a.spz', spz.subarray(0, 60), 'has a table of 6 streams at byte 32, expected 6'],
    ['a count that lies', 'a.spz', withByte(spz, 8, 45), 'stream 0 has 2700 bytes'],
    ['a huge count', 'a.spz', withByte(spz, 11, 255), 'expected at most 1.5 GiB: thin the cloud out'],
    ['a damaged stream', 'a.spz', withByte(spz, 130, 0), 'stream 0 is damaged'],
    ['a version to come', 'a.spz', withByte(spz, 4, 5), 'version is 5, expected 1 to 4'],
    ['degree 4', 'a.spz', withByte(spz, 12, 4), 'degree of spherical harmonics is 4, expected 0 to 3'],
    ['cut', 'b.spz', spzFile(cloud, 2).subarray(0, 500), 'its gzip stream is damaged or cut'],
    ['short', 'b.spz', new Uint8Array(gzipSync(plain.subarray(0, -1))), 'or its header lies'],
    ['nothing', 'a.bin', new Uint8Array(), 'is no splat file: expected .ply, .spz, .splat or .sog'],
    ['nothing', 'a.splat', new Uint8Array(), 'holds no splats'],
  ])('%s: %s', async (_, name, bytes, message) => {
    const error = await read(name, bytes).then(
      () => undefined,
      (error) => error,
    );
    expect(error).toBeInstanceOf(InvalidFileError);
    expect(error.message).toContain(`${name}: `);
    expect(error.message).toContain(message);
    expect(error.message).not.toMatch(/\p{Cc}/u);
  });

  test.each([
    ['.ply', ply],
    ['.splat', splatFile(cloud)],
    ['.spz', Uint8Array.of(0x1f, 0x8b)],
  ])('10 GB of %s are refused without reading them', async (extension, start) => {
    const dir = await mkdtemp(join(tmpdir(), 'dwm-splats-'));
    onTestFinished(() => rm(dir, { recursive: true }));
    const path = join(dir, `big${extension}`);
    const head = extension === '.ply' ? edited(start, 'vertex 300', 'vertex 88000000') : start;
    const file = await open(path, 'w');
    await file.write(head);
    await file.truncate(10e9 - (10e9 % 32));
    await file.close();
    const source = await openPath(path);
    onTestFinished(() => source.close!());
    await expect(readSplats(source)).rejects.toThrow(InvalidFileError);
  });

  test.each<[string, Uint8Array, Uint8Array?]>([
    ['a.ply', ply],
    ['compressed.ply', compressedPly(cloud)],
    ['a.splat', splatFile(cloud)],
    ['a.spz', spz],
    ['gzipped.spz', spzFile(cloud, 3), gunzipSync(spzFile(cloud, 3))],
  ])('%s with random damage gives finite splats or one clear line', async (name, bytes, inner) => {
    const random = seeded(bytes.length);
    const below = (n: number) => Math.floor(random() * n);
    let [clouds, errors] = [0, 0];
    for (let i = 0; i < 300; i++) {
      const within = inner !== undefined && random() < 0.5;
      let damaged = Uint8Array.from(within ? inner : bytes);
      if (random() < 0.25) damaged = damaged.slice(0, below(damaged.length));
      else {
        for (let k = below(6); k >= 0; k--) {
          // Half of it in the header; single bytes, all ones, and float32's NaN.
          const at = below(random() < 0.5 ? Math.min(200, damaged.length - 4) : damaged.length - 4);
          damaged.set([[below(256)], [255, 255, 255, 255], [0, 0, 0xc0, 0x7f]][below(3)], at);
        }
      }
      if (within) damaged = new Uint8Array(gzipSync(damaged));
      try {
        const got = await read(name, damaged);
        for (const values of [got.positions, got.scales, got.rotations, got.opacities, got.sh]) {
          expect(values.every(Number.isFinite)).toBe(true);
        }
        clouds++;
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidFileError);
        expect((error as Error).message).not.toMatch(/\p{Cc}/u);
        errors++;
      }
    }
    expect(clouds).toBeGreaterThan(5);
    expect(errors).toBeGreaterThan(50);
  });
});
