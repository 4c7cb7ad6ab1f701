/** Helpers of the splat tests: random clouds, and writers of every file format, each from its description alone. */
import { gzipSync } from 'node:zlib';
import { seeded } from '@dwm/core-tensor/testing';
import { SH_C0, type ShDegree, type SplatCloud, shCoefficients } from '../src/splats/cloud.ts';

/** Splats in a box of side 2 around the origin, standard deviations 0.02 to 0.3, all shapes and opacities. */
export function randomCloud(count: number, degree: ShDegree, seed = 1): SplatCloud {
  const random = seeded(seed);
  const uniform = (n: number, from: number, to: number) =>
    Float32Array.from({ length: n }, () => from + (to - from) * random());
  const rotations = uniform(4 * count, -1, 1);
  for (let i = 0; i < rotations.length; i += 4) {
    const length = Math.hypot(...rotations.subarray(i, i + 4));
    for (let k = 0; k < 4; k++) rotations[i + k] /= length;
  }
  const perSplat = 3 * shCoefficients(degree);
  return {
    count,
    positions: uniform(3 * count, -1, 1),
    scales: uniform(3 * count, Math.log(0.02), Math.log(0.3)).map(Math.exp),
    rotations,
    opacities: uniform(count, 0.02, 0.99),
    degree,
    sh: uniform(perSplat * count, -0.5, 0.5).map((value, i) => (i % perSplat < 3 ? 2 * value : value)),
    antialiased: false,
  };
}

const logit = (p: number) => Math.log(p / (1 - p));

export function plyBytes(header: readonly string[], body: Uint8Array): Uint8Array<ArrayBuffer> {
  const text = `ply\nformat binary_little_endian 1.0\n${header.join('\n')}\nend_header\n`;
  return Uint8Array.from([...new TextEncoder().encode(text), ...body]);
}

/** Properties in an order of their own, some as doubles, one that means nothing, quaternions not normalised. */
export function inriaPly(cloud: SplatCloud): Uint8Array<ArrayBuffer> {
  const rest = shCoefficients(cloud.degree) - 1;
  type Column = readonly [type: 'float' | 'double' | 'uchar', name: string, value: (i: number) => number];
  const float = (name: string, value: (i: number) => number): Column => ['float', name, value];
  const columns: Column[] = [
    ['double', 'opacity', (i) => logit(cloud.opacities[i])],
    ...[0, 1, 2, 3].map((k) => float(`rot_${k}`, (i) => -3 * cloud.rotations[4 * i + k])),
    ['uchar', 'label', (i) => i % 256],
    ...[2, 0, 1].map((k) => float(`scale_${k}`, (i) => Math.log(cloud.scales[3 * i + k]))),
    ...Array.from({ length: 3 * rest }, (_, j) => {
      const at = 3 * ((j % rest) + 1) + Math.floor(j / rest);
      return float(`f_rest_${j}`, (i) => cloud.sh[3 * (rest + 1) * i + at]);
    }).reverse(),
    ...[0, 1, 2].map((k) => float(`f_dc_${k}`, (i) => cloud.sh[3 * (rest + 1) * i + k])),
    ...[0, 1, 2].map((k) => float('xyz'[k], (i) => cloud.positions[3 * i + k])),
  ];
  const sizes = { float: 4, double: 8, uchar: 1 };
  const stride = columns.reduce((sum, [type]) => sum + sizes[type], 0);
  const view = new DataView(new ArrayBuffer(stride * cloud.count));
  let at = 0;
  for (let i = 0; i < cloud.count; i++) {
    for (const [type, , value] of columns) {
      if (type === 'float') view.setFloat32(at, value(i), true);
      else if (type === 'double') view.setFloat64(at, value(i), true);
      else view.setUint8(at, value(i));
      at += sizes[type];
    }
  }
  const header = [
    'comment made by a test',
    `element vertex ${cloud.count}`,
    ...columns.map(([type, name]) => `property ${type} ${name}`),
  ];
  return plyBytes(header, new Uint8Array(view.buffer));
}

const round = (x: number, most: number) => Math.min(most, Math.max(0, Math.round(x)));

/** Chunks of 256 in the cloud's own order, with colour bounds. */
export function compressedPly(cloud: SplatCloud): Uint8Array<ArrayBuffer> {
  const { count, degree } = cloud;
  const coefficients = shCoefficients(degree);
  const values = [
    (i: number, k: number) => cloud.positions[3 * i + k],
    (i: number, k: number) => Math.log(cloud.scales[3 * i + k]),
    (i: number, k: number) => 0.5 + SH_C0 * cloud.sh[3 * coefficients * i + k],
  ];
  const chunks = Math.ceil(count / 256);
  const boxes = new Float32Array(18 * chunks);
  const words = new Uint32Array(4 * count);
  for (let chunk = 0; chunk < chunks; chunk++) {
    const members = Array.from({ length: Math.min(256, count - 256 * chunk) }, (_, i) => 256 * chunk + i);
    values.forEach((value, kind) => {
      for (let k = 0; k < 3; k++) {
        boxes[18 * chunk + 6 * kind + k] = Math.min(...members.map((i) => value(i, k)));
        boxes[18 * chunk + 6 * kind + 3 + k] = Math.max(...members.map((i) => value(i, k)));
      }
    });
    for (const i of members) {
      const fraction = (kind: number, k: number) => {
        const [low, high] = [0, 3].map((side) => boxes[18 * chunk + 6 * kind + side + k]);
        return high > low ? (values[kind](i, k) - low) / (high - low) : 0;
      };
      const packed = (kind: number) =>
        ((round(2047 * fraction(kind, 0), 2047) << 21) |
          (round(1023 * fraction(kind, 1), 1023) << 11) |
          round(2047 * fraction(kind, 2), 2047)) >>>
        0;
      const q = cloud.rotations.subarray(4 * i, 4 * i + 4);
      const largest = [0, 1, 2, 3].reduce((a, b) => (Math.abs(q[b]) > Math.abs(q[a]) ? b : a));
      const sign = Math.sign(q[largest]);
      let rotation = largest;
      for (let k = 0; k < 4; k++) {
        if (k !== largest)
          rotation = rotation * 1024 + round(1023 * ((sign * q[k]) / Math.SQRT2 + 0.5), 1023);
      }
      const [r, g, b] = [0, 1, 2].map((k) => round(255 * fraction(2, k), 255));
      const color = ((r << 24) | (g << 16) | (b << 8) | round(255 * cloud.opacities[i], 255)) >>> 0;
      words.set([packed(0), rotation, packed(1), color], 4 * i);
    }
  }
  const rest = coefficients - 1;
  const sh = Uint8Array.from({ length: 3 * rest * count }, (_, j) => {
    const [i, at] = [Math.floor(j / (3 * rest)), j % (3 * rest)];
    const value = cloud.sh[3 * coefficients * i + 3 * ((at % rest) + 1) + Math.floor(at / rest)];
    return round(Math.floor((value / 8 + 0.5) * 256), 255);
  });
  const names = (side: string, [prefix, axes]: string[]) =>
    [...axes].map((axis) => `${side}_${prefix}${axis}`);
  const bounds = [
    ['', 'xyz'],
    ['scale_', 'xyz'],
    ['', 'rgb'],
  ].flatMap((kind) => [...names('min', kind), ...names('max', kind)]);
  const header = [
    `element chunk ${chunks}`,
    ...bounds.map((name) => `property float ${name}`),
    `element vertex ${count}`,
    ...['position', 'rotation', 'scale', 'color'].map((name) => `property uint packed_${name}`),
    ...(rest > 0 ? [`element sh ${count}`] : []),
    ...Array.from({ length: 3 * rest }, (_, j) => `property uchar f_rest_${j}`),
  ];
  return plyBytes(header, Buffer.concat([new Uint8Array(boxes.buffer), new Uint8Array(words.buffer), sh]));
}

export function splatFile(cloud: SplatCloud): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(32 * cloud.count);
  const view = new DataView(bytes.buffer);
  const perSplat = 3 * shCoefficients(cloud.degree);
  for (let i = 0; i < cloud.count; i++) {
    for (let k = 0; k < 3; k++) {
      view.setFloat32(32 * i + 4 * k, cloud.positions[3 * i + k], true);
      view.setFloat32(32 * i + 12 + 4 * k, cloud.scales[3 * i + k], true);
      bytes[32 * i + 24 + k] = round(255 * (0.5 + SH_C0 * cloud.sh[perSplat * i + k]), 255);
    }
    bytes[32 * i + 27] = round(255 * cloud.opacities[i], 255);
    for (let k = 0; k < 4; k++) bytes[32 * i + 28 + k] = round(128 + 128 * cloud.rotations[4 * i + k], 255);
  }
  return bytes;
}

/** What a half turn about x does to each basis function, by evaluating them. */
function turnedSign(k: number): number {
  const [x, y, z] = [0.3, 0.5, 0.7];
  const basis = (y: number, z: number) =>
    [
      1,
      y,
      z,
      x,
      x * y,
      y * z,
      2 * z * z - x * x - y * y,
      x * z,
      x * x - y * y,
      y * (3 * x * x - y * y),
      x * y * z,
      y * (4 * z * z - x * x - y * y),
      z * (2 * z * z - 3 * x * x - 3 * y * y),
      x * (4 * z * z - x * x - y * y),
      z * (x * x - y * y),
      x * (x * x - 3 * y * y),
    ][k];
  return Math.sign(basis(y, z) * basis(-y, -z));
}

/** Bits of the half float nearest to a value in [-1, 1]. */
function half(value: number): number {
  const size = Math.abs(value);
  const sign = value < 0 ? 0x8000 : 0;
  if (size < 2 ** -14) return sign + Math.round(size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  return sign + ((exponent + 15) << 10) + Math.round((size / 2 ** exponent - 1) * 1024);
}

/** @param version 1 to 3 are gzipped as a whole; 4 is in Zstandard frames of raw blocks. */
export function spzFile(
  cloud: SplatCloud,
  version: 1 | 2 | 3 | 4,
  fractionBits = 12,
): Uint8Array<ArrayBuffer> {
  const { count, degree } = cloud;
  const coefficients = shCoefficients(degree);
  const turned = (k: number) => (k === 0 ? 1 : -1);
  const positions = new Uint8Array((version === 1 ? 6 : 9) * count);
  for (let i = 0; i < 3 * count; i++) {
    const value = turned(i % 3) * cloud.positions[i];
    if (version === 1) positions.set([half(value) & 255, half(value) >> 8], 2 * i);
    else {
      const fixed = Math.round(value * 2 ** fractionBits);
      positions.set([fixed & 255, (fixed >> 8) & 255, (fixed >> 16) & 255], 3 * i);
    }
  }
  const rotations = new Uint8Array((version < 3 ? 3 : 4) * count);
  for (let i = 0; i < count; i++) {
    const [w, x, y, z] = cloud.rotations.subarray(4 * i, 4 * i + 4);
    const q = [x, -y, -z, w];
    if (version < 3) {
      const sign = Math.sign(w) || 1;
      rotations.set(
        q.slice(0, 3).map((value) => round(127.5 + 127.5 * sign * value, 255)),
        3 * i,
      );
    } else {
      const largest = [0, 1, 2, 3].reduce((a, b) => (Math.abs(q[b]) > Math.abs(q[a]) ? b : a));
      let word = largest;
      for (let k = 0; k < 4; k++) {
        if (k === largest) continue;
        const value = q[k] * Math.sign(q[largest]);
        word = word * 1024 + (value < 0 ? 512 : 0) + Math.round(511 * Math.abs(value) * Math.SQRT2);
      }
      new DataView(rotations.buffer).setUint32(4 * i, word, true);
    }
  }
  const arrays = [
    positions,
    Uint8Array.from(cloud.opacities, (value) => round(255 * value, 255)),
    Uint8Array.from({ length: 3 * count }, (_, j) =>
      round(255 * (0.5 + 0.15 * cloud.sh[3 * coefficients * Math.floor(j / 3) + (j % 3)]), 255),
    ),
    Uint8Array.from(cloud.scales, (value) => round(16 * (Math.log(value) + 10), 255)),
    rotations,
    Uint8Array.from({ length: 3 * (coefficients - 1) * count }, (_, j) => {
      const [i, at] = [Math.floor(j / (3 * (coefficients - 1))), j % (3 * (coefficients - 1))];
      const k = 1 + Math.floor(at / 3);
      return round(128 + 128 * turnedSign(k) * cloud.sh[3 * (coefficients * i + k) + (at % 3)], 255);
    }),
  ].filter((array) => array.length > 0);
  const header = new DataView(new ArrayBuffer(version === 4 ? 32 : 16));
  header.setUint32(0, 0x5053474e, true);
  header.setUint32(4, version, true);
  header.setUint32(8, count, true);
  [degree, fractionBits, 1].forEach((byte, k) => {
    header.setUint8(12 + k, byte);
  });
  const head = new Uint8Array(header.buffer);
  if (version < 4) return new Uint8Array(gzipSync(Buffer.concat([head, ...arrays])));
  header.setUint8(15, arrays.length);
  header.setUint32(16, 32, true);
  const frames = arrays.map((array) => rawZstd(array));
  const table = new BigUint64Array(frames.flatMap((f, k) => [BigInt(f.length), BigInt(arrays[k].length)]));
  return new Uint8Array(Buffer.concat([head, new Uint8Array(table.buffer), ...frames]));
}

/** A Zstandard frame (RFC 8878) of uncompressed blocks. */
function rawZstd(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  // single segment, content size in 4 bytes
  const parts: Uint8Array[] = [
    Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0xa0),
    new Uint8Array(Uint32Array.of(bytes.length).buffer),
  ];
  for (let at = 0; at < bytes.length; at += 1 << 17) {
    const block = bytes.subarray(at, at + (1 << 17));
    const word = (block.length << 3) | (at + block.length === bytes.length ? 1 : 0);
    parts.push(Uint8Array.of(word & 255, (word >> 8) & 255, word >> 16), block);
  }
  return new Uint8Array(Buffer.concat(parts));
}
