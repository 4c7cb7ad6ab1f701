/**
 * Tiling: parts of the picture go through the network one by one, and the overlaps of their results are
 * blended. A tile is blended in place, first with the one above, then with the one to the left, and it is the
 * blended tile that its own neighbours blend with; this order is part of the result.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { type Clip, copyBox, emptyClip } from './clip.ts';

/** What tiles are measured by, in pixels. */
export interface TilingBase {
  /** Pixels per latent pixel, along height and width. */
  readonly ratio: number;
  /** Picture that the network was made for; a tile is half of it unless it is said. */
  readonly sampleHeight: number;
  readonly sampleWidth: number;
}

/** Sizes in pixels. */
export interface Tiling {
  /** Half of `sample_height` of the config where left out. */
  readonly tileSampleMinHeight?: number;
  /** Half of `sample_width` of the config where left out. */
  readonly tileSampleMinWidth?: number;
  /** Share of a tile's height that the next one covers too; 1/6 where left out. */
  readonly tileOverlapFactorHeight?: number;
  /** The same of its width; 1/5 where left out. */
  readonly tileOverlapFactorWidth?: number;
}

type SizeField = 'tileSampleMinHeight' | 'tileSampleMinWidth';
type OverlapField = 'tileOverlapFactorHeight' | 'tileOverlapFactorWidth';

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
  /** Output rows (columns) of them all. */
  readonly covered: number;
  /** What is odd about them, and what is to be done: they do not add up to the picture, or shift its parts. */
  readonly remark?: string | undefined;
}

/**
 * Tile sizes along height and width.
 * @throws InvalidArgumentError for a size that is not whole and positive, or an overlap outside [0, 1).
 */
export function tileSizes(
  { ratio, sampleHeight, sampleWidth }: TilingBase,
  tiling: Tiling,
): { height: TileSize; width: TileSize } {
  const size = (
    field: SizeField,
    fallback: number,
    overlapField: OverlapField,
    usualOverlap: number,
  ): TileSize => {
    const overlap = tiling[overlapField] ?? usualOverlap;
    if (!(overlap >= 0 && overlap < 1)) {
      throw new InvalidArgumentError(overlapField, `expected a share from 0 to below 1, got ${overlap}`);
    }
    const sample = tiling[field] ?? Math.floor(fallback / 2);
    const latent = Math.floor(sample / ratio);
    if (!Number.isInteger(sample) || latent < 1) {
      throw new InvalidArgumentError(field, `expected a whole number of at least ${ratio}, got ${sample}`);
    }
    return { sample, latent, overlap };
  };
  return {
    height: size('tileSampleMinHeight', sampleHeight, 'tileOverlapFactorHeight', 1 / 6),
    width: size('tileSampleMinWidth', sampleWidth, 'tileOverlapFactorWidth', 1 / 5),
  };
}

/** The next larger tile that overlaps by whole latents, so that tiles add up to any picture. */
export function evenTile({ latent, overlap }: TileSize, ratio: number): TileSize {
  const parts = Math.round(1 / overlap);
  const even = Math.ceil(latent / parts) * parts;
  return { sample: even * ratio, latent: even, overlap };
}

/**
 * The tiles along one dimension of `length`, in the input's units. As in the original, where a tile begins and how
 * much of it is used are each rounded down on their own, so tiles of odd sizes need not add up to the picture.
 * @param resize size of the output for a size of the input.
 * @throws InvalidArgumentError where a tile has no step, or nothing comes out of one.
 */
export function tileAxis(
  field: SizeField,
  length: number,
  size: TileSize,
  from: 'sample' | 'latent',
  to: 'sample' | 'latent',
  resize: (size: number) => number,
): TileAxis {
  const [lines, unit] = field === 'tileSampleMinHeight' ? ['rows', 48] : ['columns', 40];
  const wanted = resize(length);
  const step = Math.trunc(size[from] * (1 - size.overlap));
  const blend = Math.trunc(size[to] * size.overlap);
  const used = size[to] - blend;
  const tiles: { start: number; size: number }[] = [];
  for (let start = 0; step > 0 && start < length; start += step)
    tiles.push({ start, size: Math.min(size[from], length - start) });
  const last = tiles.at(-1);
  if (!last || resize(last.size) < 1) {
    throw new InvalidArgumentError(
      field,
      `tiles of ${size.sample} leave ${last?.size ?? 0} ${lines} for the last one, too few for the network; use a multiple of ${unit}`,
      { actual: size.sample },
    );
  }
  const covered = tiles.reduce((sum, tile) => sum + Math.min(used, resize(tile.size)), 0);
  // Later tiles lie where they belong if what is used of one is what the next steps over.
  const shift = tiles.length > 1 && step * resize(size[from]) !== used * size[from];
  const oddly =
    covered !== wanted
      ? `the result has ${covered} ${lines} instead of ${wanted}`
      : shift
        ? `the result has ${wanted} ${lines}, but those after the first tile are out of place`
        : undefined;
  const remark =
    oddly &&
    `${field}: tiles of ${size.sample} overlap by parts of a latent: ${oddly}, as in the original; use a multiple of ${unit} to keep the picture as it is`;
  return { tiles, blend, used, covered, ...(remark && { remark }) };
}

/** A dimension that is not cut. */
export const wholeAxis = (length: number, resized: number): TileAxis => ({
  tiles: [{ start: 0, size: length }],
  blend: 0,
  used: resized,
  covered: resized,
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
 * Makes the tiles of a picture row by row with `make`, blends them, and puts them together. Two rows of tiles are in
 * memory at most.
 */
export async function assemble(
  rows: TileAxis,
  columns: TileAxis,
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
      whole ??= emptyClip([batch, channels, frames, rows.covered, columns.covered]);
      copyBox(tile, used, whole, { frame: 0, top, left });
      left += used.width;
      current.push(tile);
    }
    top += Math.min(rows.used, current[0].shape[3]);
    above = current;
  }
  return whole!;
}
