/** A model folder on disk, fenced: neither `..` nor a symbolic link leads out of it. */
import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InvalidFileError } from '../../errors.ts';
import { checkInside, type ModelFolder } from '../../files/model-folder.ts';
import { fileProblem, openPath } from './path-source.ts';
import { reach } from './reach.ts';

/**
 * Where links of a folder may lead besides itself: a snapshot in the Hugging Face cache
 * (`models--x--y/snapshots/<commit>`) consists of links to its sibling `blobs`.
 * @param root free of links.
 */
export const hubBlobs = (root: string): string[] =>
  basename(dirname(root)) === 'snapshots' ? [join(dirname(dirname(root)), 'blobs')] : [];

/**
 * Opens a model folder. Links may point anywhere inside it, and to where a hub's snapshot keeps its files.
 * @throws InvalidFileError if there is no such folder.
 */
export async function openDirectory(path: string): Promise<ModelFolder> {
  const root = await realpath(path).catch((error) => {
    throw new InvalidFileError(path, fileProblem(error));
  });
  const alsoInto = hubBlobs(root);
  return {
    name: path,
    async open(relativePath) {
      checkInside(path, relativePath);
      const file = join(path, relativePath);
      return openPath(await reach(relativePath, { root: path, file, alsoInto }), file);
    },
    async exists(relativePath) {
      checkInside(path, relativePath);
      return realpath(join(path, relativePath)).then(
        () => true,
        () => false,
      );
    },
  };
}
