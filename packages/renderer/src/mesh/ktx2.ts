/**
 * KTX 2.0 pictures (Khronos' KTX 2.0 specification). The header is read here, and every size in it is compared with
 * the bytes that are there, before a decoder sees any of them.
 */
import { inflateExactly } from '@dwm/core-tensor/files';
import { MAX_PIXELS } from '@dwm/media';
import type { Pixels } from '../scene/scene.ts';
import { inflateZstd } from '../zstd.ts';

interface Ktx2Header {
  readonly width: number;
  readonly height: number;
  /** How the largest level is coded: Basis Universal, or bytes of so many channels. */
  readonly coding: 'etc1s' | 'uastc' | 3 | 4;
  readonly compression: 'none' | 'zstd' | 'zlib';
  /** Where the largest level lies. */
  readonly offset: number;
  readonly length: number;
}

const IDENTIFIER = [0xab, 0x4b, 0x54, 0x58, 0x20, 0x32, 0x30, 0xbb, 0x0d, 0x0a, 0x1a, 0x0a];
const LEVEL_INDEX = 80;
/** Of Vulkan: R8G8B8_UNORM and _SRGB, R8G8B8A8_UNORM and _SRGB. */
const CHANNELS: Record<number, 3 | 4> = { 23: 3, 29: 3, 37: 4, 43: 4 };
const SCHEMES = ['none', 'basis-lz', 'zstd', 'zlib'] as const;
/** `colorModel` of the data format descriptor. */
const MODELS: Record<number, 'etc1s' | 'uastc'> = { 163: 'etc1s', 166: 'uastc' };

/** @throws Error, in a few words, for anything but one flat picture that is whole. */
export function readKtx2Header(bytes: Uint8Array): Ktx2Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < LEVEL_INDEX || IDENTIFIER.some((byte, i) => bytes[i] !== byte)) {
    throw new Error('is no whole KTX2 file; save it again');
  }
  const word = (at: number) => view.getUint32(at, true);
  const long = (at: number) => Number(view.getBigUint64(at, true));
  const within = (offset: number, length: number, what: string) => {
    if (length > 0 && (offset < LEVEL_INDEX || offset + length > bytes.length)) {
      throw new Error(`its ${what} ends past the ${bytes.length} bytes of the file; copy it again`);
    }
  };
  const [format, width, height, depth, layers, faces] = [12, 20, 24, 28, 32, 36].map(word);
  if (width === 0 || height === 0 || depth > 0 || layers > 1 || faces !== 1) {
    throw new Error(
      `is ${width}x${height}x${depth}, ${layers} layers, ${faces} faces, expected one flat picture`,
    );
  }
  if (width * height > MAX_PIXELS) {
    throw new Error(`says it is of ${width}x${height} pixels, expected at most ${MAX_PIXELS} in all`);
  }
  const levels = Math.max(1, word(40));
  if (levels > 1 + Math.floor(Math.log2(Math.max(width, height)))) {
    throw new Error(`has ${levels} levels, too many for ${width}x${height}; the file is damaged`);
  }
  const scheme = SCHEMES[word(44)] ?? fail(`is compressed by scheme ${word(44)}; save it as Basis Universal`);
  const [description, descriptionBytes, keys, keyBytes] = [48, 52, 56, 60].map(word);
  const [globals, globalBytes] = [64, 72].map(long);
  within(LEVEL_INDEX, levels * 24, 'list of levels');
  within(description, descriptionBytes, 'data format descriptor');
  within(keys, keyBytes, 'metadata');
  within(globals, globalBytes, 'global data');
  const model = descriptionBytes >= 28 ? MODELS[bytes[description + 12]] : undefined;
  const coding =
    (format === 0 ? model : CHANNELS[format]) ??
    fail(`has the Vulkan format ${format}; save it as Basis Universal or with 8 bits a channel`);
  if ((coding === 'etc1s') !== (scheme === 'basis-lz') || (coding === 'uastc' && scheme === 'zlib')) {
    throw new Error(`is ${coding} compressed by ${scheme}, which do not go together; save it again`);
  }
  checkMetadata(bytes.subarray(keys, keys + keyBytes));
  for (let level = 0; level < levels; level++) {
    const at = LEVEL_INDEX + level * 24;
    const [offset, length, plain] = [long(at), long(at + 8), long(at + 16)];
    if (length === 0) throw new Error(`its level ${level} is empty; save it again`);
    within(offset, length, `level ${level}`);
    const side = (size: number, block: number) => Math.ceil(Math.max(1, size >> level) / block);
    const expected =
      typeof coding === 'number'
        ? side(width, 1) * side(height, 1) * coding
        : side(width, 4) * side(height, 4) * 16;
    const holds = scheme === 'none' ? length : plain;
    if (coding !== 'etc1s' && holds !== expected) {
      throw new Error(`its level ${level} holds ${holds} bytes, expected ${expected}; the file is damaged`);
    }
  }
  if (coding === 'etc1s') checkBasisLz(bytes, view, globals, globalBytes, levels);
  return {
    width,
    height,
    coding,
    compression: scheme === 'basis-lz' ? 'none' : scheme,
    offset: long(LEVEL_INDEX),
    length: long(LEVEL_INDEX + 8),
  };
}

function fail(problem: string): never {
  throw new Error(problem);
}

/** Codebooks and slices of BasisLZ lie within the global data and their levels. */
function checkBasisLz(bytes: Uint8Array, view: DataView, at: number, length: number, levels: number): void {
  const descriptions = at + 20;
  if (length < 20 + levels * 20) fail('its global data is too short; the file is damaged');
  const parts = [4, 8, 12, 16].map((i) => view.getUint32(at + i, true));
  const held = parts.reduce((sum, part) => sum + part, 20 + levels * 20);
  if (held > length) fail(`its codebooks take ${held} bytes of ${length}; the file is damaged`);
  // A codeword takes a bit at least.
  const entries = view.getUint16(at, true) + view.getUint16(at + 2, true);
  if (entries === 0 || entries > bytes.length * 8) fail(`claims ${entries} codewords; the file is damaged`);
  for (let level = 0; level < levels; level++) {
    const levelBytes = Number(view.getBigUint64(LEVEL_INDEX + level * 24 + 8, true));
    for (const slice of [4, 12]) {
      const [offset, size] = [0, 4].map((i) => view.getUint32(descriptions + level * 20 + slice + i, true));
      if (offset + size > levelBytes) fail(`a slice of level ${level} ends past it; the file is damaged`);
    }
  }
}

/** glTF wants rows from the top and channels in order; anything else would be drawn upside down or in wrong colours. */
function checkMetadata(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const decoder = new TextDecoder();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = view.getUint32(at, true);
    if (length > bytes.length - at - 4) fail('its metadata is damaged; save it again');
    const [key, value = ''] = decoder.decode(bytes.subarray(at + 4, at + 4 + length)).split('\0');
    if (key === 'KTXorientation' && !/^rd/.test(value)) {
      fail(`has its rows turned (KTXorientation ${JSON.stringify(value)}, expected "rd"); save it upright`);
    }
    if (key === 'KTXswizzle' && value !== 'rgba') {
      fail(
        `has its channels swapped (KTXswizzle ${JSON.stringify(value)}, expected "rgba"); save it without`,
      );
    }
    at += 4 + Math.ceil(length / 4) * 4;
  }
}

/** What is used of Binomial's transcoder (basis_transcoder.js), a new instance of it: damaged files leave it broken. */
export interface BasisModule {
  initializeBasis(): void;
  readonly KTX2File: new (
    file: Uint8Array,
  ) => {
    isValid(): boolean;
    startTranscoding(): boolean;
    getImageTranscodedSizeInBytes(level: number, layer: number, face: number, format: number): number;
    transcodeImage(
      into: Uint8Array,
      level: number,
      layer: number,
      face: number,
      format: number,
      flags: number,
      channel0: number,
      channel1: number,
    ): boolean;
    close(): void;
    delete(): void;
  };
}

/** The transcoder's number for 8-bit RGBA. */
const RGBA32 = 13;

/**
 * The largest level of a picture; the smaller ones are made from it, as those of other pictures are.
 * @throws Error, in a few words, for what is damaged.
 */
export async function decodeKtx2(file: Uint8Array, openBasis: () => Promise<BasisModule>): Promise<Pixels> {
  const { width, height, coding, compression, offset, length } = readKtx2Header(file);
  if (typeof coding === 'string') return transcode(file, width, height, await openBasis());
  const level = file.subarray(offset, offset + length);
  const values = await inflate(level, compression, width * height * coding);
  if (coding === 4) return { width, height, data: values };
  const data = new Uint8Array(width * height * 4).fill(255);
  for (let i = 0; i < width * height; i++) data.set(values.subarray(i * 3, i * 3 + 3), i * 4);
  return { width, height, data };
}

function transcode(file: Uint8Array, width: number, height: number, module: BasisModule): Pixels {
  module.initializeBasis();
  const picture = new module.KTX2File(file);
  const data = new Uint8Array(width * height * 4);
  const done =
    picture.isValid() &&
    picture.startTranscoding() &&
    picture.getImageTranscodedSizeInBytes(0, 0, 0, RGBA32) === data.length &&
    picture.transcodeImage(data, 0, 0, 0, RGBA32, 0, -1, -1);
  if (!done) fail('its blocks cannot be unpacked; the file is damaged');
  picture.close();
  picture.delete();
  return { width, height, data };
}

/** Exactly `bytes` bytes, and no more memory than that whatever the stream holds. */
async function inflate(
  level: Uint8Array,
  compression: Ktx2Header['compression'],
  bytes: number,
): Promise<Uint8Array> {
  if (compression === 'none') return level;
  const values =
    compression === 'zstd' ? inflateZstd(level, bytes) : await inflateExactly(level, bytes, 'deflate');
  return values ?? fail(`its ${compression} stream does not unpack to ${bytes} bytes; the file is damaged`);
}
