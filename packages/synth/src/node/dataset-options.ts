/** What a folder of clips is asked to hold, and what is told while it is made and after. */
import type { Action } from '../types.ts';
import type { Split } from './clip-files.ts';

/** Options of `writeDataset`. */
export interface DatasetOptions {
  readonly root: string;
  readonly split: Split;
  /** First seed, counted from the split's first one. */
  readonly seed: number;
  /** How many clips there are to be. */
  readonly count: number;
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  readonly fps: number;
  /** Only these; all, as the simulation mixes them, by default. */
  readonly actions?: readonly Action[];
  /** What rooms are made for, where that is not what the hands do: folders of the same rooms and seeds match. */
  readonly rooms?: readonly Action[];
  /** Actions of a clip, one after the other; one by default. */
  readonly acts?: number;
  /** Share of clips with a fixed camera; the simulation's own by default. */
  readonly fixedCamera?: number;
  /** Folder of .glb files that may stand in the rooms beside our own things. */
  readonly parts?: string;
  /** Takes a line for each thing of a part that is not drawn; the console by default. */
  readonly warn?: (line: string) => void;
  /** Processes; one a core by default. */
  readonly workers?: number;
  /** Deals seeds out, a seed at a time, to runs on several machines that share the folder. */
  readonly each?: EachSeed;
  readonly signal?: AbortSignal;
  readonly onAdapter?: (adapter: string) => void;
  readonly onClip?: (progress: DatasetProgress) => void;
}

/**
 * Makes every seed of a list, here or elsewhere, and returns when all are made.
 * @param concurrency seeds at a time.
 */
export type EachSeed = (
  seeds: readonly number[],
  make: (seed: number) => Promise<void>,
  concurrency: number,
) => Promise<void>;

/** How far a dataset is. */
export interface DatasetProgress {
  /** Clips there are, of `count`; `kept` were there before. */
  readonly clips: number;
  readonly kept: number;
  readonly count: number;
  readonly seconds: number;
  readonly rejected: number;
}

/** What was written. */
export interface DatasetReport {
  readonly list: string;
  readonly clips: number;
  readonly kept: number;
  /** Of all seeds tried now and before. */
  readonly rejected: number;
  readonly rejectionRate: number;
  readonly reasons: Readonly<Record<string, number>>;
  readonly actions: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly clipsPerSecond: number;
  /** Lowest PSNR of written videos that were measured, dB. */
  readonly codecPsnr?: number;
  /** Seeds of the clips, ascending. */
  readonly seeds: readonly number[];
}
