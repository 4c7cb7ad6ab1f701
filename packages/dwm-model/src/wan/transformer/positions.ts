/** Wan's tables of positions and of the timestep, their angles in float64 on the host. */
import type { Riflex } from '../../families/family.ts';
import type { TokenGrid } from '../../transformer/positions.ts';
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
  const cos = new Float32Array(frames * rows * columns * headDim);
  const sin = new Float32Array(cos.length);
  /** Every angle of a position twice, as cosines and as sines. */
  const turns = (positions: readonly number[], all: readonly number[]) =>
    positions.map((position) => {
      const twice = all.flatMap((frequency) => [position * frequency, position * frequency]);
      return { cos: Float32Array.from(twice, Math.cos), sin: Float32Array.from(twice, Math.sin) };
    });
  const whole = (count: number) => Array.from({ length: count }, (_, i) => i);
  const moments = turns(
    whole(frames).map((f) => (f * 16) / fps),
    ofFrame,
  );
  const [ofRows, ofColumns] = [turns(whole(rows), ofPlace), turns(whole(columns), ofPlace)];
  let at = 0;
  for (let f = 0; f < frames; f++) {
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        for (const turn of [moments[f], ofRows[r], ofColumns[c]]) {
          cos.set(turn.cos, at);
          sin.set(turn.sin, at);
          at += turn.cos.length;
        }
      }
    }
  }
  return { cos, sin };
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
