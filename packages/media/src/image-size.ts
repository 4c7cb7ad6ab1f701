/**
 * What a picture file says of its size, read from its header, so that no decoder ever sees a size that it would
 * choke on. PNG, JPEG (ITU-T T.81) and WebP (RFC 9649) only, told apart by their first bytes.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { textIn } from './container/sniff.ts';
import { PngError, readPngHeader } from './png-header.ts';

/** Format and size of a picture, from its first bytes. */
export interface ImageSize {
  readonly format: 'png' | 'jpeg' | 'webp';
  readonly width: number;
  readonly height: number;
}

/** 8192 x 8192: as large as a texture may be on every WebGPU device, and 256 MiB as RGBA. */
export const MAX_PIXELS = 2 ** 26;

const MAX_SIDE = 65_535;

/**
 * Format and size of a picture, once they are known to be sane: at least one pixel, at most `MAX_PIXELS`, and of a PNG
 * or JPEG no more than its data can hold.
 * @param name what errors call the file.
 * @throws InvalidFileError for another format, a damaged header, or a size out of range.
 */
export function checkImageSize(name: string, bytes: Uint8Array): ImageSize {
  const size = readHeader(name, bytes);
  checkPixels(name, size);
  // Of every 8x8 block, its mean takes a bit at the least.
  if (size.format === 'jpeg' && size.width * size.height > bytes.length * 8 * 64) {
    throw new InvalidFileError(
      name,
      `is damaged (${bytes.length} bytes cannot hold ${size.width}x${size.height} pixels); copy the file again`,
    );
  }
  return size;
}

/** @throws InvalidFileError unless pictures of this size may be decoded. */
export function checkPixels(name: string, { width, height }: { width: number; height: number }): void {
  const sane = [width, height].every((side) => Number.isInteger(side) && side >= 1 && side <= MAX_SIDE);
  if (sane && width * height <= MAX_PIXELS) return;
  throw new InvalidFileError(
    name,
    `says it is of ${width}x${height} pixels, expected 1 to ${MAX_PIXELS} in all; make it smaller, or copy it again`,
    { width, height },
  );
}

function readHeader(name: string, bytes: Uint8Array): ImageSize {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const is = textIn(bytes);
  try {
    if (is(0, '\x89PNG\r\n\x1a\n')) {
      const { width, height } = readPngHeader(bytes);
      return { format: 'png', width, height };
    }
    if (is(0, '\xff\xd8\xff')) return { format: 'jpeg', ...jpegSize(view) };
    if (is(0, 'RIFF') && is(8, 'WEBP')) return { format: 'webp', ...webpSize(view, is) };
  } catch (error) {
    const how = error instanceof RangeError ? 'it ends within its header' : (error as Error).message;
    if (error instanceof RangeError || error instanceof PngError || error instanceof HeaderError)
      throw new InvalidFileError(name, `is damaged (${how}); copy the file again`);
    throw error;
  }
  throw new InvalidFileError(
    name,
    'is not a PNG, JPEG or WebP picture, or is damaged; convert it: ffmpeg -i in out.png',
  );
}

class HeaderError extends Error {}

function jpegSize(view: DataView): { width: number; height: number } {
  for (let at = 2; ; ) {
    const marker = view.getUint8(at + 1);
    if (view.getUint8(at) !== 0xff || marker === 0xd9 || marker === 0xda)
      throw new HeaderError('it has no frame header');
    // A byte of filling; markers that stand alone.
    if (marker === 0xff) at++;
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += 2;
    // Start of frame, but not the tables of Huffman (C4) and arithmetic coding (CC), and C8, which means nothing.
    else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker))
      return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    else at += 2 + Math.max(2, view.getUint16(at + 2));
  }
}

/** The larger of the canvas and the first picture. */
function webpSize(view: DataView, is: ReturnType<typeof textIn>): { width: number; height: number } {
  const three = (at: number) => view.getUint16(at, true) + (view.getUint8(at + 2) << 16);
  const sizes: { width: number; height: number }[] = [];
  for (let chunk = 12; chunk + 8 <= view.byteLength; ) {
    const body = chunk + 8;
    if (is(chunk, 'VP8X')) sizes.push({ width: three(body + 4) + 1, height: three(body + 7) + 1 });
    if (is(chunk, 'VP8 ')) {
      const [width, height] = [view.getUint16(body + 6, true), view.getUint16(body + 8, true)];
      sizes.push({ width: width & 0x3fff, height: height & 0x3fff });
    }
    if (is(chunk, 'VP8L')) {
      const bits = view.getUint32(body + 1, true);
      sizes.push({ width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 });
    }
    const length = view.getUint32(chunk + 4, true);
    chunk = body + length + (length % 2);
  }
  if (sizes.length === 0) throw new HeaderError('it holds no picture');
  return sizes.reduce((a, b) => (b.width * b.height > a.width * a.height ? b : a));
}
