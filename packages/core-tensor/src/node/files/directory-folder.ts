/** A model folder on disk, fenced: neither `..` nor a symbolic link leads out of it. */
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { InvalidFileError } from '../../errors.ts';
import { checkInside, type ModelFolder } from '../../safetensors/model-folder.ts';
import { fileProblem, openPath } from './path-source.ts';

async function resolveLinks(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    throw new InvalidFileError(path, fileProblem(error));
  }
}

/**
 * Opens a model folder. Links may point anywhere inside it. A snapshot in the Hugging Face cache
 * (`models--x--y/snapshots/<commit>`) consists of links to its sibling `blobs`, which are therefore let in.
 * @throws InvalidFileError if there is no such folder.
 */
export async function openDirectory(path: string): Promise<ModelFolder> {
  const root = await resolveLinks(path);
  const repository = dirname(dirname(root));
  const fences = [root];
  if (basename(dirname(root)) === 'snapshots') fences.push(join(repository, 'blobs'));

  return {
    name: path,
    async open(relativePath) {
      checkInside(path, relativePath);
      const file = join(path, relativePath);
      const target = await resolveLinks(file);
      if (!fences.some((fence) => target.startsWith(fence + sep))) {
        throw new InvalidFileError(
          file,
          `links to ${target}, outside ${path}; copy the file into the folder`,
          { target },
        );
      }
      return { ...(await openPath(target)), name: file };
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
