/**
 * Measured choices on disk: `~/.cache/dwm/tune.json`, by adapter and driver, so that tuning happens once a
 * machine. A file that cannot be read counts as empty and is written anew.
 */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Choice, DeviceCaps } from '@dwm/kernels-wgsl';
import { choicesOf } from '../tune/choices.ts';
import { writeFileAtomic } from './files/atomic-write.ts';

/** Raised when variants change so much that old measurements mean nothing. */
const VERSION = 1;

interface TuneFile {
  readonly version: number;
  readonly devices: Record<string, Record<string, Choice>>;
}

export const tuneCachePath = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'dwm', 'tune.json');

/** Dawn's description holds the driver and its version. */
const deviceKey = ({ adapter }: DeviceCaps): string =>
  [adapter.vendor, adapter.architecture, adapter.device, adapter.description].join(' / ');

async function readTuneFile(path: string): Promise<TuneFile> {
  try {
    const file = JSON.parse(await readFile(path, 'utf8'));
    if (file.version === VERSION && typeof file.devices === 'object') return file;
  } catch {
    // Absent or damaged: measured again.
  }
  return { version: VERSION, devices: {} };
}

/** Takes over what was measured on such a device before. Programs planned from now on use it. */
export async function loadTuning(caps: DeviceCaps, path: string = tuneCachePath()): Promise<void> {
  const { devices } = await readTuneFile(path);
  const choices = choicesOf(caps);
  for (const [key, choice] of Object.entries(devices[deviceKey(caps)] ?? {})) choices.set(key, choice);
}

/** Adds this device's choices to the file, atomically. */
export async function saveTuning(caps: DeviceCaps, path: string = tuneCachePath()): Promise<void> {
  const { devices } = await readTuneFile(path);
  const key = deviceKey(caps);
  const own = { ...devices[key], ...Object.fromEntries(choicesOf(caps)) };
  const file: TuneFile = { version: VERSION, devices: { ...devices, [key]: own } };
  await writeFileAtomic(path, [new TextEncoder().encode(`${JSON.stringify(file, null, 1)}\n`)]);
}
