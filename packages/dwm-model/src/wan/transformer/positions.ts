/** Wan's tables of positions and of the timestep, their angles in float64 on the host. */
import type { Riflex } from '../../families/family.ts';
import { type TokenGrid, turnTables, whole } from '../../transformer/grid.ts';
import type { WanConfig } from './config.ts';

const THETA = 10000;

/**
 * cos and sin tables [tokens, head dim] for tokens in the order frame, row, column; each angle twice in a row. Of the
 * pairs of a head, two sixths each turn with row and column, and the rest with the frame.
 */
export function wanRotaryTables(
  { headDim, fps }: Pick<WanConfig, 'headDim' | 'fps'>,
  { frames, rows, columns }: TokenGrid,
  riflex?: Riflex,
): { cos: Float32Array; sin: Float32Array } {
  const space = 2 * Math.floor(headDim / 6);
  const time = headDim - 2 * space;
  const frequencies = (dim: number) => Array.from({ length: dim / 2 }, (_, i) => THETA ** ((-2 * i) / dim));
  const [ofFrame, ofPlace] = [frequencies(time), frequencies(space)];
  if (riflex) ofFrame[riflex.k - 1] = (0.9 * 2 * Math.PI) / riflex.frames;
  const angles = (position: number, all: readonly number[]) => all.map((frequency) => position * frequency);
  return turnTables({
    frames: whole(frames).map((frame) => angles((frame * 16) / fps, ofFrame)),
    rows: whole(rows).map((row) => angles(row, ofPlace)),
    columns: whole(columns).map((column) => angles(column, ofPlace)),
  });
}

/** cos, then sin, of the timesteps' angles: [timesteps, freqDim]. Timesteps are floats from 0 to 1000. */
export function wanTimeTable(timesteps: readonly number[], freqDim: number): Float32Array {
  const half = freqDim / 2;
  const table = new Float32Array(timesteps.length * freqDim);
  for (const [row, t] of timesteps.entries()) {
    for (let i = 0; i < half; i++) {
      const angle = t * THETA ** (-i / half);
      table[row * freqDim + i] = Math.cos(angle);
      table[row * freqDim + half + i] = Math.sin(angle);
    }
  }
  return table;
}
