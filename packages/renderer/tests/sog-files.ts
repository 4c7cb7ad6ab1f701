/** SOG splats, written from the format's description alone. */
import { seeded } from '@dwm/core-tensor/testing';
import sharp from 'sharp';
import type { ShDegree, SplatCloud } from '../src/splats/cloud.ts';
import { randomCloud } from './splat-files.ts';

export type Files = Record<string, Uint8Array>;

const WIDTH = 8;

/** RGBA bytes [pixels, 4] as a lossless WebP, `width` wide. */
export async function webp(pixels: Uint8Array, width = WIDTH): Promise<Uint8Array> {
  const height = Math.ceil(pixels.length / 4 / width);
  const data = new Uint8Array(4 * width * height).fill(255);
  data.set(pixels);
  const raw = { width, height, channels: 4 as const };
  return new Uint8Array(await sharp(data, { raw }).webp({ lossless: true, exact: true }).toBuffer());
}

/** Pixels from four numbers each. */
export const pixels = (count: number, of: (i: number, channel: number) => number): Uint8Array =>
  Uint8Array.from({ length: 4 * count }, (_, at) => of(Math.floor(at / 4), at % 4));

const byte = (part: number) => Math.min(255, Math.max(0, Math.round(255 * part)));

/** A SOG's files, written from the format's description alone, and the cloud that they hold to the last bit. */
export async function sog(
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
