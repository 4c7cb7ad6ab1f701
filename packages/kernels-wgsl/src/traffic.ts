/**
 * Bytes between memory and the caches, counted on paper. Workgroups that run together walk in step, so that what one
 * of them has loaded the others find in a cache; those that come later load it again.
 */
import { bytesOf, type DType } from './dtype.ts';
import type { Window } from './pointwise/access.ts';

/** Workgroups that are taken to run together, one a core: large GPUs run several times as many. */
export const TOGETHER = 64;

/** A product as a grid of tiles. */
interface TiledProduct {
  /** Tiles of the result, down and across. */
  readonly tiles: readonly [down: number, across: number];
  /** Bytes of all rows of the left operand, and of all columns of the right one. */
  readonly bytes: readonly [left: number, right: number];
  /** Tiles go down a band of so many before they go on to the next column; 1 is row by row. */
  readonly band: number;
}

/** Bytes of both operands that are loaded: the left one again for each run of columns, the right one of rows. */
export function loadedBytes({ tiles: [down, across], bytes: [left, right], band }: TiledProduct): number {
  const high = Math.min(band, down);
  const wide = Math.max(1, Math.min(across, Math.floor(TOGETHER / high)));
  const bands = Math.max(1, Math.floor(TOGETHER / (high * wide)));
  return left * Math.ceil(across / wide) + right * Math.ceil(down / (high * bands));
}

/** Bytes of `count` results, and of what is fused into them. */
export const resultBytes = (count: number, dtype: DType, fused: readonly Window[]): number =>
  fused.reduce((sum, { byteLength }) => sum + byteLength, count * bytesOf(dtype));
