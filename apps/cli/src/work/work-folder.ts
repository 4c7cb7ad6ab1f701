/**
 * What processes that share a piece of work leave for each other, in `.dwm-work/` of the output folder: which items there
 * are, who has which, what each has finished, and what failed. Results are told by their own files; nothing here is
 * needed to read them.
 */
import { createHash } from 'node:crypto';
import { appendFile, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { isObject } from '@dwm/core-tensor/files';
import { isAlive, type Lock, tryLock, writeFileAtomic } from '@dwm/core-tensor/node';

/** One item of work. */
export interface Item {
  /** For people, and the same in every process. */
  readonly name: string;
  /** Relative to the output folder: is there when the item is done. */
  readonly file: string;
}

interface Failure {
  readonly name: string;
  readonly file: string;
  readonly tries: readonly { readonly message: string; readonly host: string; readonly date: string }[];
}

/** An item that a process has finished. */
interface Finished {
  readonly name: string;
  readonly seconds: number;
  readonly worker: string;
}

interface Working {
  readonly name: string;
  readonly pid: number;
  readonly host: string;
  readonly since: string;
  /** A process of this machine that has ended: the item waits to be taken over. */
  readonly ended: boolean;
}

const FOLDER = '.dwm-work';

/** What an item is known by: with other settings, it may be another file of the same name. Paths may be of any length. */
const keyOf = (file: string): string => createHash('sha256').update(file).digest('hex').slice(0, 24);

/** A part of a file that is being written, or of one that is none of ours, is nothing. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const read = async (path: string): Promise<unknown> => parse(await readFile(path, 'utf8').catch(() => ''));

const isFailure = (value: unknown): value is Failure => {
  if (!isObject(value) || typeof value.name !== 'string' || typeof value.file !== 'string') return false;
  if (!Array.isArray(value.tries)) return false;
  return value.tries.every((one) => isObject(one) && typeof one.message === 'string');
};

export class WorkFolder {
  readonly folder: string;
  readonly command: string;
  readonly #path: string;
  readonly #log: string;

  /** @param folder of the output. */
  constructor(folder: string, command: string) {
    this.folder = folder;
    this.command = command;
    this.#path = join(folder, FOLDER, command);
    this.#log = join(this.#path, `${hostname()}-${process.pid}.log`);
  }

  /** The commands that have shared work in a folder. */
  static async all(folder: string): Promise<WorkFolder[]> {
    const names = await readdir(join(folder, FOLDER)).catch(() => [] as string[]);
    return names.sort().map((name) => new WorkFolder(folder, name));
  }

  /** Says which items there are. @param more than those that were said before. */
  async begin(items: readonly Item[], more = false): Promise<void> {
    await mkdir(this.#path, { recursive: true });
    const known = await this.items();
    const names = new Set(items.map(({ name }) => name));
    const all = more ? [...known.filter(({ name }) => !names.has(name)), ...items] : items;
    if (JSON.stringify(known) === JSON.stringify(all)) return;
    await writeFileAtomic(join(this.#path, 'items.json'), `${JSON.stringify(all)}\n`);
  }

  /**
   * Where what one process has found out lies for the others.
   * @param settings that it depends on.
   */
  part(name: string, settings: string): Item {
    return { name, file: join(FOLDER, this.command, `${keyOf(`${settings} ${name}`)}.part`) };
  }

  async items(): Promise<Item[]> {
    const found = await read(join(this.#path, 'items.json'));
    if (!Array.isArray(found)) return [];
    return found.filter((x) => isObject(x) && typeof x.name === 'string' && typeof x.file === 'string');
  }

  async isThere({ file }: Item): Promise<boolean> {
    return (await stat(join(this.folder, file)).catch(() => undefined)) !== undefined;
  }

  #lease = ({ file }: Item): string => join(this.#path, `${keyOf(file)}.lease`);
  #failure = ({ file }: Item): string => join(this.#path, `${keyOf(file)}.failed.json`);

  /** The item for this process alone, unless another one that lives has it. */
  take(item: Item): Promise<Lock | undefined> {
    return tryLock(this.#lease(item), item.name);
  }

  async finished(item: Item, seconds: number, worker: string): Promise<void> {
    const line: Finished = { name: item.name, seconds, worker };
    await appendFile(this.#log, `${JSON.stringify(line)}\n`);
  }

  async failed(item: Item, message: string): Promise<void> {
    const before = await this.triesOf(item);
    const now = { message, host: `${hostname()} ${process.pid}`, date: new Date().toISOString() };
    const failure: Failure = { name: item.name, file: item.file, tries: [...before, now] };
    await writeFileAtomic(this.#failure(item), `${JSON.stringify(failure, undefined, 1)}\n`);
  }

  async triesOf(item: Item): Promise<Failure['tries']> {
    const found = await read(this.#failure(item));
    return isFailure(found) ? found.tries : [];
  }

  /** Removes leases of processes that are gone. */
  async sweep(items: readonly Item[]): Promise<void> {
    const left = new Set(await this.#named('.lease'));
    for (const item of items)
      if (left.has(`${keyOf(item.file)}.lease`)) await (await this.take(item))?.release();
  }

  async failures(): Promise<Failure[]> {
    const found = await Promise.all(
      (await this.#named('.failed.json')).map((name) => read(join(this.#path, name))),
    );
    return found.filter(isFailure).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Lets items that were given up be tried again. */
  async forgetFailures(): Promise<void> {
    for (const name of await this.#named('.failed.json')) await rm(join(this.#path, name), { force: true });
  }

  /** What was finished, by the process that did it: in its log's order. */
  async logs(): Promise<Map<string, Finished[]>> {
    const logs = new Map<string, Finished[]>();
    for (const name of await this.#named('.log')) {
      const text = await readFile(join(this.#path, name), 'utf8').catch(() => '');
      // A process that was killed may have left half a line.
      const lines = text.split('\n').map(parse);
      logs.set(
        name.slice(0, -'.log'.length),
        lines.filter(
          (x): x is Finished => isObject(x) && typeof x.name === 'string' && Number.isFinite(x.seconds),
        ),
      );
    }
    return logs;
  }

  /** Who works on what, ended processes included until their item is taken over. */
  async working(items: readonly Item[]): Promise<Working[]> {
    const names = new Map(items.map(({ name, file }) => [`${keyOf(file)}.lease`, name]));
    const found: Working[] = [];
    for (const file of await this.#named('.lease')) {
      const holder = await read(join(this.#path, file));
      const name = names.get(file);
      if (name === undefined || !isObject(holder)) continue;
      const { pid, host, since, started } = holder;
      if (typeof pid !== 'number' || typeof host !== 'string' || typeof since !== 'string') continue;
      const ended = isAlive({ pid, host, started: typeof started === 'string' ? started : '' }) === false;
      found.push({ name, pid, host: host.split(' ')[0], since, ended });
    }
    return found;
  }

  async #named(ending: string): Promise<string[]> {
    const names = await readdir(this.#path).catch(() => [] as string[]);
    return names.filter((name) => name.endsWith(ending) && !name.startsWith('.')).sort();
  }
}
