/**
 * Hand-held camera shake: band-limited noise added to a path. Each of six channels (three of position, three of
 * rotation) is a sum of sinusoids with random frequency below the limit and random phase, so nothing moves
 * faster than asked, the value at any time needs no history, and one seed always gives one path.
 */
import type { TimedPose } from './path.ts';
import { add, compose, fromAxisAngle, type Vec3 } from './rotation.ts';

/** How a held camera shakes. */
export interface ShakeOptions {
  readonly seed: number;
  /** Root mean square of each coordinate, metres. */
  readonly position: number;
  /** Root mean square about each camera axis, radians. */
  readonly rotation: number;
  /** Highest frequency, Hz. */
  readonly maxFrequency: number;
}

const SINUSOIDS = 12;

/** `path` with shake: position in world axes, rotation in the camera's own. */
export function shaken(path: readonly TimedPose[], options: ShakeOptions): TimedPose[] {
  const random = generator(options.seed);
  const channels = Array.from({ length: 6 }, () => channel(random, options.maxFrequency));
  const vector = (first: number, rms: number, seconds: number): Vec3 => [
    rms * channels[first](seconds),
    rms * channels[first + 1](seconds),
    rms * channels[first + 2](seconds),
  ];
  return path.map(({ seconds, position, rotation }) => ({
    seconds,
    position: add(position, vector(0, options.position, seconds)),
    rotation: compose(rotation, fromAxisAngle(vector(3, options.rotation, seconds))),
  }));
}

/** A signal of mean square 1, averaged over all time. */
function channel(random: () => number, maxFrequency: number): (seconds: number) => number {
  const waves = Array.from({ length: SINUSOIDS }, () => ({
    rate: 2 * Math.PI * maxFrequency * random(),
    phase: 2 * Math.PI * random(),
  }));
  const amplitude = Math.sqrt(2 / SINUSOIDS);
  return (seconds) =>
    waves.reduce((sum, { rate, phase }) => sum + amplitude * Math.sin(rate * seconds + phase), 0);
}

/** Uniform numbers in [0, 1) from a 32-bit seed (mulberry32 by Tommy Ettinger, public domain). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
