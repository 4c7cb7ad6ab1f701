/** Tars as POSIX has them: how HOT3D-Clips, and data sets for training, pack a clip. */
import { InvalidFileError } from '@dwm/core-tensor';
import type { BinaryFile } from '@dwm/core-tensor/files';

const BLOCK = 512;
/** Of one small file. */
const MOST_BYTES = 2 ** 26;

/** For telling formats apart. */
export const isTar = (bytes: Uint8Array): boolean =>
  bytes.length >= BLOCK && new TextDecoder('latin1').decode(bytes.subarray(257, 262)) === 'ustar';

/** Small files of a tar, by name; larger ones are passed over. @throws InvalidFileError where it is damaged. */
export function readTar({ name: file, bytes }: BinaryFile): Map<string, Uint8Array> {
  const entries = new Map<string, Uint8Array>();
  const text = (at: number, size: number) =>
    new TextDecoder('latin1').decode(bytes.subarray(at, at + size)).split('\0', 1)[0];
  // A block of zeros is the end.
  for (let at = 0; bytes[at] !== 0; ) {
    const octal = text(at + 124, 12).trim();
    const size = Number.parseInt(octal, 8);
    const next = at + BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    if (!/^[0-7]+$/.test(octal) || !isTar(bytes.subarray(at)) || at + BLOCK + size > bytes.length)
      throw new InvalidFileError(file, `its tar is cut off or damaged at byte ${at}; fetch it again`);
    const isFile = bytes[at + 156] === 0x30 || bytes[at + 156] === 0;
    if (isFile && size <= MOST_BYTES)
      entries.set(text(at, 100).replace(/^\.\//, ''), bytes.subarray(at + BLOCK, at + BLOCK + size));
    at = next;
  }
  return entries;
}
