/**
 * Decided choices on disk, by adapter and driver: `~/.cache/dwm/tune.json` for the machine, so that tuning happens
 * once, or a file of a run's own, so that a run that is resumed later keeps its kernels. A file that cannot be read
 * counts as empty, is said to be so, and is written anew.
 */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type Choice, choicesOf, type DeviceCaps } from '@dwm/kernels-wgsl';
import { writeFileAtomic } from './files/atomic-write.ts';

/** Raised when variants or classes change so much that old measurements mean nothing. */
const VERSION = 2;

type Decided = Record<string, Choice | null>;

interface TuneFile {
  readonly version: number;
  readonly devices: Record<string, Decided>;
}

const EMPTY: TuneFile = { version: VERSION, devices: {} };

export const tuneCachePath = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'dwm', 'tune.json');

/** Dawn's description holds the driver and its version. */
const deviceKey = ({ adapter }: DeviceCaps): string =>
  [adapter.vendor, adapter.architecture, adapter.device, adapter.description].join(' / ');

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isChoice = (value: unknown): value is Choice | null =>
  value === null ||
  (isObject(value) &&
    typeof value.variant === 'string' &&
    (value.tuning === undefined ||
      (isObject(value.tuning) && Object.values(value.tuning).every(Number.isFinite))));

async function readTuneFile(path: string, warn: (line: string) => void): Promise<TuneFile> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return EMPTY;
  }
  try {
    const file = JSON.parse(text);
    // Of another version: not damaged, only out of date.
    if (Number.isInteger(file?.version) && file.version !== VERSION) return EMPTY;
    const devices =
      file?.version === VERSION && isObject(file.devices) ? Object.values(file.devices) : [{ '': 0 }];
    if (devices.every((decided) => isObject(decided) && Object.values(decided).every(isChoice))) return file;
  } catch {
    // Not JSON.
  }
  warn(`${path}: is damaged and ignored; kernels are tuned anew`);
  return EMPTY;
}

export interface TuneFileOptions {
  readonly path?: string;
  /** Told, in one line, of a file that cannot be read. */
  readonly warn?: (line: string) => void;
}

const silent = () => {};

/**
 * Takes over what was decided on such a device before: programs planned from now on use it.
 * @returns how many classes of shapes that are.
 */
export async function loadTuning(
  caps: DeviceCaps,
  { path = tuneCachePath(), warn = silent }: TuneFileOptions = {},
): Promise<number> {
  const { devices } = await readTuneFile(path, warn);
  const decided = Object.entries(devices[deviceKey(caps)] ?? {});
  const choices = choicesOf(caps);
  for (const [key, choice] of decided) choices.set(key, choice);
  return decided.length;
}

/** Adds this device's choices to the file, atomically. */
export async function saveTuning(
  caps: DeviceCaps,
  { path = tuneCachePath(), warn = silent }: TuneFileOptions = {},
): Promise<void> {
  const { devices } = await readTuneFile(path, warn);
  const key = deviceKey(caps);
  await write(path, { ...devices, [key]: { ...devices[key], ...Object.fromEntries(choicesOf(caps)) } });
}

/** Forgets what the file has of this device, and what is in use now. */
export async function resetTuning(
  caps: DeviceCaps,
  { path = tuneCachePath(), warn = silent }: TuneFileOptions = {},
): Promise<void> {
  const { [deviceKey(caps)]: _, ...others } = (await readTuneFile(path, warn)).devices;
  choicesOf(caps).clear();
  await write(path, others);
}

async function write(path: string, devices: Record<string, Decided>): Promise<void> {
  const file: TuneFile = { version: VERSION, devices };
  await writeFileAtomic(path, [new TextEncoder().encode(`${JSON.stringify(file, null, 1)}\n`)]);
}
