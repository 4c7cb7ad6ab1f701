/**
 * What a path that stands in data may reach. Lists, indexes, scenes and servers name files; the folder that they
 * are about is a fence, and neither `..`, nor an absolute path, nor a link leads out of it. Whatever opens a file
 * that data names, to read or to write it, asks here first.
 */
import { lstat, realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { InvalidFileError } from '../../errors.ts';
import { quote } from '../../text.ts';
import { fileProblem } from './path-source.ts';

/** What a path of a list may reach. */
export interface ReachOptions {
  /** Folder that the path counts from, and the fence. Itself it may be a link: its owner named it. */
  readonly root: string;
  /** File that holds the path, for messages. */
  readonly file: string;
  /** Where in it, e.g. `line 3` or `buffers[0].uri`. */
  readonly field?: string;
  /** Links may lead anywhere; what the path itself says still may not. */
  readonly followLinks?: boolean;
  /** Real folders that links may lead into besides the root. */
  readonly alsoInto?: readonly string[];
  /** What to do about a link that leads out. */
  readonly fix?: string;
}

/**
 * The real path, free of links, that `path` below `root` stands for. The file need not exist; what exists of the
 * way to it is looked at.
 * @param path relative, with `/` between its parts.
 * @throws InvalidFileError naming file, field, path and fix, if it would leave the root.
 */
export async function reach(path: string, options: ReachOptions): Promise<string> {
  const { file, field, root, followLinks = false, alsoInto = [] } = options;
  const fix = options.fix ?? 'copy the file into the folder';
  const refuse = (problem: string) => {
    const subject = field === undefined ? '' : `${field} ${quote(path)} `;
    return new InvalidFileError(file, `${subject}${problem}`, { ...(field && { field }), path });
  };
  const problem = pathProblem(path);
  if (problem) throw refuse(`${problem}; expected a relative path below ${root}, such as "a/b.bin"`);
  const realRoot = await realpath(root).catch((error) => {
    throw new InvalidFileError(root, fileProblem(error));
  });
  const target = await resolveExisting(resolve(realRoot, path), refuse);
  if (followLinks || [realRoot, ...alsoInto].some((fence) => isInside(fence, target))) return target;
  throw refuse(`links to ${target}, outside ${root}; ${fix}`);
}

/** What is wrong with a path from data, whatever the disk holds. */
function pathProblem(path: string): string | undefined {
  if (path === '') return 'is empty';
  if (/\p{Cc}/u.test(path)) return 'has a control character';
  if (path.startsWith('/') || /^[A-Za-z]:/.test(path)) return 'is an absolute path';
  if (path.includes('\\')) return 'has a backslash';
  if (path.split('/').includes('..')) return 'leads out by ".."';
  return undefined;
}

/** Whether `path` lies below `folder`; both absolute and free of links. */
function isInside(folder: string, path: string): boolean {
  const rest = relative(folder, path);
  return rest !== '' && rest !== '..' && !rest.startsWith(`..${sep}`) && !isAbsolute(rest);
}

/** `path` with the links of its existing part followed. A link to nothing is refused: writing would make its target. */
async function resolveExisting(path: string, refuse: (problem: string) => Error): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ELOOP') throw refuse('is a link that leads to itself; remove it');
    if (code !== 'ENOENT') throw refuse(`cannot be reached: ${fileProblem(error)}`);
    const entry = await lstat(path).catch(() => undefined);
    if (entry?.isSymbolicLink()) throw refuse('is a link to a file that is not there; remove it');
    return join(await resolveExisting(dirname(path), refuse), basename(path));
  }
}
