/** A model folder on disk, fenced: neither `..` nor a symbolic link leads out of it. */
import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InvalidFileError } from '../../errors.ts';
import { checkInside, type ModelFolder } from '../../safetensors/model-folder.ts';
import { fileProblem, openPath } from './path-source.ts';
import { reach } from './reach.ts';

/**
 * Opens a model folder. Links may point anywhere inside it. A snapshot in the Hugging Face cache
 * (`models--x--y/snapshots/<commit>`) consists of links to its sibling `blobs`, which are therefore let in.
 * @throws InvalidFileError if there is no such folder.
 */
export async function openDirectory(path: string): Promise<ModelFolder> {
  const root = await realpath(path).catch((error) => {
    throw new InvalidFileError(path, fileProblem(error));
  });
  const repository = dirname(dirname(root));
  const alsoInto = basename(dirname(root)) === 'snapshots' ? [join(repository, 'blobs')] : [];

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
