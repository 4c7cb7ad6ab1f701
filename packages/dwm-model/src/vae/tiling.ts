/**
 * Tiling: parts of the picture go through the network one by one, and the overlaps of their results are
 * blended. A tile is blended in place, first with the one above, then with the one to the left, and it is the
 * blended tile that its own neighbours blend with; this order is part of the result.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { type Clip, copyBox, emptyClip } from './clip.ts';
import { spatialRatio, type VaeConfig } from './config.ts';

/** Sizes in pixels. */
export interface Tiling {
  /** Half of `sample_height` of the config where left out. */
  readonly tileSampleMinHeight?: number;
  /** Half of `sample_width` of the config where left out. */
  readonly tileSampleMinWidth?: number;
}

export interface TileSize {
  readonly sample: number;
  readonly latent: number;
  /** Share of a tile that overlaps the next. */
  readonly overlap: number;
}

/** One dimension of a picture that is cut into tiles, in the input's units and the output's. */
export interface TileAxis {
  /** Where each tile begins, and its size; the last ones are cut off by the border. */
  readonly tiles: readonly { readonly start: number; readonly size: number }[];
  /** Output rows (columns) that are blended with the tile before, if that many are there. */
  readonly blend: number;
  /** Output rows (columns) of a tile that are used, if that many are there. */
  readonly used: number;
}

/** Tile sizes along height and width. @throws InvalidArgumentError for a size that is not whole and positive. */
export function tileSizes(config: VaeConfig, tiling: Tiling): { height: TileSize; width: TileSize } {
  const size = (field: keyof Tiling, fallback: number, overlap: number): TileSize => {
    const sample = tiling[field] ?? Math.floor(fallback / 2);
    const latent = Math.floor(sample / spatialRatio(config));
    if (!Number.isInteger(sample) || latent < 1) {
      const least = spatialRatio(config);
      throw new InvalidArgumentError(field, `expected a whole number of at least ${least}, got ${sample}`);
    }
    return { sample, latent, overlap };
  };
  return {
    height: size('tileSampleMinHeight', config.sample_height, 1 / 6),
    width: size('tileSampleMinWidth', config.sample_width, 1 / 5),
  };
}

/** The next larger tile that overlaps by whole latents, so that tiles add up to any picture. */
export function evenTile({ latent, overlap }: TileSize, config: VaeConfig): TileSize {
  const parts = Math.round(1 / overlap);
  const even = Math.ceil(latent / parts) * parts;
  return { sample: even * spatialRatio(config), latent: even, overlap };
}

/**
 * The tiles along one dimension of `length`, in the input's units.
 * @param resize size of the output for a size of the input.
 * @throws InvalidArgumentError when the parts used would not add up to the picture.
 */
export function tileAxis(
  field: keyof Tiling,
  length: number,
  size: TileSize,
  from: 'sample' | 'latent',
  to: 'sample' | 'latent',
  resize: (size: number) => number,
): TileAxis {
  const step = Math.trunc(size[from] * (1 - size.overlap));
  const blend = Math.trunc(size[to] * size.overlap);
  const used = size[to] - blend;
  const tiles = [];
  let covered = 0;
  for (let start = 0; step > 0 && start < length; start += step) {
    const tile = { start, size: Math.min(size[from], length - start) };
    tiles.push(tile);
    covered += Math.min(used, resize(tile.size));
  }
  if (covered !== resize(length) || tiles.some((tile) => resize(tile.size) < 1)) {
    throw new InvalidArgumentError(
      field,
      `tiles of ${size.sample} add up to ${covered} instead of ${resize(length)}, since they overlap by parts of a latent; use a multiple of ${field === 'tileSampleMinHeight' ? 48 : 40}`,
      { actual: size.sample },
    );
  }
  return { tiles, blend, used };
}

/** A dimension that is not cut. */
export const wholeAxis = (length: number, resized: number): TileAxis => ({
  tiles: [{ start: 0, size: length }],
  blend: 0,
  used: resized,
});

/** Fades from the end of `before` into the beginning of `tile`, in place. */
export function blend(before: Clip, tile: Clip, dimension: 'rows' | 'columns', most: number): void {
  const along = dimension === 'rows' ? 3 : 4;
  const extent = Math.min(before.shape[along], tile.shape[along], most);
  const [batch, channels, frames, height, width] = tile.shape;
  const [rows, columns] = dimension === 'rows' ? [extent, width] : [height, extent];
  const [, , , beforeHeight, beforeWidth] = before.shape;
  const [down, right] = dimension === 'rows' ? [beforeHeight - extent, 0] : [0, beforeWidth - extent];
  for (let plane = 0; plane < batch * channels * frames; plane++) {
    for (let y = 0; y < rows; y++) {
      const read = (plane * beforeHeight + down + y) * beforeWidth + right;
      const write = (plane * height + y) * width;
      for (let x = 0; x < columns; x++) {
        const weight = (dimension === 'rows' ? y : x) / extent;
        tile.data[write + x] = before.data[read + x] * (1 - weight) + tile.data[write + x] * weight;
      }
    }
  }
}

/**
 * Puts a picture of `height` and `width` together from tiles. Makes the tiles row by row with `make`, blends them, and puts them together. Two rows of tiles are in memory
 * at most.
 */
export async function assemble(
  rows: TileAxis,
  columns: TileAxis,
  height: number,
  width: number,
  make: (row: number, column: number) => Promise<Clip>,
): Promise<Clip> {
  let whole: Clip | undefined;
  let above: Clip[] = [];
  let top = 0;
  for (let row = 0; row < rows.tiles.length; row++) {
    const current: Clip[] = [];
    let left = 0;
    for (let column = 0; column < columns.tiles.length; column++) {
      const tile = await make(row, column);
      if (row > 0) blend(above[column], tile, 'rows', rows.blend);
      if (column > 0) blend(current[column - 1], tile, 'columns', columns.blend);
      const [batch, channels, frames, tileHeight, tileWidth] = tile.shape;
      const used = {
        ...{ frame: 0, frames, top: 0, left: 0 },
        height: Math.min(rows.used, tileHeight),
        width: Math.min(columns.used, tileWidth),
      };
      whole ??= emptyClip([batch, channels, frames, height, width]);
      copyBox(tile, used, whole, { frame: 0, top, left });
      left += used.width;
      current.push(tile);
    }
    top += Math.min(rows.used, current[0].shape[3]);
    above = current;
  }
  return whole!;
}
