/**
 * A file as random-access bytes, wherever it lies. Weights are read in slices of a few megabytes straight
 * from their place (disk, File object, HTTP server, memory), so a 10 GB checkpoint never sits in RAM.
 */
import { InvalidFileError } from '../errors.ts';

/** A file, URL or Blob that is read by ranges. */
export interface ByteSource {
  /** What messages call the file: its path, URL or name. */
  readonly name: string;
  /** Bytes in the file, fixed when it was opened. */
  readonly size: number;
  /**
   * Bytes [offset, offset + length), all of them. With `into` (at least `length` long) they are written to
   * its start and a view of it is returned, so that a loop can reuse one buffer.
   * @throws InvalidFileError if the range leaves the file, or the file turns out shorter or unreadable.
   */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  /** Gives back the file handle, where there is one. */
  close?(): Promise<void>;
}

/**
 * Checks the arguments of a `read`.
 * @throws InvalidFileError if the range leaves the file, RangeError if `into` is too short.
 */
export function checkRange(
  source: Pick<ByteSource, 'name' | 'size'>,
  offset: number,
  length: number,
  into?: Uint8Array,
): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  if (!whole || offset < 0 || length < 0 || offset + length > source.size) {
    throw new InvalidFileError(
      source.name,
      `bytes ${offset} to ${offset + length} were asked for, but the file has ${source.size} bytes`,
      { offset, length, size: source.size },
    );
  }
  if (into && into.byteLength < length) {
    throw new RangeError(
      `a buffer of ${into.byteLength} bytes cannot take ${length} bytes of ${source.name}`,
    );
  }
}

/** `bytes`, copied to the start of `into` when there is one. */
function deliver(bytes: Uint8Array, into?: Uint8Array): Uint8Array {
  if (!into) return bytes;
  into.set(bytes);
  return into.subarray(0, bytes.byteLength);
}

/** Bytes already in memory. Without `into`, `read` returns a view of them, not a copy. */
export function bytesSource(name: string, bytes: Uint8Array): ByteSource {
  return {
    name,
    size: bytes.byteLength,
    async read(offset, length, into) {
      checkRange(this, offset, length, into);
      return deliver(bytes.subarray(offset, offset + length), into);
    },
  };
}

/** A `Blob`, or a `File` that the user picked or dropped. */
export function blobSource(blob: Blob, name = blob instanceof File ? blob.name : 'blob'): ByteSource {
  return {
    name,
    size: blob.size,
    async read(offset, length, into) {
      checkRange(this, offset, length, into);
      try {
        return deliver(new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()), into);
      } catch (error) {
        // Browsers refuse a File that changed on disk after it was chosen.
        throw new InvalidFileError(
          name,
          `can no longer be read (${(error as Error).message}); choose it again`,
        );
      }
    },
  };
}
