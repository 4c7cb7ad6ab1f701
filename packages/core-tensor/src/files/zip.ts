/**
 * The zip container, as far as `.npz` and PyTorch files use it: entries stored or deflated, sizes and offsets from the central
 * directory (NumPy leaves 0xFFFFFFFF in the local headers), Zip64. Every number is checked against the bytes that
 * exist before anything is allocated, and every entry against its checksum. Format: PKWARE APPNOTE 6.3.
 */
import { InvalidFileError } from '../errors.ts';
import { quote } from '../text.ts';
import type { ByteSource } from './byte-source.ts';

/** A file held in memory; `name` is what errors call it. */
export interface BinaryFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A file in a zip archive, before it is read. */
export interface ZipEntry {
  readonly deflated: boolean;
  readonly compressedBytes: number;
  readonly bytes: number;
  readonly crc32: number;
  /** Offset of the entry's local header. */
  readonly header: number;
}

/** Largest entry that is unpacked. A MANO file's largest array has 2.5 MB. */
const MAX_ENTRY_BYTES = 1 << 28;

/** Deflate cannot do better than this. */
const MAX_DEFLATE_RATIO = 1032;

/** A directory of a million entries. */
const MAX_DIRECTORY_BYTES = 1 << 28;

const EOCD_BYTES = 22;
const ZIP64_LOCATOR_BYTES = 20;
const ZIP64_END_BYTES = 56;
const CENTRAL_BYTES = 46;
const LOCAL_BYTES = 30;
const UNKNOWN_32 = 0xffffffff;

/**
 * The entries of a zip file by name. Only the directory at its end is read.
 * @throws InvalidFileError where the file is not a zip, or its directory points outside of it.
 */
export async function readZipDirectory(source: ByteSource): Promise<Map<string, ZipEntry>> {
  const bad = (problem: string) => new InvalidFileError(source.name, problem);
  const tailAt = Math.max(0, source.size - EOCD_BYTES - ZIP64_LOCATOR_BYTES - 0xffff);
  const tail = dataView(await source.read(tailAt, source.size - tailAt));
  const endInTail = findEnd(tail);
  if (endInTail < 0) throw bad('has no zip directory: not a zip archive, or cut short; copy it again');
  const end = tailAt + endInTail;
  let [count, size, start] = [
    tail.getUint16(endInTail + 10, true),
    tail.getUint32(endInTail + 12, true),
    tail.getUint32(endInTail + 16, true),
  ];
  if (count === 0xffff || size === UNKNOWN_32 || start === UNKNOWN_32) {
    const locator = endInTail - ZIP64_LOCATOR_BYTES;
    const at = locator >= 0 && tail.getUint32(locator, true) === 0x07064b50 ? uint64(tail, locator + 8) : -1;
    const fits = at >= 0 && at + ZIP64_END_BYTES <= end;
    const view = fits ? dataView(await source.read(at, ZIP64_END_BYTES)) : undefined;
    if (view?.getUint32(0, true) !== 0x06064b50) throw bad('its Zip64 directory is damaged; copy it again');
    [count, size, start] = [uint64(view, 32), uint64(view, 40), uint64(view, 48)];
  }
  if (start + size > end)
    throw bad(`its directory ends at byte ${start + size}, the file has ${source.size}`);
  if (size > MAX_DIRECTORY_BYTES)
    throw bad(`its directory has ${size} bytes, expected at most ${MAX_DIRECTORY_BYTES}`);
  if (count * CENTRAL_BYTES > size) throw bad(`claims ${count} entries in a directory of ${size} bytes`);
  return parseDirectory(source.name, await source.read(start, size), count);
}

function parseDirectory(name: string, bytes: Uint8Array, count: number): Map<string, ZipEntry> {
  const view = dataView(bytes);
  const bad = (problem: string) => new InvalidFileError(name, problem);
  const entries = new Map<string, ZipEntry>();
  for (let at = 0, i = 0; i < count; i++) {
    if (at + CENTRAL_BYTES > bytes.length || view.getUint32(at, true) !== 0x02014b50)
      throw bad(`entry ${i} of its directory is damaged`);
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((o) => view.getUint16(at + o, true));
    const next = at + CENTRAL_BYTES + nameBytes + extraBytes + commentBytes;
    if (next > bytes.length) throw bad(`entry ${i} of its directory reaches past its end`);
    const nameAt = at + CENTRAL_BYTES;
    const entryName = new TextDecoder().decode(bytes.subarray(nameAt, nameAt + nameBytes));
    if (entries.has(entryName)) throw bad(`holds ${quote(entryName)} twice`);
    const method = view.getUint16(at + 10, true);
    const encrypted = (view.getUint16(at + 8, true) & 1) !== 0;
    if (encrypted || (method !== 0 && method !== 8))
      throw bad(
        `${quote(entryName)} is packed by method ${method}${encrypted ? ', encrypted' : ''}; expected numpy.savez's`,
      );
    const wide = wideFields(view, at, nameAt + nameBytes, extraBytes);
    if (!wide) throw bad(`${quote(entryName)} has a damaged Zip64 field`);
    entries.set(entryName, { deflated: method === 8, crc32: view.getUint32(at + 16, true), ...wide });
    at = next;
  }
  return entries;
}

/** Offset of the end-of-directory record, the last thing in a zip but for a comment. */
function findEnd(view: DataView): number {
  const lowest = Math.max(0, view.byteLength - EOCD_BYTES - 0xffff);
  for (let at = view.byteLength - EOCD_BYTES; at >= lowest; at--)
    if (view.getUint32(at, true) === 0x06054b50) return at;
  return -1;
}

const dataView = ({ buffer, byteOffset, byteLength }: Uint8Array) =>
  new DataView(buffer, byteOffset, byteLength);

/** Values past 2^53 become inexact, which is as good as "beyond any file". */
const uint64 = (view: DataView, at: number) => Number(view.getBigUint64(at, true));

/** Sizes and offset of a directory entry, from its Zip64 field where the 32-bit ones overflow. */
function wideFields(view: DataView, at: number, extra: number, extraBytes: number) {
  const fields = [24, 20, 42].map((offset) => view.getUint32(at + offset, true));
  if (fields.includes(UNKNOWN_32)) {
    let from = extra;
    const end = extra + extraBytes;
    while (from + 4 <= end && view.getUint16(from, true) !== 1) from += 4 + view.getUint16(from + 2, true);
    let value = from + 4;
    for (let k = 0; k < 3; k++) {
      if (fields[k] !== UNKNOWN_32) continue;
      if (value + 8 > end) return undefined;
      fields[k] = uint64(view, value);
      value += 8;
    }
  }
  return { bytes: fields[0], compressedBytes: fields[1], header: fields[2] };
}

/**
 * Where the packed bytes of an entry lie in the file.
 * @throws InvalidFileError where the entry is not there, lies outside the file, or is larger than it can be.
 */
export async function locateZipEntry(
  source: ByteSource,
  entryName: string,
  entry: ZipEntry,
): Promise<{ begin: number; end: number }> {
  const { name, size } = source;
  const bad = (problem: string) =>
    new InvalidFileError(name, `${quote(entryName)} ${problem}`, { field: entryName });
  const fits = entry.header + LOCAL_BYTES <= size;
  const local = fits ? dataView(await source.read(entry.header, LOCAL_BYTES)) : undefined;
  if (local?.getUint32(0, true) !== 0x04034b50)
    throw bad('is not where the directory says; copy the file again');
  const begin = entry.header + LOCAL_BYTES + local.getUint16(26, true) + local.getUint16(28, true);
  const end = begin + entry.compressedBytes;
  if (end > size) throw bad(`ends at byte ${end}, the file has ${size}; copy it again`);
  const possible = entry.deflated ? entry.compressedBytes * MAX_DEFLATE_RATIO : entry.compressedBytes;
  if (entry.bytes > possible || (!entry.deflated && entry.bytes < possible))
    throw bad(`claims ${entry.bytes} bytes, its data make ${entry.deflated ? 'at most ' : ''}${possible}`);
  return { begin, end };
}

/**
 * The bytes of one entry.
 * @throws InvalidFileError as `locateZipEntry`, and where it is too large to unpack, or fails its checksum.
 */
export async function readZipEntry(
  source: ByteSource,
  entryName: string,
  entry: ZipEntry,
): Promise<Uint8Array> {
  const bad = (problem: string) =>
    new InvalidFileError(source.name, `${quote(entryName)} ${problem}`, { field: entryName });
  const { begin, end } = await locateZipEntry(source, entryName, entry);
  if (entry.bytes > MAX_ENTRY_BYTES)
    throw bad(`claims ${entry.bytes} bytes, expected at most ${MAX_ENTRY_BYTES}`);
  const packed = await source.read(begin, end - begin);
  const data = entry.deflated ? await inflateExactly(packed, entry.bytes) : packed;
  if (!data) throw bad(`does not unpack to the ${entry.bytes} bytes that it claims; copy the file again`);
  if (crc32(data) !== entry.crc32) throw bad('fails its checksum; copy the file again');
  return data;
}

/**
 * A stream unpacked in no more memory than its claimed size, whatever it holds.
 * @param format `deflate` for zlib's, which has a header and a checksum.
 * @returns undefined where the data are damaged or do not make exactly `size` bytes.
 */
export async function inflateExactly(
  packed: Uint8Array,
  size: number,
  format: 'deflate-raw' | 'deflate' = 'deflate-raw',
): Promise<Uint8Array | undefined> {
  const data = new Uint8Array(size);
  let at = 0;
  const reader = new Blob([packed as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream(format))
    .getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (at + value.length > size) {
        await reader.cancel();
        return undefined;
      }
      data.set(value, at);
      at += value.length;
    }
  } catch {
    return undefined;
  }
  return at === size ? data : undefined;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** The checksum of zip and PNG (ISO 3309), as an unsigned number. */
export function crc32(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) c = CRC_TABLE[(c ^ bytes[i]) & 0xff] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}
