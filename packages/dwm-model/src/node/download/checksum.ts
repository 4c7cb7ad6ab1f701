/** The hub's checksums: SHA-256 of the content for large (LFS) files, git's blob SHA-1 for small ones. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';

export interface Checksum {
  kind: 'sha256' | 'git-blob-sha1';
  hex: string;
}

/** Size in bytes, or undefined where there is no such file. */
export async function fileSize(path: string): Promise<number | undefined> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return found?.isFile() ? found.size : undefined;
}

/**
 * Checksum of a file on disk, as hex.
 * @param onBytes is told how many bytes have been hashed so far.
 */
export async function checksumOf(
  path: string,
  size: number,
  kind: Checksum['kind'],
  onBytes: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash(kind === 'sha256' ? 'sha256' : 'sha1');
  // git hashes a header of type and size before the content.
  if (kind === 'git-blob-sha1') hash.update(`blob ${size}\0`);
  let done = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal })) {
    hash.update(chunk as Buffer);
    done += (chunk as Buffer).byteLength;
    onBytes(done);
  }
  return hash.digest('hex');
}
