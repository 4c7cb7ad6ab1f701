/**
 * A model from the hub into a folder: `dwm download` in one function. It may be stopped at any time and run
 * again: finished files are recognised by checksum, unfinished ones go on where they were.
 */
import { rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError } from '@dwm/core-tensor';
import { withOutput, writeProblem } from '@dwm/core-tensor/node';
import { fileSize } from './checksum.ts';
import { DownloadError, explain } from './errors.ts';
import { type FileRequest, fetchFile, isComplete, partPath } from './fetch-file.ts';
import { clash, nameProblem } from './file-name.ts';
import { type HubFile, hubAccess, listModel } from './hub.ts';
import { type DownloadProgress, ProgressMeter } from './progress.ts';

/** Options of `downloadModel`. */
export interface DownloadOptions {
  /** Folder for the files, made where needed; they keep their paths in the repository. */
  outDir: string;
  /** Branch, tag or commit; `main` unless told. */
  revision?: string;
  /** Patterns of wanted paths, e.g. `['transformer/*', '*.json']`; `*` also matches slashes, `?` one character. */
  include?: readonly string[];
  onProgress?: (progress: DownloadProgress) => void;
  /** Stops the download; what has been received stays for the next run. */
  signal?: AbortSignal;
}

/** What was fetched. */
export interface DownloadedModel {
  dir: string;
  /** The commit that the revision stood for. */
  commit: string;
  /** `present`: was there already, complete and verified. */
  files: { path: string; size: number; status: 'downloaded' | 'present' }[];
}

/**
 * Downloads a model. Honours HF_ENDPOINT and HF_TOKEN.
 * @param id e.g. `alibaba-pai/CogVideoX-Fun-V1.1-5b-InP`.
 * @throws InvalidArgumentError on an id that cannot be one or an `include` that matches nothing; DownloadError
 * on refused access, an unknown id, a wrong checksum, too little disk space, or a network that stays away; the
 * signal's reason when stopped.
 */
export async function downloadModel(id: string, options: DownloadOptions): Promise<DownloadedModel> {
  const { outDir, revision = 'main', include, onProgress, signal } = options;
  if (!/^[\w.-]+(\/[\w.-]+)?$/.test(id) || id.split('/').some((part) => /^\.+$/.test(part))) {
    throw new InvalidArgumentError('id', `expected OWNER/NAME as on the hub, got ${JSON.stringify(id)}`);
  }
  const access = hubAccess(signal);
  let what = `${id} (${revision})`;
  try {
    signal?.throwIfAborted();
    const { commit, files: all } = await listModel(id, revision, access);
    const files = select(all, include);
    checkNames(id, files);
    return await withOutput(outDir, {}, () => receive(commit, files));
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw explain(error, what, access.endpoint, access.token !== undefined);
  }

  async function receive(commit: string, files: readonly HubFile[]): Promise<DownloadedModel> {
    const meter = new ProgressMeter(sum(files), onProgress);
    const result: DownloadedModel = { dir: outDir, commit, files: [] };
    const missing: HubFile[] = [];
    for (const file of files) {
      if (await isComplete(join(outDir, file.path), { file, access, meter })) {
        // Left by a run that was stopped, and of no use.
        await rm(partPath(outDir, file.path), { force: true });
        meter.finished(file.path, file.size);
        result.files.push({ path: file.path, size: file.size, status: 'present' });
      } else missing.push(file);
    }
    await checkSpace(id, outDir, missing);
    for (const file of missing) {
      what = `${id}/${file.path}`;
      const request: FileRequest = { id, commit, file, outDir, access, meter };
      await fetchFile(request).catch((error) => {
        throw writeProblem(error, join(outDir, file.path), 'what has been received is kept');
      });
      meter.finished(file.path, file.size);
      result.files.push({ path: file.path, size: file.size, status: 'downloaded' });
    }
    return result;
  }
}

function sum(files: readonly HubFile[]): number {
  return files.reduce((total, { size }) => total + size, 0);
}

/** @throws DownloadError for names that would not be files of that name here, or on another system. */
function checkNames(id: string, files: readonly HubFile[]): void {
  const paths = files.map(({ path }) => path);
  const problem = paths.map(nameProblem).find((found) => found !== undefined) ?? clash(paths);
  if (problem)
    throw new DownloadError('hub-answer', `${id}: ${problem}; name the wanted files with \`include\``);
}

function select(files: HubFile[], include: readonly string[] | undefined): HubFile[] {
  if (!include) return files;
  const patterns = include.map((pattern) => {
    const source = pattern
      .replace(/[\\^$+.()|[\]{}]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.');
    return new RegExp(`^${source}$`);
  });
  const wanted = files.filter(({ path }) => patterns.some((pattern) => pattern.test(path)));
  if (wanted.length) return wanted;
  const some = files.slice(0, 5).map(({ path }) => path);
  throw new InvalidArgumentError(
    'include',
    `${include.join(', ')} matches none of the ${files.length} files, such as ${some.join(', ')}`,
  );
}

/** Refuses to start what cannot end: parts already received are counted as there. */
async function checkSpace(id: string, outDir: string, missing: readonly HubFile[]): Promise<void> {
  let needed = sum(missing);
  for (const { path, size } of missing)
    needed -= Math.min(size, (await fileSize(partPath(outDir, path))) ?? 0);
  const { bavail, bsize } = await statfs(outDir);
  const available = bavail * bsize;
  if (needed <= available) return;
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
  throw new DownloadError(
    'disk-space',
    `${outDir}: ${id} needs ${gigabytes(needed)}, only ${gigabytes(available)} are free; free space or choose another folder`,
    { needed, available },
  );
}
