/**
 * A model is a folder of files (configs, tokenizer, weights). This is the folder as seen by model code: it
 * opens files by relative path, and does not say whether they lie on disk, on a server, or were picked in a
 * browser. No path can lead out of it, since some paths come from inside the files (weight maps).
 */
import { InvalidArgumentError, InvalidFileError } from '../errors.ts';
import { type ByteSource, blobSource } from './byte-source.ts';
import { isMissing, openUrl, probeUrl } from './url-source.ts';

/** A folder of a model: on disk, at an address, or dropped on a page. */
export interface ModelFolder {
  /** What messages call the folder: its path, URL or name. */
  readonly name: string;
  /** @throws InvalidFileError if the file is missing or unreadable, or the path would leave the folder. */
  open(relativePath: string): Promise<ByteSource>;
  /** @throws InvalidFileError if the path would leave the folder. */
  exists(relativePath: string): Promise<boolean>;
}

/** Whether `path` is a plain relative path (`a/b.json`) that stays below the folder it is joined to. */
export function staysInside(path: string): boolean {
  const plain = !path.includes('\\') && !path.includes('\0') && !/^[A-Za-z]:/.test(path);
  return plain && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/** @throws InvalidFileError unless `path` stays inside the folder. */
export function checkInside(folderName: string, path: string): void {
  if (staysInside(path)) return;
  throw new InvalidFileError(
    folderName,
    `${JSON.stringify(path)} is not a path inside this folder; expected a relative path such as "vae/config.json"`,
    { path },
  );
}

/** A model folder on an HTTP server, e.g. `https://host/models/dwm-5b`. */
export function urlFolder(baseUrl: string | URL): ModelFolder {
  const base = new URL(baseUrl, globalThis.location?.href);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  const name = base.origin + base.pathname;
  const fileUrl = (path: string) => {
    checkInside(name, path);
    const url = new URL(base);
    url.pathname += path.split('/').map(encodeURIComponent).join('/');
    return url;
  };
  return {
    name,
    open: async (path) => openUrl(fileUrl(path)),
    async exists(path) {
      const url = fileUrl(path);
      const response = await probeUrl(url);
      if (isMissing(response)) return false;
      // 416: the file is there and empty.
      if (response.ok || response.status === 416) return true;
      throw new InvalidFileError(url.origin + url.pathname, `the server answered ${response.status}`, {
        status: response.status,
      });
    },
  };
}

/**
 * The files of `<input type="file" webkitdirectory>` (paths count from the chosen folder) or of a plain
 * multiple choice (paths are the file names).
 * @throws InvalidArgumentError if there are no files.
 */
export function filesFolder(files: Iterable<File>): ModelFolder {
  const byPath = new Map<string, File>();
  let name: string | undefined;
  for (const file of files) {
    const [root, ...rest] = (file.webkitRelativePath ?? '').split('/');
    byPath.set(rest.length ? rest.join('/') : file.name, file);
    name ??= rest.length ? root : 'chosen files';
  }
  if (name === undefined) throw new InvalidArgumentError('files', 'no files chosen; choose a model folder');
  const folderName = name;
  return {
    name: folderName,
    async open(path) {
      checkInside(folderName, path);
      const file = byPath.get(path);
      if (!file) throw new InvalidFileError(`${folderName}/${path}`, 'not among the chosen files');
      return blobSource(file, `${folderName}/${path}`);
    },
    async exists(path) {
      checkInside(folderName, path);
      return byPath.has(path);
    },
  };
}

/** A folder inside a model folder, e.g. its `vae`. */
export function subfolder(folder: ModelFolder, path: string): ModelFolder {
  return {
    name: `${folder.name}/${path}`,
    open: (relativePath) => folder.open(`${path}/${relativePath}`),
    exists: (relativePath) => folder.exists(`${path}/${relativePath}`),
  };
}
