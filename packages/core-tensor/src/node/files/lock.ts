/**
 * One process in a folder at a time. A lock is a small file that names its owner; the owner shows that it lives
 * by touching it. The lock of a process that is gone is taken over: at once where the process can be looked for,
 * and where it cannot, being on another machine or in another container, once it has not been touched for long.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, unlinkSync } from 'node:fs';
import { link, lstat, open, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DwmError } from '../../errors.ts';
import { isAlive, type Owner, thisOwner } from './owner.ts';
import { temporaryPath } from './temporary.ts';

const TOUCH_MS = 10_000;
/** Long enough for a process that compiles shaders, or was stopped for a moment. */
const SILENT_MS = 120_000;

interface Holder extends Owner {
  /** E.g. `train`. */
  readonly command: string;
  /** When it began, for people. */
  readonly since: string;
  /** Makes every lock one of its own. */
  readonly id: string;
}

/** A folder that is held against other processes. */
export interface Lock {
  /** Gives the folder back. */
  release(): Promise<void>;
}

/** Gives back what this process holds when it ends. One listener for all: Node warns of more than ten. */
const drops = new Set<() => void>();
process.on('exit', () => {
  for (const drop of drops) drop();
});

/** Another process is at work there. */
export class InUseError extends DwmError {}

/**
 * Takes `file` as a lock.
 * @param subject what it is about, for messages: a folder, or a file.
 * @param waitMs how long to wait for an owner that will be done soon.
 * @throws InUseError naming the owner.
 */
export async function lock(file: string, subject: string, waitMs = 0): Promise<Lock> {
  const command = process.argv[2]?.startsWith('-') === false ? process.argv[2] : 'run';
  const id = randomBytes(8).toString('hex');
  const holder: Holder = { ...thisOwner(), command, since: new Date().toISOString(), id };
  const text = `${JSON.stringify(holder)}\n`;
  for (const begun = performance.now(); ; ) {
    if (await create(file, text)) break;
    const found = await look(file);
    if (!found) continue;
    // One of another machine that is gone shows it by silence alone.
    const patience = waitMs > 0 && !found.here ? waitMs + SILENT_MS : waitMs;
    if (!found.alive) await takeOver(file, found.text);
    else if (performance.now() - begun < patience) await sleep(20);
    else throw inUse(file, subject, found);
  }
  const isOurs = () => readFileSync(file, 'utf8') === text;
  const drop = () => {
    try {
      if (isOurs()) unlinkSync(file);
    } catch {
      // Gone with its folder.
    }
  };
  drops.add(drop);
  const touch = setInterval(() => utimes(file, new Date(), new Date()).catch(() => {}), TOUCH_MS);
  touch.unref();
  return {
    async release() {
      clearInterval(touch);
      drops.delete(drop);
      drop();
    },
  };
}

/** As `lock`; undefined where another process has it. */
export async function tryLock(file: string, subject: string): Promise<Lock | undefined> {
  return lock(file, subject).catch((error) => {
    if (error instanceof InUseError) return undefined;
    throw error;
  });
}

/** @returns whether the file was made: whole, or not at all. */
async function create(file: string, text: string): Promise<boolean> {
  const temporary = temporaryPath(file);
  await writeFile(temporary, text, { flag: 'wx' });
  try {
    await link(temporary, file);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code ?? '')) throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  // A file system without second names.
  const handle = await open(file, 'wx').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return undefined;
    throw error;
  });
  if (!handle) return false;
  await handle.writeFile(text).finally(() => handle.close());
  return true;
}

interface Found {
  readonly text: string;
  readonly holder: Holder | undefined;
  readonly alive: boolean;
  /** Of this machine, so that `alive` is certain. */
  readonly here: boolean;
}

/** Who holds the lock; undefined if it is gone by now. @throws DwmError for what no process of ours has made there. */
async function look(file: string): Promise<Found | undefined> {
  const ifThere = (error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  };
  const entry = await lstat(file).catch(ifThere);
  if (entry && !entry.isFile())
    throw new DwmError('lock', `${file}: is no regular file, which a lock is; remove it`, { file });
  const text = await readFile(file, 'utf8').catch(ifThere);
  if (text === undefined) return undefined;
  const holder = parse(text);
  const known = holder && isAlive(holder);
  const alive = known ?? (await silentMs(file)) < SILENT_MS;
  return { text, holder, alive, here: known !== undefined };
}

function parse(text: string): Holder | undefined {
  try {
    const { pid, host, started, command, since, id } = JSON.parse(text);
    const strings = [host, started, command, since, id].every((value) => typeof value === 'string');
    return strings && Number.isSafeInteger(pid) && pid > 0
      ? { pid, host, started, command, since, id }
      : undefined;
  } catch {
    return undefined;
  }
}

/** How long ago the lock was touched, by the clock of the disk. */
async function silentMs(file: string): Promise<number> {
  const probe = temporaryPath(file);
  await writeFile(probe, '');
  try {
    const [now, then] = [await stat(probe), await stat(file).catch(() => undefined)];
    return then ? now.mtimeMs - then.mtimeMs : 0;
  } finally {
    await rm(probe, { force: true });
  }
}

/** Removes a lock whose owner is gone, unless another process has been quicker and holds it now. */
async function takeOver(file: string, text: string): Promise<void> {
  const aside = temporaryPath(file);
  const moved = await rename(file, aside).then(
    () => true,
    () => false,
  );
  if (!moved) return;
  // What was moved may be the quicker one's new lock: back with it.
  if ((await readFile(aside, 'utf8')) !== text) await link(aside, file).catch(() => {});
  await rm(aside, { force: true });
}

function inUse(file: string, subject: string, { holder, here }: Found): InUseError {
  if (!holder) {
    return new InUseError('in-use', `${subject}: is in use; if it is not, delete ${file}`, { file: subject });
  }
  const { pid, host, command, since } = holder;
  const where = here ? '' : ` on ${host.split(' ')[0]}`;
  const fix = here
    ? 'wait for it, stop it, or choose another folder'
    : `wait for it, or two minutes if it has ended, or choose another folder`;
  return new InUseError(
    'in-use',
    `${subject}: is in use by dwm ${command}, process ${pid}${where}, since ${since.slice(0, 19)}Z; ${fix}`,
    { file: subject, pid, host },
  );
}

/** The lock of a folder, or of one thing in it. */
export function lockFile(folder: string, name?: string): string {
  if (name === undefined) return join(folder, '.dwm.lock');
  // Names that just fit leave no room for ours.
  const short = Buffer.byteLength(name) <= 100 ? name : createHash('sha256').update(name).digest('hex');
  return join(folder, `.dwm-${short}.lock`);
}
