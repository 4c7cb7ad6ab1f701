/**
 * Where a clip's files lie: the data layout of the original, a folder for every thousand seeds, and beside its four
 * folders the trajectory (cameras and hands) and the state log. The state log is written last, so a clip that has
 * one is whole.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FIRST_TEST_SEED } from '../types.ts';

/** The parts of a data set. */
export const SPLITS = ['train', 'test'] as const;
/** A part of a data set. */
export type Split = (typeof SPLITS)[number];

/** The part that a seed's clip belongs to. */
export const splitOf = (seed: number): Split => (seed < FIRST_TEST_SEED ? 'train' : 'test');
/** The first seed of a part. */
export const firstSeed = (split: Split): number => (split === 'train' ? 0 : FIRST_TEST_SEED);

interface ClipPaths {
  readonly video: string;
  readonly static: string;
  readonly hands: string;
  readonly prompt: string;
  readonly trajectory: string;
  readonly state: string;
}

/** File name of a seed's clip, without its extension. */
export const stemOf = (seed: number): string => String(seed).padStart(7, '0');

/** Folder of a seed's clip: a thousand clips each. */
export function sampleOf(seed: number): string {
  const split = splitOf(seed);
  return `${split}-${String(Math.floor((seed - firstSeed(split)) / 1000)).padStart(3, '0')}`;
}

/** A line of the dataset's list. */
export const listLine = (seed: number): string => `${sampleOf(seed)}/videos/${stemOf(seed)}.mp4`;

/** Paths of all files of a seed's clip. */
export function clipPaths(root: string, seed: number): ClipPaths {
  const sample = join(root, sampleOf(seed));
  const file = (folder: string, extension: string) => join(sample, folder, `${stemOf(seed)}.${extension}`);
  return {
    video: file('videos', 'mp4'),
    static: file('videos_static', 'mp4'),
    hands: file('videos_hands', 'mp4'),
    prompt: file('prompts_rewrite', 'txt'),
    trajectory: file('trajectories', 'json'),
    state: file('states', 'json'),
  };
}

/** Why a seed gave no clip; kept, so that going on does not try it again. */
export const rejectionPath = (root: string, seed: number): string =>
  join(root, 'rejected', `${stemOf(seed)}.json`);

/** Whether a seed has its clip, or the reason why it has none. */
export const seedIsDone = (root: string, seed: number): boolean =>
  existsSync(clipPaths(root, seed).state) || existsSync(rejectionPath(root, seed));
