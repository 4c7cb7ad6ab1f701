/**
 * The zip container, as far as `.npz` and PyTorch files use it: entries stored or deflated, sizes and offsets from the central
 * directory (NumPy leaves 0xFFFFFFFF in the local headers), Zip64. Every number is checked against the bytes that
 * exist before anything is allocated, and every entry against its checksum. Format: PKWARE APPNOTE 6.3.
 */
import { InvalidFileError } from './errors.ts';
import { quote } from './text.ts';

/** A file held in memory; `name` is what errors call it. */
export interface BinaryFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

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

const EOCD_BYTES = 22;
const CENTRAL_BYTES = 46;
const LOCAL_BYTES = 30;
const UNKNOWN_32 = 0xffffffff;

/**
 * The entries of a zip file by name.
 * @throws InvalidFileError where the file is not a zip, or its directory points outside of it.
 */
export function readZipDirectory({ name, bytes }: BinaryFile): Map<string, ZipEntry> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bad = (problem: string) => new InvalidFileError(name, problem);
  const end = findEnd(view);
  if (end < 0) throw bad('has no zip directory: not a zip archive, or cut short; copy it again');
  let [count, size, start] = [
    view.getUint16(end + 10, true),
    view.getUint32(end + 12, true),
    view.getUint32(end + 16, true),
  ];
  if (count === 0xffff || size === UNKNOWN_32 || start === UNKNOWN_32) {
    const at = end >= 20 && view.getUint32(end - 20, true) === 0x07064b50 ? uint64(view, end - 12) : -1;
    if (at < 0 || at + 56 > end || view.getUint32(at, true) !== 0x06064b50)
      throw bad('its Zip64 directory is damaged; copy it again');
    [count, size, start] = [uint64(view, at + 32), uint64(view, at + 40), uint64(view, at + 48)];
  }
  if (start + size > end)
    throw bad(`its directory ends at byte ${start + size}, the file has ${bytes.length}`);
  if (count * CENTRAL_BYTES > size) throw bad(`claims ${count} entries in a directory of ${size} bytes`);

  const entries = new Map<string, ZipEntry>();
  for (let at = start, i = 0; i < count; i++) {
    if (at + CENTRAL_BYTES > start + size || view.getUint32(at, true) !== 0x02014b50)
      throw bad(`entry ${i} of its directory is damaged`);
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((o) => view.getUint16(at + o, true));
    const next = at + CENTRAL_BYTES + nameBytes + extraBytes + commentBytes;
    if (next > start + size) throw bad(`entry ${i} of its directory reaches past its end`);
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
 * The bytes of one entry.
 * @throws InvalidFileError where the entry lies outside the file, is larger than it can be, or fails its checksum.
 */
export async function readZipEntry(
  file: BinaryFile,
  entryName: string,
  entry: ZipEntry,
): Promise<Uint8Array> {
  const { name, bytes } = file;
  const bad = (problem: string) =>
    new InvalidFileError(name, `${quote(entryName)} ${problem}`, { field: entryName });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (entry.header + LOCAL_BYTES > bytes.length || view.getUint32(entry.header, true) !== 0x04034b50)
    throw bad('is not where the directory says; copy the file again');
  const start =
    entry.header +
    LOCAL_BYTES +
    view.getUint16(entry.header + 26, true) +
    view.getUint16(entry.header + 28, true);
  if (start + entry.compressedBytes > bytes.length)
    throw bad(`ends at byte ${start + entry.compressedBytes}, the file has ${bytes.length}; copy it again`);
  if (entry.bytes > MAX_ENTRY_BYTES)
    throw bad(`claims ${entry.bytes} bytes, expected at most ${MAX_ENTRY_BYTES}`);
  const possible = entry.deflated ? entry.compressedBytes * MAX_DEFLATE_RATIO : entry.compressedBytes;
  if (entry.bytes > possible || (!entry.deflated && entry.bytes < possible))
    throw bad(`claims ${entry.bytes} bytes, its data make ${entry.deflated ? 'at most ' : ''}${possible}`);
  const packed = bytes.subarray(start, start + entry.compressedBytes);
  const data = entry.deflated ? await inflate(packed, entry.bytes) : packed;
  if (!data) throw bad(`does not unpack to the ${entry.bytes} bytes that it claims; copy the file again`);
  if (crc32(data) !== entry.crc32) throw bad('fails its checksum; copy the file again');
  return data;
}

/** @returns undefined where the data are damaged or do not make exactly `size` bytes. */
async function inflate(packed: Uint8Array, size: number): Promise<Uint8Array | undefined> {
  const data = new Uint8Array(size);
  let at = 0;
  const reader = new Blob([packed as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream('deflate-raw'))
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
