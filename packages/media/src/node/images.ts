/**
 * Pictures in Node: PNG by pngjs, number for number; JPEG and WebP by libvips. Both see only what `checkImageSize` has
 * passed: a header alone could make them take all memory, or end the process.
 */
import { readFile } from 'node:fs/promises';
import { inflateSync } from 'node:zlib';
import { InvalidFileError } from '@dwm/core-tensor';
import { PNG } from 'pngjs';
import type { RgbImage } from '../frames.ts';
import { checkImageSize, type ImageSize, MAX_PIXELS } from '../image-size.ts';
import { readPngHeader } from '../png-header.ts';
import { checkReadable } from './readable.ts';

/** A picture with alpha, data [height, width, 4], not premultiplied. */
export interface RgbaImage {
  data: Uint8Array;
  height: number;
  width: number;
}

/** Reads a PNG, JPEG or WebP as 8-bit RGB, upright; transparency is dropped, not blended. Throws InvalidFileError. */
export async function readImage(path: string): Promise<RgbImage> {
  await checkReadable(path, 'picture');
  const bytes = await readFile(path);
  const { format } = checkImageSize(path, bytes);
  return withoutAlpha(
    format === 'png' ? decodePng(path, opaque(bytes)) : await decodeLossy(path, bytes, format, true),
  );
}

/** `readImage` of a PNG, and of nothing else. */
export async function readPng(path: string): Promise<RgbImage> {
  await checkReadable(path, 'PNG');
  const bytes = await readFile(path);
  const { format } = checkImageSize(path, bytes);
  if (format !== 'png')
    throw new InvalidFileError(
      path,
      `is a ${format} picture, expected a PNG; convert it: ffmpeg -i in out.png`,
    );
  return withoutAlpha(decodePng(path, opaque(bytes)));
}

/**
 * The pixels of a PNG, JPEG or WebP as they are stored, which is what textures need: no profile is applied, and nothing
 * is turned.
 * @param name what errors call the picture.
 * @throws InvalidFileError for another format, a size out of range, or damage.
 */
export async function decodeRgba(name: string, bytes: Uint8Array): Promise<RgbaImage> {
  const { format } = checkImageSize(name, bytes);
  return format === 'png' ? decodePng(name, bytes) : decodeLossy(name, bytes, format, false);
}

function decodePng(name: string, bytes: Uint8Array): RgbaImage {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  try {
    checkUnpacked(buffer);
    const { width, height, data } = PNG.sync.read(buffer);
    return { data, height, width };
  } catch (error) {
    throw damaged(name, 'png', error);
  }
}

/** pngjs unpacks interlaced pictures whatever comes out; a few bytes too many are harmless. */
function checkUnpacked(bytes: Buffer): void {
  const { interlaced, chunks, unpackedBytes } = readPngHeader(bytes);
  if (!interlaced) return;
  const data = chunks
    .filter(({ type }) => type === 'IDAT')
    .map(({ body, to }) => bytes.subarray(body, to - 4));
  inflateSync(Buffer.concat(data), { maxOutputLength: unpackedBytes + 65_536 });
}

/** Without the colour that stands for transparency, which pngjs would make black. */
function opaque(bytes: Buffer): Buffer {
  const found = readPngHeader(bytes);
  // A palette keeps its colours beside its alphas.
  if (bytes[25] === 3) return bytes;
  const key = found.chunks.find(({ type }) => type === 'tRNS');
  return key ? opaque(Buffer.concat([bytes.subarray(0, key.from), bytes.subarray(key.to)])) : bytes;
}

async function decodeLossy(
  name: string,
  bytes: Uint8Array,
  format: ImageSize['format'],
  upright: boolean,
): Promise<RgbaImage> {
  const { default: sharp } = await import('sharp');
  try {
    const picture = sharp(bytes, { failOn: 'error', limitInputPixels: MAX_PIXELS, ignoreIcc: true });
    const { data, info } = await (upright ? picture.autoOrient() : picture)
      .toColourspace('srgb')
      .ensureAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return { data, height: info.height, width: info.width };
  } catch (error) {
    throw damaged(name, format, error);
  }
}

function damaged(name: string, format: string, error: unknown): InvalidFileError {
  const [reason] = (error as Error).message.split('\n');
  return new InvalidFileError(name, `is a damaged ${format} picture (${reason}); copy the file again`);
}

function withoutAlpha({ data: rgba, height, width }: RgbaImage): RgbImage {
  const data = new Uint8Array(height * width * 3);
  for (let i = 0, o = 0; o < data.length; i += 4) {
    data[o++] = rgba[i];
    data[o++] = rgba[i + 1];
    data[o++] = rgba[i + 2];
  }
  return { data, height, width };
}
