/** The files that a model consists of, found by asking for each: a server has no listing. */
import { InvalidFileError } from '@dwm/core-tensor';
import { checkpointFiles, type ModelFolder } from '@dwm/core-tensor/files';

export async function firstThere(folder: ModelFolder, paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await folder.exists(path)) return path;
  return undefined;
}

/** Collects what is there and what is missing of a model. */
export class ModelFileList {
  readonly found: string[] = [];
  readonly missing: string[] = [];
  readonly #folder: ModelFolder;

  constructor(folder: ModelFolder) {
    this.#folder = folder;
  }

  /** Whether a file is there; it is listed then. */
  async has(path: string): Promise<boolean> {
    const there = await this.#folder.exists(path);
    if (there) this.found.push(path);
    return there;
  }

  async need(path: string): Promise<void> {
    if (!(await this.has(path))) this.missing.push(path);
  }

  /** @param base path of the weights, without their ending. */
  async needWeights(base: string): Promise<void> {
    const { found, missing } = await checkpointFiles(this.#folder, base);
    this.found.push(...found);
    this.missing.push(...missing);
  }

  /**
   * Paths of the whole model.
   * @throws InvalidFileError that names every file that is missing.
   */
  whole(): string[] {
    const { found, missing } = this;
    if (missing.length === 0) return found;
    const files =
      missing.length === 1 ? 'a file of the model is' : `${missing.length} files of the model are`;
    throw new InvalidFileError(
      this.#folder.name.replace(/\/$/, ''),
      `${files} missing: ${missing.join(', ')}; download the model again, or choose the folder of a whole one`,
      { missing },
    );
  }
}
