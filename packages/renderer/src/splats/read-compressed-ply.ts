/**
 * The compressed PLY of PlayCanvas and SuperSplat: splats in chunks of 256, each with the bounds of its
 * positions, log scales and colours; a splat is four words: position 11 10 11 bits and scale 11 10 11 bits within
 * the bounds, colour and opacity 8 bits each, and the three smaller components of the quaternion in 10 bits each.
 * Harmonics, if any, are an element `sh` of one byte a coefficient over [-4, 4].
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { ByteSource } from '@dwm/core-tensor/files';
import { allocateCloud, checkedCloud, SH_C0, type SplatCloud, shCoefficients } from './cloud.ts';
import { missingFrom, type PlyHeader } from './ply-header.ts';
import { type PlyColumn, readPlyRows } from './ply-rows.ts';
import type { ReadSplatOptions } from './read-options.ts';
import { restColumns, restDegree } from './read-ply.ts';

const CHUNK = 256;
const PACKED = ['packed_position', 'packed_rotation', 'packed_scale', 'packed_color'];
const bounds = (names: readonly string[]) =>
  ['min', 'max'].flatMap((side) => names.map((n) => `${side}_${n}`));
const SHAPE_BOUNDS = [...bounds(['x', 'y', 'z']), ...bounds(['scale_x', 'scale_y', 'scale_z'])];
const COLOR_BOUNDS = bounds(['r', 'g', 'b']);

export const isCompressedPly = ({ elements }: PlyHeader): boolean =>
  elements.has('chunk') || missingFrom(elements.get('vertex'), PACKED).length < PACKED.length;

/** @throws InvalidFileError for missing properties, counts that do not fit together, or no splat whose numbers are whole. */
export async function readCompressedPly(
  source: ByteSource,
  header: PlyHeader,
  options: ReadSplatOptions,
): Promise<SplatCloud> {
  const file = source.name;
  const { elements } = header;
  const [chunks, vertices, harmonics] = ['chunk', 'vertex', 'sh'].map((name) => elements.get(name));
  // Older writers keep colours unbounded, within [0, 1].
  const colored = missingFrom(chunks, COLOR_BOUNDS).length === 0;
  const boundNames = colored ? [...SHAPE_BOUNDS, ...COLOR_BOUNDS] : SHAPE_BOUNDS;
  const missing = [...missingFrom(chunks, boundNames), ...missingFrom(vertices, PACKED)];
  if (!chunks || !vertices || missing.length > 0) {
    throw new InvalidFileError(file, `has no ${missing.join(', ')}, expected a compressed splat PLY`, {
      missing,
    });
  }
  const count = vertices.rows;
  const expectedChunks = Math.ceil(count / CHUNK);
  if (chunks.rows !== expectedChunks || (harmonics && harmonics.rows !== count)) {
    throw new InvalidFileError(
      file,
      `has ${chunks.rows} chunks and ${harmonics?.rows ?? 'no'} rows of sh for ${count} splats, ` +
        `expected ${expectedChunks} chunks and ${count} rows`,
      { chunks: chunks.rows, expectedChunks, splats: count, sh: harmonics?.rows },
    );
  }
  const degree = restDegree(file, harmonics);
  const cloud = allocateCloud(file, count, degree, { workBytes: 4 * PACKED.length + 1 });
  const { positions, scales, rotations, opacities, sh } = cloud;

  const box = new Float32Array(chunks.rows * boundNames.length);
  const perChunk = boundNames.length;
  const packed = new Uint32Array(4 * count);
  const columns = (names: readonly string[], into: Float32Array | Uint32Array): PlyColumn[] =>
    names.map((name, offset) => ({ name, into, offset, step: names.length }));
  const wanted = new Map<string, PlyColumn[]>([
    ['chunk', columns(boundNames, box)],
    ['vertex', columns(PACKED, packed)],
  ]);
  if (degree > 0) wanted.set('sh', restColumns(degree, sh));
  await readPlyRows(source, header, wanted);
  if (degree > 0) {
    // A byte is the middle of its 256th, except that the ends mean the ends.
    for (let i = 0; i < sh.length; i++) {
      const byte = sh[i];
      sh[i] = 8 * ((byte === 0 ? 0 : byte === 255 ? 1 : (byte + 0.5) / 256) - 0.5);
    }
  }

  const perSplat = 3 * shCoefficients(degree);
  /** From bound `k` this fraction of the way to its partner three further on. */
  const within = (k: number, fraction: number) => box[k] * (1 - fraction) + box[k + 3] * fraction;
  for (let i = 0; i < count; i++) {
    const lower = Math.floor(i / CHUNK) * perChunk;
    const color = packed[4 * i + 3];
    for (let axis = 0; axis < 3; axis++) {
      positions[3 * i + axis] = within(lower + axis, elevenTenEleven(packed[4 * i], axis));
      scales[3 * i + axis] = Math.exp(within(lower + 6 + axis, elevenTenEleven(packed[4 * i + 2], axis)));
      const value = ((color >>> (24 - 8 * axis)) & 255) / 255;
      sh[perSplat * i + axis] = ((colored ? within(lower + 12 + axis, value) : value) - 0.5) / SH_C0;
    }
    opacities[i] = (color & 255) / 255;
    unpackRotation(packed[4 * i + 1], rotations, 4 * i);
  }
  return checkedCloud(file, cloud, options);
}

/** Component 0, 1 or 2 of a word of 11, 10 and 11 bits, in [0, 1]. */
function elevenTenEleven(word: number, axis: number): number {
  if (axis === 0) return (word >>> 21) / 2047;
  return axis === 1 ? ((word >>> 11) & 1023) / 1023 : (word & 2047) / 2047;
}

/** Two bits say which of w x y z is the largest; the others follow in order, 10 bits over ±sqrt(1/2). */
function unpackRotation(word: number, into: Float32Array, at: number): void {
  const largest = word >>> 30;
  let [shift, sum] = [20, 0];
  for (let k = 0; k < 4; k++) {
    if (k === largest) continue;
    const value = (((word >>> shift) & 1023) / 1023 - 0.5) * Math.SQRT2;
    into[at + k] = value;
    sum += value * value;
    shift -= 10;
  }
  into[at + largest] = Math.sqrt(Math.max(0, 1 - sum));
}
