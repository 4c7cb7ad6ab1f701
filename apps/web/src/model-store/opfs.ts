/**
 * Models kept in the Origin Private File System, one folder each. Files are streamed in a chunk at a time and read
 * back by ranges, so that a checkpoint of any size passes through a few megabytes of memory. A folder counts only
 * once its `manifest.json` is written, which comes last.
 */
import { DwmError, InvalidFileError } from '@dwm/core-tensor';
import { blobSource, checkInside, type ModelFolder } from '@dwm/core-tensor/files';
import type { Manifest } from './manifest.ts';

const FOLDER = 'models';
const MANIFEST = 'manifest.json';

/** A file on its way in. */
export interface Incoming {
  readonly path: string;
  /** Bytes, as far as they are known before. */
  readonly size: number;
  open(signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
}

export interface Kept extends Manifest {
  readonly id: string;
}

/** The one way to write that every browser has, in workers only; TypeScript's DOM types leave workers out. */
interface SyncAccessHandle {
  write(bytes: Uint8Array, options?: { at: number }): number;
  flush(): void;
  close(): void;
}

const writable = (handle: FileSystemFileHandle): Promise<SyncAccessHandle> =>
  (handle as unknown as { createSyncAccessHandle(): Promise<SyncAccessHandle> }).createSyncAccessHandle();

async function root(): Promise<FileSystemDirectoryHandle> {
  const storage = await navigator.storage.getDirectory();
  return storage.getDirectoryHandle(FOLDER, { create: true });
}

async function fileHandle(
  folder: FileSystemDirectoryHandle,
  path: string,
  create: boolean,
): Promise<FileSystemFileHandle> {
  const parts = path.split('/');
  const name = parts.pop()!;
  let directory = folder;
  for (const part of parts) directory = await directory.getDirectoryHandle(part, { create });
  return directory.getFileHandle(name, { create });
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(bytes < 1e9 ? 3 : 1)} GB`;

/** @throws DwmError where the browser would not let this many bytes be kept. */
async function checkQuota(bytes: number): Promise<void> {
  const { quota, usage } = await navigator.storage.estimate();
  if (quota === undefined) return;
  const free = quota - (usage ?? 0);
  if (bytes <= free) return;
  throw new DwmError(
    'quota',
    `the model has ${gigabytes(bytes)}, this browser keeps at most ${gigabytes(free)} more for this page; free disk space, remove kept models, or drop the folder to read it where it is`,
    { bytes, free },
  );
}

/**
 * Streams files in. What a stopped or failed attempt left is removed.
 * @throws DwmError over the quota; InvalidFileError for a file of another size than was announced.
 */
export async function keep(
  id: string,
  { name, version }: Pick<Manifest, 'name' | 'version'>,
  incoming: readonly Incoming[],
  onProgress: (doneBytes: number, totalBytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const total = incoming.reduce((sum, { size }) => sum + size, 0);
  await checkQuota(total);
  const models = await root();
  await models.removeEntry(id, { recursive: true }).catch(() => {});
  const folder = await models.getDirectoryHandle(id, { create: true });
  try {
    let done = 0;
    const files: Manifest['files'][number][] = [];
    for (const { path, size, open } of incoming) {
      checkInside(name, path);
      const handle = await fileHandle(folder, path, true);
      const file = await writable(handle);
      let written = 0;
      try {
        for await (const chunk of await open(signal)) {
          signal.throwIfAborted();
          file.write(chunk, { at: written });
          written += chunk.byteLength;
          done += chunk.byteLength;
          onProgress(done, total);
        }
        file.flush();
      } finally {
        file.close();
      }
      if (written !== size) {
        throw new InvalidFileError(path, `${written} bytes came, expected ${size}; load it again`);
      }
      files.push({ path, size });
    }
    const manifest = await fileHandle(folder, MANIFEST, true);
    const writer = await writable(manifest);
    writer.write(new TextEncoder().encode(JSON.stringify({ name, version, files })));
    writer.close();
  } catch (error) {
    await models.removeEntry(id, { recursive: true }).catch(() => {});
    throw error;
  }
}

async function readManifest(folder: FileSystemDirectoryHandle): Promise<Manifest | undefined> {
  try {
    const handle = await folder.getFileHandle(MANIFEST);
    return JSON.parse(await (await handle.getFile()).text());
  } catch {
    return undefined;
  }
}

export async function listKept(): Promise<Kept[]> {
  const models = await root();
  const kept: Kept[] = [];
  for await (const [id, handle] of models.entries()) {
    const manifest = handle instanceof FileSystemDirectoryHandle ? await readManifest(handle) : undefined;
    if (manifest) kept.push({ id, ...manifest });
  }
  return kept.sort((a, b) => a.name.localeCompare(b.name));
}

export async function forget(id: string): Promise<void> {
  await (await root()).removeEntry(id, { recursive: true });
}

/** The kept model, or undefined where it is not there, or is another version. */
export async function openKept(id: string, version?: string): Promise<ModelFolder | undefined> {
  const models = await root();
  const folder = await models.getDirectoryHandle(id).catch(() => undefined);
  const manifest = folder && (await readManifest(folder));
  if (!folder || !manifest || (version !== undefined && manifest.version !== version)) return undefined;
  const { name } = manifest;
  const paths = new Set(manifest.files.map(({ path }) => path));
  return {
    name,
    async open(path) {
      checkInside(name, path);
      const handle = await fileHandle(folder, path, false).catch(() => undefined);
      if (!handle) throw new InvalidFileError(`${name}/${path}`, 'is not among the kept files');
      return blobSource(await handle.getFile(), `${name}/${path}`);
    },
    async exists(path) {
      checkInside(name, path);
      return paths.has(path);
    },
  };
}
