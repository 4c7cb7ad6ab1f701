/** Splats from any of the formats we read, told apart by their first bytes, not by their names. */
import { InvalidFileError } from '@dwm/core-tensor';
import type { ByteSource } from '@dwm/core-tensor/files';
import type { SplatCloud } from './cloud.ts';
import { readPlyHeader } from './ply-header.ts';
import { isCompressedPly, readCompressedPly } from './read-compressed-ply.ts';
import type { ReadSplatOptions } from './read-options.ts';
import { readSplatPly } from './read-ply.ts';
import { isSogMeta, isZip, readSogBundle, readSogFolder } from './read-sog.ts';
import { readAntimatterSplats } from './read-splat.ts';
import { isSpz, readSpz } from './read-spz.ts';

/**
 * Reads an INRIA or compressed `.ply`, an `.spz` (versions 1 to 4), a `.splat`, a `.sog` or the `meta.json` of a SOG folder. The source is left open. Splats that hold numbers that are
 * none are left out, and counted in a warning.
 * @throws InvalidFileError, one line, for anything that is none of them, or cut, damaged or too large.
 */
export async function readSplats(source: ByteSource, options: ReadSplatOptions = {}): Promise<SplatCloud> {
  const head = await source.read(0, Math.min(source.size, 4));
  if (/^ply[\s]/.test(String.fromCharCode(...head))) {
    const header = await readPlyHeader(source);
    return isCompressedPly(header)
      ? readCompressedPly(source, header, options)
      : readSplatPly(source, header, options);
  }
  if (isSpz(head)) return readSpz(source, options);
  if (isZip(head)) return readSogBundle(source, options);
  if (isSogMeta(head)) return readSogFolder(source, options);
  // A .splat file has no mark of its own.
  if (/\.splat$/i.test(source.name.replace(/[?#].*$/s, ''))) return readAntimatterSplats(source, options);
  throw new InvalidFileError(
    source.name,
    'is no splat file: expected .ply, .spz, .splat or .sog (meshes come as .glb or .gltf)',
    { expected: ['.ply', '.spz', '.splat', '.sog'] },
  );
}
