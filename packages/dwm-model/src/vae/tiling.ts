/**
 * Tiling: parts of the picture go through the network one by one, and the overlaps of their results are
 * blended. A tile is blended in place, first with the one above, then with the one to the left, and it is the
 * blended tile that its own neighbours blend with; this order is part of the result.
 */
import {
  add,
  concat,
  constant,
  type Device,
  type DeviceTensor,
  evaluate,
  InvalidArgumentError,
  mul,
  parameter,
  slice,
  type Tensor,
} from '@dwm/core-tensor';

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

/** `tile` with its beginning along dimension `dim` faded in over the end of `before`. */
export function blend(before: Tensor, tile: Tensor, dim: number, most: number): Tensor {
  const [ends, begins] = [before.shape[dim], tile.shape[dim]];
  const extent = Math.min(ends, begins, most);
  if (extent === 0) return tile;
  const shape = tile.shape.map((_, d) => (d === dim ? extent : 1));
  const weights = (of: (share: number) => number) =>
    constant(
      Float32Array.from({ length: extent }, (_, i) => of(i / extent)),
      shape,
    );
  const faded = add(
    mul(
      slice(before, dim, ends - extent, extent),
      weights((share) => 1 - share),
    ),
    mul(
      slice(tile, dim, 0, extent),
      weights((share) => share),
    ),
  );
  return extent === begins ? faded : concat([faded, slice(tile, dim, extent, begins - extent)], dim);
}

/** Dimensions of a picture's rows and columns in a tensor. */
export interface PictureDims {
  readonly rows: number;
  readonly columns: number;
}

/**
 * Most bytes that `assemble` has on the device at a time.
 * @param resize size of the output for a size of the input.
 * @param bytesOf of so many rows and columns of the output.
 * @param making a tile of so many rows and columns of the input, what comes out included.
 */
export function assemblyBytes(
  rows: TileAxis,
  columns: TileAxis,
  resize: (size: number) => number,
  bytesOf: (rows: number, columns: number) => number,
  making: (rows: number, columns: number) => number,
): number {
  let [most, strips, above] = [0, 0, 0];
  for (const { size: height } of rows.tiles) {
    let current = 0;
    for (const { size: width } of columns.tiles) {
      const tile = bytesOf(resize(height), resize(width));
      const beside = strips + above + current;
      most = Math.max(most, beside + making(height, width), beside + 2 * tile);
      current += tile;
    }
    const strip = bytesOf(Math.min(rows.used, resize(height)), columns.covered);
    most = Math.max(most, strips + above + current + strip);
    strips += strip;
    above = current;
  }
  return Math.max(most, 2 * strips);
}

/**
 * Makes the tiles of a picture row by row with `make`, blends them, and puts them together, on the device. Two rows of
 * tiles and what is whole already are there at most, and in the end the result twice.
 */
export async function assemble(
  device: Device,
  rows: TileAxis,
  columns: TileAxis,
  dims: PictureDims,
  make: (row: number, column: number) => Promise<DeviceTensor>,
): Promise<DeviceTensor> {
  const strips: DeviceTensor[] = [];
  let above: DeviceTensor[] = [];
  let current: DeviceTensor[] = [];
  const free = (tensors: readonly DeviceTensor[]) => {
    for (const tensor of tensors) tensor.destroy();
  };
  const joined = async (parts: readonly Tensor[], dim: number) =>
    (await evaluate(device, { joined: parts.length === 1 ? add(parts[0], 0) : concat(parts, dim) })).joined;
  try {
    for (let row = 0; row < rows.tiles.length; row++) {
      for (let column = 0; column < columns.tiles.length; column++) {
        const tile = await make(row, column);
        let blended = parameter(tile);
        if (row > 0) blended = blend(parameter(above[column]), blended, dims.rows, rows.blend);
        if (column > 0) blended = blend(parameter(current[column - 1]), blended, dims.columns, columns.blend);
        if (row + column === 0) current.push(tile);
        else {
          try {
            current.push((await evaluate(device, { blended })).blended);
          } finally {
            tile.destroy();
          }
        }
      }
      const used = current.map((tile) => {
        const { shape } = tile;
        const lines = slice(parameter(tile), dims.rows, 0, Math.min(rows.used, shape[dims.rows]));
        return slice(lines, dims.columns, 0, Math.min(columns.used, shape[dims.columns]));
      });
      strips.push(await joined(used, dims.columns));
      free(above);
      above = current;
      current = [];
    }
    free(above);
    above = [];
    return await joined(strips.map(parameter), dims.rows);
  } finally {
    free([...above, ...current, ...strips]);
  }
}
