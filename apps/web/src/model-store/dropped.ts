/** Files that the visitor dropped or picked, with their paths: read where they lie, by ranges. */
import { InvalidFileError } from '@dwm/core-tensor';
import { blobSource, checkInside, type ModelFolder } from '@dwm/core-tensor/files';

export interface DroppedFile {
  /** From the dropped folder, e.g. `vae/config.json`. */
  readonly path: string;
  readonly file: File;
}

/** As its visitor knows it: a file that was dropped alone is its own folder, and may go by another name here. */
const knownAs = (folder: string, { path, file }: DroppedFile) =>
  folder === file.name || !path.endsWith(file.name) ? file.name : `${folder}/${path}`;

export function droppedFolder(name: string, files: readonly DroppedFile[]): ModelFolder {
  const byPath = new Map(files.map((file) => [file.path, file]));
  return {
    name,
    async open(path) {
      checkInside(name, path);
      const found = byPath.get(path);
      if (!found)
        throw new InvalidFileError(
          `${name}/${path}`,
          'is not among the dropped files; drop the whole folder',
        );
      return blobSource(found.file, knownAs(name, found));
    },
    async exists(path) {
      checkInside(name, path);
      return byPath.has(path);
    },
  };
}

async function filesIn(entry: FileSystemEntry, path: string): Promise<DroppedFile[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    return [{ path, file }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: DroppedFile[] = [];
  for (;;) {
    // A reader gives at most a hundred entries at a time.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (entries.length === 0) return files;
    for (const child of entries)
      files.push(...(await filesIn(child, path ? `${path}/${child.name}` : child.name)));
  }
}

/** All files of a drop. The name of a folder that was dropped alone is not part of the paths. */
export async function droppedFiles(
  data: DataTransfer,
): Promise<{ folder: string | undefined; files: DroppedFile[] }> {
  // The list of items is emptied when the event is over, so all is taken now.
  const items = [...data.items].map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  const only = items.length === 1 && items[0].entry?.isDirectory ? items[0].entry : undefined;
  if (only) return { folder: only.name, files: await filesIn(only, '') };
  const files = items.map(async ({ entry, file }): Promise<DroppedFile[]> => {
    if (entry?.isDirectory) return filesIn(entry, entry.name);
    return file ? [{ path: file.name, file }] : [];
  });
  return { folder: undefined, files: (await Promise.all(files)).flat() };
}

/** The same for `<input type="file">`, with `webkitdirectory` or without. */
export function pickedFiles(list: Iterable<File>): { folder: string | undefined; files: DroppedFile[] } {
  let folder: string | undefined;
  const files = [...list].map((file) => {
    const [top, ...rest] = (file.webkitRelativePath || '').split('/');
    if (rest.length > 0) folder ??= top;
    return { path: rest.length > 0 ? rest.join('/') : file.name, file };
  });
  return { folder, files };
}
