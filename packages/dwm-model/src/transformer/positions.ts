/**
 * Position tables of the CogVideoX transformer, in float64 on the host: rotary (5B, 1.5), sin-cos (2B), and
 * the sinusoid of the timestep. Tokens are ordered frame, row, column.
 */
import { roundHalfEven } from '../schedulers/index.ts';
import type { TransformerConfig } from './config.ts';
import { gridTable, type TokenGrid, turnTables, whole } from './grid.ts';

/** Grid of patches of latents [frames, height, width]. */
export function tokenGrid(
  config: TransformerConfig,
  frames: number,
  height: number,
  width: number,
): TokenGrid {
  const { patch_size: p, patch_size_t: pt } = config;
  return { frames: Math.ceil(frames / (pt ?? 1)), rows: height / p, columns: width / p };
}

const THETA = 10000;

/** Angles position · theta^(-2i/dim) for i < dim/2. */
function angles(position: number, dim: number): number[] {
  return Array.from({ length: dim / 2 }, (_, i) => position / THETA ** ((2 * i) / dim));
}

/**
 * Where the model's training grid lies for a clip of another aspect: the clip is fitted into the base grid
 * and centred (Python's rounding, half to even).
 */
function cropRegion(rows: number, columns: number, baseRows: number, baseColumns: number) {
  const tall = rows / columns > baseRows / baseColumns;
  const height = tall ? baseRows : roundHalfEven((baseColumns / columns) * rows);
  const width = tall ? roundHalfEven((baseRows / rows) * columns) : baseColumns;
  const top = roundHalfEven((baseRows - height) / 2);
  const left = roundHalfEven((baseColumns - width) / 2);
  return { top, left, bottom: top + height, right: left + width };
}

/** n positions from start to stop·(n-1)/n, as `linspace` makes them. */
function positions(start: number, stop: number, n: number): number[] {
  const end = (stop * (n - 1)) / n;
  return Array.from({ length: n }, (_, i) => (n === 1 ? start : start + ((end - start) * i) / (n - 1)));
}

interface RotaryTables {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

let last: { readonly key: string; readonly tables: RotaryTables } | undefined;

/**
 * cos and sin tables [tokens, head dim], to be left as they are: the last ones are kept, as plans ask often.
 * @param first frame of patches that the grid begins with.
 */
export function rotaryTables(config: TransformerConfig, grid: TokenGrid, first = 0): RotaryTables {
  const { attention_head_dim: dim, patch_size, patch_size_t, sample_height, sample_width } = config;
  const key = JSON.stringify([dim, patch_size, patch_size_t, sample_height, sample_width, grid, first]);
  if (last?.key !== key) last = { key, tables: makeRotaryTables(config, grid, first) };
  return last.tables;
}

function makeRotaryTables(config: TransformerConfig, grid: TokenGrid, first: number): RotaryTables {
  const { attention_head_dim: dim, patch_size: p } = config;
  const { frames, rows, columns } = grid;
  let y = whole(rows);
  let x = whole(columns);
  if (config.patch_size_t === null) {
    const baseRows = Math.floor(config.sample_height / p);
    const baseColumns = Math.floor(config.sample_width / p);
    const crop = cropRegion(rows, columns, baseRows, baseColumns);
    y = positions(crop.top, crop.bottom, rows);
    x = positions(crop.left, crop.right, columns);
  }
  const dimT = Math.floor(dim / 4);
  const dimS = Math.floor(dim / 8) * 3;
  return turnTables({
    frames: whole(frames).map((t) => angles(first + t, dimT)),
    rows: y.map((position) => angles(position, dimS)),
    columns: x.map((position) => angles(position, dimS)),
  });
}

/**
 * sin of all angles, then cos of all: a quarter of the width for time, three eighths each for x and y.
 * @param first frame of patches that the grid begins with.
 */
export function sincosTable(config: TransformerConfig, grid: TokenGrid, first = 0): Float32Array {
  const { innerDim, spatial_interpolation_scale: space, temporal_interpolation_scale: time } = config;
  const dimT = innerDim / 4;
  const dimS = (3 * innerDim) / 8;
  const axis = (count: number, scale: number, dim: number, start = 0) =>
    whole(count).map((place) => {
      const own = angles((start + place) / scale, dim);
      return Float32Array.of(...own.map(Math.sin), ...own.map(Math.cos));
    });
  return gridTable(
    {
      frames: axis(grid.frames, time, dimT, first),
      rows: axis(grid.rows, space, dimS),
      columns: axis(grid.columns, space, dimS),
    },
    ['frames', 'columns', 'rows'],
  );
}

/** Sinusoidal embedding [timesteps, dim] of timesteps (or of the `ofs` value), as diffusers' `Timesteps`. */
export function timestepTable(
  timesteps: readonly number[],
  dim: number,
  { flip_sin_to_cos: flip, freq_shift: shift }: Pick<TransformerConfig, 'flip_sin_to_cos' | 'freq_shift'>,
): Float32Array {
  const half = Math.floor(dim / 2);
  const table = new Float32Array(timesteps.length * dim);
  for (const [row, t] of timesteps.entries()) {
    for (let i = 0; i < half; i++) {
      // Every step of this is float32 in the original, and at t = 999 its rounding shows.
      const exponent = Math.fround(Math.fround(Math.fround(-Math.log(THETA)) * i) / (half - shift));
      const angle = Math.fround(t * Math.fround(Math.exp(exponent)));
      table[row * dim + i] = flip ? Math.cos(angle) : Math.sin(angle);
      table[row * dim + half + i] = flip ? Math.sin(angle) : Math.cos(angle);
    }
  }
  return table;
}
