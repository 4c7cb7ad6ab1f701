/**
 * Decided choices, and what self-tests found, on disk, by adapter and driver: `~/.cache/dwm/tune.json` for the machine,
 * so that tuning happens once, or a file of a run's own, so that a run that is resumed later keeps its kernels. A file
 * that cannot be read counts as empty, is said to be so, and is written anew.
 */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Choice, DeviceCaps } from '@dwm/kernels-wgsl';
import type { Device } from '../device/device.ts';
import { writeFileAtomic } from './files/atomic-write.ts';

/** Raised when variants or classes change so much that old measurements mean nothing. */
const VERSION = 2;

type Decided = Record<string, Choice | null>;
/** Verdicts as JSON. */
type Tried = Record<string, string | null>;

interface TuneFile {
  readonly version: number;
  readonly devices: Record<string, Decided>;
  /** Of each device's kernels; files of before there were self-tests have none. */
  readonly verdicts?: Record<string, Tried>;
}

const EMPTY: TuneFile = { version: VERSION, devices: {} };

/** The file of measured choices: `dwm/tune.json` in the user's cache. */
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

const isVerdict = (value: unknown): value is string | null => value === null || typeof value === 'string';

const allOf = (values: unknown, isOne: (value: unknown) => boolean): boolean =>
  isObject(values) &&
  Object.values(values).every((each) => isObject(each) && Object.values(each).every(isOne));

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
    const whole = file?.version === VERSION && allOf(file.devices, isChoice);
    if (whole && allOf(file.verdicts ?? {}, isVerdict)) return file;
  } catch {
    // Not JSON.
  }
  warn(`${path}: is damaged and ignored; kernels are tuned anew`);
  return EMPTY;
}

/** A device by what its file is about. */
type DecidedDevice = Pick<Device, 'caps' | 'decisions'>;

/** Where measured choices are kept. */
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
  { caps, decisions }: DecidedDevice,
  { path = tuneCachePath(), warn = silent }: TuneFileOptions = {},
): Promise<number> {
  const { devices, verdicts = {} } = await readTuneFile(path, warn);
  const decided = Object.entries(devices[deviceKey(caps)] ?? {});
  for (const [key, choice] of decided) decisions.choices.set(key, choice);
  for (const [kernel, verdict] of Object.entries(verdicts[deviceKey(caps)] ?? {}))
    decisions.verdicts.set(kernel, verdict);
  return decided.length;
}

/** Adds this device's choices and verdicts to the file, atomically. */
export async function saveTuning(
  { caps, decisions }: DecidedDevice,
  { path = tuneCachePath(), warn = silent }: TuneFileOptions = {},
): Promise<void> {
  const { devices, verdicts = {} } = await readTuneFile(path, warn);
  const key = deviceKey(caps);
  await write(path, {
    devices: { ...devices, [key]: { ...devices[key], ...Object.fromEntries(decisions.choices) } },
    verdicts: { ...verdicts, [key]: { ...verdicts[key], ...Object.fromEntries(decisions.verdicts) } },
  });
}

/** Forgets what the file has of this device, and what is in use now. */
export async function resetTuning(
  { caps, decisions }: DecidedDevice,
  { path = tuneCachePath(), warn = silent }: TuneFileOptions = {},
): Promise<void> {
  const { devices, verdicts = {} } = await readTuneFile(path, warn);
  const others = <T>({ [deviceKey(caps)]: _, ...rest }: Record<string, T>) => rest;
  decisions.choices.clear();
  decisions.verdicts.clear();
  await write(path, { devices: others(devices), verdicts: others(verdicts) });
}

async function write(path: string, known: Omit<TuneFile, 'version'>): Promise<void> {
  const file: TuneFile = { version: VERSION, ...known };
  await writeFileAtomic(path, [new TextEncoder().encode(`${JSON.stringify(file, null, 1)}\n`)]);
}
