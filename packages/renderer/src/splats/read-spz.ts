/**
 * Niantic's `.spz`: every attribute quantised to bytes and stored as an array of its own, in the order positions,
 * opacities, colours, scales, rotations, harmonics. Versions 1 to 3 are one gzip stream with a 16-byte header;
 * version 4 has a 32-byte header in the clear, then a table of (compressed, plain) sizes and one Zstandard frame
 * for each array. Its axes are right, up, back; we turn them to right, down, front as Niantic's own converter does,
 * so that a cloud is the same whether it comes from the PLY or from the .spz made of it.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { type ByteSource, halfValues } from '@dwm/core-tensor/files';
import { inflateZstd } from '../zstd.ts';
import { allocateCloud, checkedCloud, type ShDegree, type SplatCloud, shCoefficients } from './cloud.ts';
import type { ReadSplatOptions } from './read-options.ts';

const MAGIC = 0x5053474e;
const GZIP = 0x8b1f;
const HEADER_BYTES = 16;
const ANTIALIASED = 1;
const PIECE_BYTES = 1 << 20;
/** Colours are stored as 0.15 f_dc + 0.5 rather than with which leaves room beyond black and white. */
const COLOR_SCALE = 0.15;

/** What half a turn about x does to the basis functions: those odd in y and z together change sign. */
const TURNED = [1, -1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1];

interface SpzHeader {
  readonly version: number;
  readonly count: number;
  readonly degree: ShDegree;
  readonly fractionBits: number;
  readonly antialiased: boolean;
}

/** Whether these are the first bytes of an .spz file. */
export function isSpz(head: Uint8Array): boolean {
  const word = (head[0] | (head[1] << 8) | (head[2] << 16) | (head[3] << 24)) >>> 0;
  return word === MAGIC || (word & 0xffff) === GZIP;
}

/** @throws InvalidFileError for an unknown version, sizes that do not fit together, damaged streams, or no splat whose numbers are whole. */
export async function readSpz(source: ByteSource, options: ReadSplatOptions): Promise<SplatCloud> {
  const start = await source.read(0, Math.min(source.size, HEADER_BYTES));
  if (start[0] === (GZIP & 255)) return readGzipped(source, options);
  return readStreams(source, parseHeader(source.name, start), options);
}

function parseHeader(file: string, bytes: Uint8Array): SpzHeader {
  if (bytes.length < HEADER_BYTES) throw new InvalidFileError(file, 'is cut inside its header of 16 bytes');
  const view = viewOf(bytes);
  const [version, count] = [view.getUint32(4, true), view.getUint32(8, true)];
  const [degree, fractionBits, flags] = [bytes[12], bytes[13], bytes[14]];
  const refuse = (field: string, actual: number, expected: string) =>
    new InvalidFileError(file, `${field} is ${actual}, expected ${expected}`, { field, actual, expected });
  if (view.getUint32(0, true) !== MAGIC)
    throw new InvalidFileError(file, 'does not begin with NGSP: no .spz file');
  if (version < 1 || version > 4) throw refuse('version', version, '1 to 4');
  if (degree > 3) throw refuse('degree of spherical harmonics', degree, '0 to 3');
  if (fractionBits > 30) throw refuse('fractional bits', fractionBits, '0 to 30');
  return {
    version,
    count,
    degree: degree as ShDegree,
    fractionBits,
    antialiased: (flags & ANTIALIASED) !== 0,
  };
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** Bytes a splat takes in each array. */
function arraySizes({ version, degree }: SpzHeader): number[] {
  return [version === 1 ? 6 : 9, 1, 3, 3, version < 3 ? 3 : 4, 3 * (shCoefficients(degree) - 1)];
}

/** A file chunk by chunk: it may be far larger than what is wanted from it. */
function bytesOf(source: ByteSource): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      const length = Math.min(PIECE_BYTES, source.size - at);
      if (length === 0) return controller.close();
      controller.enqueue((await source.read(at, length)) as Uint8Array<ArrayBuffer>);
      at += length;
    },
  });
}

async function readGzipped(source: ByteSource, options: ReadSplatOptions): Promise<SplatCloud> {
  const file = source.name;
  const stream = bytesOf(source).pipeThrough(new DecompressionStream('gzip'));
  const reader = stream.getReader();
  let [plain, filled] = [new Uint8Array(HEADER_BYTES), 0];
  let header: SpzHeader | undefined;
  let cloud: SplatCloud | undefined;
  // What lies behind the arrays (extensions, or a bomb) is left compressed.
  while (filled < plain.length) {
    const { value, done } = await reader.read().catch((error) => {
      if (error instanceof InvalidFileError) throw error;
      throw new InvalidFileError(file, 'its gzip stream is damaged or cut: download it again');
    });
    if (done) break;
    let used = 0;
    while (used < value.length && filled < plain.length) {
      const n = Math.min(value.length - used, plain.length - filled);
      plain.set(value.subarray(used, used + n), filled);
      filled += n;
      used += n;
      if (!header && filled === HEADER_BYTES) {
        header = parseHeader(file, plain);
        const perSplat = arraySizes(header).reduce((a, b) => a + b);
        cloud = allocateCloud(file, header.count, header.degree, { ...header, workBytes: perSplat });
        plain = new Uint8Array(HEADER_BYTES + header.count * perSplat);
      }
    }
  }
  await reader.cancel();
  if (!header || !cloud || filled < plain.length) {
    throw new InvalidFileError(
      file,
      `holds ${filled} bytes, expected ${plain.length}${header ? ` for ${header.count} splats` : ''}: it was cut, or its header lies`,
      { actual: filled, expected: plain.length },
    );
  }
  const arrays: Uint8Array[] = [];
  let at = HEADER_BYTES;
  for (const size of arraySizes(header)) {
    arrays.push(plain.subarray(at, at + size * header.count));
    at += size * header.count;
  }
  return decode(file, header, arrays, cloud, options);
}

async function readStreams(
  source: ByteSource,
  header: SpzHeader,
  options: ReadSplatOptions,
): Promise<SplatCloud> {
  const file = source.name;
  if (header.version !== 4) {
    throw new InvalidFileError(file, `version is ${header.version} and not gzipped, expected version 4`);
  }
  const sizes = arraySizes(header).map((size) => size * header.count);
  const cloud = allocateCloud(file, header.count, header.degree, {
    ...header,
    workBytes: arraySizes(header).reduce((a, b) => a + b),
  });
  const wanted = sizes.filter((size) => size > 0).length;
  const head = viewOf(await source.read(0, Math.min(source.size, 32)));
  const [streams, table] = head.byteLength < 32 ? [0, 0] : [head.getUint8(15), head.getUint32(16, true)];
  if (streams < wanted || table < 32 || table + 16 * streams > source.size) {
    throw new InvalidFileError(
      file,
      `has a table of ${streams} streams at byte ${table}, expected ${wanted} behind the header: it was cut, or is damaged`,
      { streams, expected: wanted, table },
    );
  }
  const entries = viewOf(await source.read(table, 16 * wanted));
  let at = table + 16 * streams;
  const arrays: Uint8Array[] = [];
  for (let k = 0; k < wanted; k++) {
    const compressed = Number(entries.getBigUint64(16 * k, true));
    const plain = Number(entries.getBigUint64(16 * k + 8, true));
    // Zstandard never makes a stream grow by more.
    const most = Math.min(source.size - at, plain + Math.ceil(plain / 256) + 1024);
    if (plain !== sizes[k] || compressed > most) {
      throw new InvalidFileError(
        file,
        `stream ${k} has ${plain} bytes in ${compressed} compressed ones at ${at}, expected ${sizes[k]} bytes ` +
          `inside the file's ${source.size}: it was cut, or its header lies`,
        { stream: k, actual: plain, expected: sizes[k] },
      );
    }
    const array = inflateZstd(await source.read(at, compressed), plain);
    if (!array)
      throw new InvalidFileError(file, `stream ${k} is damaged or cut: download the file again`, {
        stream: k,
      });
    arrays.push(array);
    at += compressed;
  }
  return decode(file, header, arrays, cloud, options);
}

function decode(
  file: string,
  header: SpzHeader,
  arrays: readonly Uint8Array[],
  cloud: SplatCloud,
  options: ReadSplatOptions,
): SplatCloud {
  const [places, alphas, colors, logScales, turns, rest] = arrays;
  const { positions, scales, rotations, opacities, sh, count } = cloud;
  if (header.version === 1) {
    const [view, halves] = [viewOf(places), halfValues()];
    for (let i = 0; i < positions.length; i++) positions[i] = halves[view.getUint16(2 * i, true)];
  } else {
    const unit = 2 ** -header.fractionBits;
    for (let i = 0; i < positions.length; i++) {
      // 24 bits with a sign: shifted to the top of a word and back.
      const word = (places[3 * i] << 8) | (places[3 * i + 1] << 16) | (places[3 * i + 2] << 24);
      positions[i] = (word >> 8) * unit;
    }
  }
  const perSplat = 3 * shCoefficients(header.degree);
  for (let i = 0; i < count; i++) {
    positions[3 * i + 1] *= -1;
    positions[3 * i + 2] *= -1;
    opacities[i] = alphas[i] / 255;
    for (let axis = 0; axis < 3; axis++) {
      scales[3 * i + axis] = Math.exp(logScales[3 * i + axis] / 16 - 10);
      sh[perSplat * i + axis] = (colors[3 * i + axis] / 255 - 0.5) / COLOR_SCALE;
    }
    // Coefficient by coefficient with the colour innermost: the cloud's own order.
    for (let k = 3; k < perSplat; k++) {
      sh[perSplat * i + k] = (TURNED[Math.floor(k / 3)] * (rest[(perSplat - 3) * i + k - 3] - 128)) / 128;
    }
    if (header.version < 3) unpackFirstThree(turns, i, rotations);
    else unpackSmallestThree(turns, i, rotations);
    rotations[4 * i + 2] *= -1;
    rotations[4 * i + 3] *= -1;
  }
  return checkedCloud(file, cloud, options);
}

/** Versions 1 and 2: x y z as bytes over [-1, 1]; w is what is missing, never negative. */
function unpackFirstThree(bytes: Uint8Array, i: number, into: Float32Array): void {
  let sum = 0;
  for (let k = 0; k < 3; k++) {
    const value = bytes[3 * i + k] / 127.5 - 1;
    into[4 * i + 1 + k] = value;
    sum += value * value;
  }
  into[4 * i] = Math.sqrt(Math.max(0, 1 - sum));
}

/**
 * From version 3: the top two bits name the largest of x y z w, which is what is missing and positive; the other
 * three follow from the last to the first, from the low bits up, as 9 bits of size over [0, sqrt(1/2)] and a sign.
 */
function unpackSmallestThree(bytes: Uint8Array, i: number, into: Float32Array): void {
  let word = bytes[4 * i] | (bytes[4 * i + 1] << 8) | (bytes[4 * i + 2] << 16) | (bytes[4 * i + 3] << 24);
  const largest = word >>> 30;
  const place = (k: number) => 4 * i + ((k + 1) % 4);
  let sum = 0;
  for (let k = 3; k >= 0; k--) {
    if (k === largest) continue;
    const size = (Math.SQRT1_2 * (word & 511)) / 511;
    into[place(k)] = word & 512 ? -size : size;
    sum += size * size;
    word >>>= 10;
  }
  into[place(largest)] = Math.sqrt(Math.max(0, 1 - sum));
}
