/** What a run and a room may be given, by a field, a link or a model's own file: checked before anything is made of it. */
import type { Settings } from '../worker/protocol.ts';

interface Limits {
  readonly label: string;
  readonly min: number;
  readonly max: number;
  /** Values are `min` and whole steps from there; any number where it is left out. */
  readonly step?: number;
}

/** A room that does not work out gives way to one of the next. */
export const ROOM_TRIES = 20;

export const LIMITS = {
  seed: { label: 'Seed', min: 0, max: Number.MAX_SAFE_INTEGER, step: 1 },
  steps: { label: 'Steps', min: 1, max: 1000, step: 1 },
  guidance: { label: 'Guidance', min: 1, max: 20 },
  width: { label: 'Width', min: 32, max: 1440, step: 16 },
  height: { label: 'Height', min: 32, max: 1440, step: 16 },
  frames: { label: 'Frames', min: 5, max: 97, step: 4 },
  fps: { label: 'Frames a second', min: 1, max: 60 },
} as const satisfies Record<string, Limits>;

/** Rooms are told apart by 32 bits. */
export const ROOM_NUMBER: Limits = { label: 'Room number', min: 0, max: 2 ** 32 - 1 - ROOM_TRIES, step: 1 };
export const MEMORY: Limits = { label: 'Memory, GB', min: 0.001, max: 512 };
export const MOST_PROMPT = 2000;
/** Pixels of all frames: a clip of them is 120 MB. Twice what DWM's own model makes. */
const MOST_PIXELS = 40e6;

const ENDS: Readonly<Record<number, string>> = { 1: 'a whole number', 4: 'one more than a multiple of 4' };

/** @throws Error in one line that names the field, what it takes and what it got. */
export function checkNumber({ label, min, max, step }: Limits, value: unknown): number {
  const fits =
    typeof value === 'number' &&
    value >= min &&
    value <= max &&
    (step === undefined || Number.isInteger((value - min) / step));
  if (fits) return value;
  const kind = step === undefined ? 'a number' : (ENDS[step] ?? `a multiple of ${step}`);
  const got = typeof value === 'number' && !Number.isNaN(value) ? String(value) : 'no number';
  throw new Error(`${label}: expected ${kind} from ${min} to ${max}, got ${got}`);
}

const KEYS = Object.keys(LIMITS) as (keyof typeof LIMITS)[];

/** @throws Error in one line for the first setting that is out of its range. */
export function checkSettings(change: Partial<Settings>): void {
  for (const key of KEYS) if (key in change) checkNumber(LIMITS[key], change[key]);
  const { width = 1, height = 1, frames = 1, prompt = '', composite = false } = change;
  if (width * height * frames > MOST_PIXELS)
    throw new Error(
      `Width × height × frames: expected at most ${MOST_PIXELS} pixels, got ${width * height * frames}; take fewer frames or a smaller picture`,
    );
  if (typeof prompt !== 'string' || prompt.length > MOST_PROMPT)
    throw new Error(`Prompt: expected a text of at most ${MOST_PROMPT} characters`);
  if (typeof composite !== 'boolean') throw new Error('composite: expected true or false');
}
