/** Small KTX2 pictures: those of Basis Universal as its encoder 2.5 wrote them, plain ones made here. */
import { deflateSync } from 'node:zlib';

/** 8x8 pixels: red, green / blue, white. Those with alpha have 128 in their right half. */
const BASIS = {
  etc1s:
    'q0tUWCAyMLsNChoKAAAAAAEAAAAIAAAACAAAAAAAAAAAAAAAAQAAAAEAAAABAAAAaAAAACwAAACUAAAAJAAAALgAAAAAAAAAiQAA' +
    'AAAAAABBAQAAAAAAAAIAAAAAAAAAAAAAAAAAAAAsAAAAAAAAAAIAKACjAQIAAwMAAAgAAAAAAAAAAAA/AAAAAAAAAAAA/////x8A' +
    'AABLVFh3cml0ZXIAQmFzaXMgVW5pdmVyc2FsIDIuNTAAAAQAAgArAAAACQAAAC0AAAAAAAAAAAAAAAAAAAACAAAAAAAAAAAAAAAg' +
    'wEQAAAAAAADiBAQwEQAAAAAAgCQQACYAAAAAAAAQAoAJAAAAAAAABDA2rKqqqlJVVVUFAMFEAAAAAAAA8l+NAJgBAAAAAABAwggw' +
    'IUAAAAAABJFTCgAmAAAAAAAAEEAAEAY=',
  'etc1s-alpha':
    'q0tUWCAyMLsNChoKAAAAAAEAAAAIAAAACAAAAAAAAAAAAAAAAQAAAAQAAAABAAAAsAAAADwAAADsAAAAJAAAABABAAAAAAAA6AAA' +
    'AAAAAAACAgAAAAAAAAUAAAAAAAAAAAAAAAAAAAD+AQAAAAAAAAQAAAAAAAAAAAAAAAAAAAD6AQAAAAAAAAQAAAAAAAAAAAAAAAAA' +
    'AAD4AQAAAAAAAAIAAAAAAAAAAAAAAAAAAAA8AAAAAAAAAAIAOACjAQIAAwMAAAgIAAAAAAAAAAA/AAAAAAAAAAAA/////0AAPw8A' +
    'AAAAAAAAAP////8fAAAAS1RYd3JpdGVyAEJhc2lzIFVuaXZlcnNhbCAyLjUwAAAKAAYAOAAAABkAAAAzAAAAAAAAAAAAAAAAAAAA' +
    'AgAAAAIAAAADAAAAAAAAAAAAAAACAAAAAgAAAAIAAAAAAAAAAAAAAAIAAAACAAAAAgAAAAAAAAAAAAAAAQAAAAEAAAABAAAAIMBE' +
    'AAAAAAAA4gQHEAVAAAAAEAQdrzs/gAkBAAAAgCAIhxQCMAFAAAAACAAtCkDhZOTbXlcVZgAcGBgYeHh4eKiqqqpC5efnBwWFh1dV' +
    'VVUFAMFEAAAAAAAAkuq/ggIwAUEAAGAQgPlAGAoQN4AAACAYeMIrlUZIAoAJAAAAAAAABBAAIwO3AWcBfwCvAAksCv8B',
  uastc:
    'q0tUWCAyMLsNChoKAAAAAAEAAAAIAAAACAAAAAAAAAAAAAAAAQAAAAEAAAAAAAAAaAAAACwAAACUAAAALAAAAAAAAAAAAAAAAAAA' +
    'AAAAAADAAAAAAAAAAEAAAAAAAAAAQAAAAAAAAAAsAAAAAAAAAAIAKACmAQIAAwMAABAAAAAAAAAAAAB/AwAAAAAAAAAA/////x8A' +
    'AABLVFh3cml0ZXIAQmFzaXMgVW5pdmVyc2FsIDIuNTAAAAQAAAB/fwAA9x8A4B96AAAAAAAAAAAAABfgHwAQAg8AAAAAAAAAAAAX' +
    'AOD/HwLgAQAAAAAAAAAA9///HxB87wEAAAAAAAAAAA==',
  'uastc-zstd':
    'q0tUWCAyMLsNChoKAAAAAAEAAAAIAAAACAAAAAAAAAAAAAAAAQAAAAQAAAACAAAAsAAAACwAAADcAAAAJAAAAAAAAAAAAAAAAAAA' +
    'AAAAAABLAQAAAAAAAC8AAAAAAAAAQAAAAAAAAAAyAQAAAAAAABkAAAAAAAAAEAAAAAAAAAAZAQAAAAAAABkAAAAAAAAAEAAAAAAA' +
    'AAAAAQAAAAAAABkAAAAAAAAAEAAAAAAAAAAsAAAAAAAAAAIAKACmAQIAAwMAABAAAAAAAAAAAAB/AAAAAAAAAAAA/////x8AAABL' +
    'VFh3cml0ZXIAQmFzaXMgVW5pdmVyc2FsIDIuNTAAACi1L/0gEIEAAJeXl/cfVUoBAAAAAAAAAAAotS/9IBCBAABTmiSk3ar4S5zc' +
    'VoL//38AKLUv/SAQgQAAU9IB3jGQK5QUJlEAgP9/ACi1L/0gQDUBAOD3HwDgH3oAF+Af4B8CDwDg/x8C4AH3////H3zvBEAHoAAy' +
    'cxcg',
};

export const BASIS_KINDS = Object.keys(BASIS) as (keyof typeof BASIS)[];

/** With alpha: `etc1s-alpha` and `uastc`. With smaller levels: `etc1s-alpha` and `uastc-zstd`. */
export const basisKtx2 = (kind: keyof typeof BASIS): Uint8Array<ArrayBuffer> =>
  new Uint8Array(Buffer.from(BASIS[kind], 'base64'));

/** The four colours of an 8x8 picture, row by row. */
export const FOUR = [
  [255, 0, 0],
  [0, 255, 0],
  [0, 0, 255],
  [255, 255, 255],
];

/** A Zstandard frame (RFC 8878) of one block that is stored as it is. */
function storedZstd(bytes: Uint8Array): Uint8Array {
  const block = (bytes.length << 3) | 1;
  const header = [0x28, 0xb5, 0x2f, 0xfd, 0x20, bytes.length, block & 255, (block >> 8) & 255, block >> 16];
  return Uint8Array.from([...header, ...bytes]);
}

interface Plain {
  readonly width: number;
  readonly height: number;
  /** 3 or 4 bytes a pixel. */
  readonly data: Uint8Array;
  readonly scheme?: 'none' | 'zstd' | 'zlib';
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A KTX2 file of 8-bit colours. */
export function plainKtx2({
  width,
  height,
  data,
  scheme = 'none',
  metadata = {},
}: Plain): Uint8Array<ArrayBuffer> {
  const level = { none: data, zstd: storedZstd(data), zlib: new Uint8Array(deflateSync(data)) }[scheme];
  const keys = Object.entries(metadata).flatMap(([key, value]) => {
    const text = new TextEncoder().encode(`${key}\0${value}\0`);
    const size = [text.length & 255, text.length >> 8, 0, 0];
    return [...size, ...text, ...new Uint8Array(-text.length & 3)];
  });
  const out = new Uint8Array(104 + keys.length + level.length);
  const view = new DataView(out.buffer);
  out.set([0xab, 0x4b, 0x54, 0x58, 0x20, 0x32, 0x30, 0xbb, 0x0d, 0x0a, 0x1a, 0x0a]);
  const format = data.length === width * height * 4 ? 43 : 29;
  const words = [format, 1, width, height, 0, 0, 1, 1, { none: 0, zstd: 2, zlib: 3 }[scheme]];
  for (const [i, word] of words.entries()) view.setUint32(12 + 4 * i, word, true);
  view.setUint32(56, keys.length ? 104 : 0, true);
  view.setUint32(60, keys.length, true);
  out.set(keys, 104);
  const index = [104 + keys.length, level.length, data.length];
  for (const [i, word] of index.entries()) view.setUint32(80 + 8 * i, word, true);
  out.set(level, 104 + keys.length);
  return out;
}
