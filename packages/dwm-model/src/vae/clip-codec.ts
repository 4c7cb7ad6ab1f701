/**
 * A video VAE as its users see it, whichever network it is: clips to the posterior of their latents and back, in tiles of
 * the picture if asked to. Each tile's result is that of the network for that tile alone.
 */
import {
  type Device,
  DeviceTensor,
  evaluate,
  InvalidArgumentError,
  parameter,
  slice,
} from '@dwm/core-tensor';
import type { Parameters } from '../weights/parameters.ts';
import { type Box, type Clip, type ClipShape, clipSize, copyBox, emptyClip } from './clip.ts';
import type { ClipNetwork } from './clip-network.ts';
import { type LatentSize, latentSizeOf } from './config.ts';
import type { Posterior } from './posterior.ts';
import {
  assemble,
  evenTile,
  type TileAxis,
  type TileSize,
  type Tiling,
  type TilingBase,
  tileAxis,
  tileSizes,
  wholeAxis,
} from './tiling.ts';

export interface VaeOptions {
  /**
   * `true` takes the tile size of the config, or one near it that adds up to the picture. Without it the picture is
   * processed whole. Sizes that are given are used as they are, even where the original's result then has another size.
   */
  readonly tiling?: boolean | Tiling;
}

export interface VaeEstimateOptions extends VaeOptions {
  /** Plan the largest tile alone, and take the work of the others by their area. */
  readonly roughly?: boolean;
}

export interface VaeRunOptions extends VaeOptions {
  readonly signal?: AbortSignal;
  /** Is told how tiles that do not fit evenly change the result; `console.warn` where left out. */
  readonly onWarning?: (line: string) => void;
  /** Called with the finished share of the work, 0 to 1. */
  readonly onProgress?: (done: number) => void;
}

export interface VaeEstimate {
  readonly flops: number;
  /** Most device memory at a time, weights and the input aside. */
  readonly bytes: number;
}

/** Sizes that a VAE works with. */
export interface CodecShape extends TilingBase {
  readonly colours: number;
  readonly latentChannels: number;
  /** Frames per latent frame. */
  readonly temporalRatio: number;
  /** What a picture's height and width must be multiples of. What a latent pixel does not cover of it is lost. */
  readonly sizeUnit: number;
  /** Latents are multiplied by it before the transformer sees them. */
  readonly scalingFactor: number;
}

/** What differs between the two ways. */
interface Direction {
  readonly network: ClipNetwork;
  /** Name of the input in messages. */
  readonly what: string;
  readonly channels: number;
  /** Height or width that comes out for one that goes in. */
  readonly resize: (size: number) => number;
  readonly from: 'sample' | 'latent';
  readonly to: 'sample' | 'latent';
}

export abstract class ClipCodec {
  readonly shape: CodecShape;
  readonly parameters: Parameters;
  readonly #device: Device;
  readonly #encoder: Direction;
  readonly #decoder: Direction;

  constructor(
    device: Device,
    shape: CodecShape,
    parameters: Parameters,
    networks: { readonly encoder: ClipNetwork; readonly decoder: ClipNetwork },
  ) {
    this.#device = device;
    this.shape = shape;
    this.parameters = parameters;
    const { ratio, colours, latentChannels } = shape;
    this.#encoder = {
      network: networks.encoder,
      what: 'video',
      channels: colours,
      resize: (size) => Math.floor(size / ratio),
      from: 'sample',
      to: 'latent',
    };
    this.#decoder = {
      network: networks.decoder,
      what: 'latents',
      channels: latentChannels,
      resize: (size) => size * ratio,
      from: 'latent',
      to: 'sample',
    };
  }

  /** The posterior that the encoder's output [batch, 2 · latent channels, ...] stands for. */
  protected abstract posterior(moments: Clip): Posterior;

  /** Of a clip whose height and width the spatial ratio divides, and whose frames are a multiple of the ratio, plus 1. */
  latentSize(size: { frames: number; height: number; width: number }): LatentSize {
    return latentSizeOf(this.shape, size);
  }

  /**
   * @param video [batch, 3, frames, height, width] in -1 to 1, height and width multiples of `sizeUnit` (with tile
   *   sizes of your own any, as in the original, which loses the rest).
   * @returns the posterior of the latents [batch, channels, latent frames, height / ratio, width / ratio].
   * @throws InvalidArgumentError for a shape or tiling that does not fit; PlanTooLargeError when the device is
   *   too small; the signal's reason when aborted.
   */
  async encode(
    video: Float32Array | DeviceTensor,
    shape: readonly number[],
    options: VaeRunOptions = {},
  ): Promise<Posterior> {
    return this.posterior(await this.#run(this.#encoder, video, shape, options));
  }

  /**
   * @param latents [batch, channels, latent frames, h, w], not multiplied by the scaling factor.
   * @returns the video [batch, 3, frames, ratio · h, ratio · w], about -1 to 1.
   * @throws as `encode`.
   */
  async decode(
    latents: Float32Array | DeviceTensor,
    shape: readonly number[],
    options: VaeRunOptions = {},
  ): Promise<Clip> {
    return this.#run(this.#decoder, latents, shape, options);
  }

  /** Work and memory of `encode` for a video of `shape`, before anything runs. Throws as `encode`. */
  estimateEncode(shape: readonly number[], options: VaeEstimateOptions = {}): VaeEstimate {
    return this.#estimate(this.#encoder, shape, options);
  }

  /** Work and memory of `decode` for latents of `shape`, before anything runs. Throws as `encode`. */
  estimateDecode(shape: readonly number[], options: VaeEstimateOptions = {}): VaeEstimate {
    return this.#estimate(this.#decoder, shape, options);
  }

  destroy(): void {
    this.parameters.destroy();
  }

  async #run(
    direction: Direction,
    values: Float32Array | DeviceTensor,
    givenShape: readonly number[],
    { tiling, signal, onWarning = (line) => console.warn(line), onProgress }: VaeRunOptions,
  ): Promise<Clip> {
    const shape = this.#checkedShape(direction, givenShape, tiling);
    const source = checkedSource(direction, values, shape);
    const { rows, columns } = this.#tiles(direction, shape, tiling);
    for (const { remark } of [rows, columns]) if (remark) onWarning(remark);
    const tileShape = (row: number, column: number): ClipShape => [
      shape[0],
      shape[1],
      shape[2],
      rows.tiles[row].size,
      columns.tiles[column].size,
    ];
    const { flops } = this.#estimate(direction, shape, { tiling });
    let finished = 0;

    const tile = async (row: number, column: number): Promise<Clip> => {
      const ownShape = tileShape(row, column);
      const own = direction.network.plan(ownShape).reduce((sum, { plan }) => sum + plan.cost.flops, 0);
      const [top, left] = [rows.tiles[row].start, columns.tiles[column].start];
      const [, , , height, width] = ownShape;
      const result = await direction.network.run(
        ownShape,
        (frame, frames) => this.#read(source, { frame, frames, top, height, left, width }),
        {
          signal,
          ...(onProgress && { onProgress: (done) => onProgress((finished + done * own) / flops) }),
        },
      );
      finished += own;
      return result;
    };
    if (rows.tiles.length * columns.tiles.length === 1) return tile(0, 0);
    return assemble(rows, columns, tile);
  }

  #estimate(
    direction: Direction,
    givenShape: readonly number[],
    { tiling, roughly = false }: VaeEstimateOptions,
  ): VaeEstimate {
    const shape = this.#checkedShape(direction, givenShape, tiling);
    const { rows, columns } = this.#tiles(direction, shape, tiling);
    const [batch, channels, frames] = shape;
    const largest = (axis: TileAxis) => Math.max(...axis.tiles.map(({ size }) => size));
    const whole = (axis: TileAxis) => axis.tiles.reduce((sum, { size }) => sum + size, 0);
    let flops = 0;
    let bytes = 0;
    if (roughly) {
      const [height, width] = [largest(rows), largest(columns)];
      for (const planned of direction.network.plan([batch, channels, frames, height, width])) {
        flops += (planned.plan.cost.flops * whole(rows) * whole(columns)) / (height * width);
        bytes = Math.max(bytes, planned.bytes);
      }
      return { flops, bytes };
    }
    for (const { size: height } of rows.tiles) {
      for (const { size: width } of columns.tiles) {
        for (const planned of direction.network.plan([batch, channels, frames, height, width])) {
          flops += planned.plan.cost.flops;
          bytes = Math.max(bytes, planned.bytes);
        }
      }
    }
    return { flops, bytes };
  }

  /**
   * A picture no larger than a tile is not cut, in neither dimension. Where the config's own tiles do not add up to the
   * picture, as those of a small model may not, one of the size that the VAE was made for or less is not cut either,
   * and a larger one is cut into tiles that do.
   */
  #tiles(
    { from, to, resize }: Direction,
    [, , , height, width]: ClipShape,
    tiling: boolean | Tiling = false,
  ): { rows: TileAxis; columns: TileAxis } {
    const whole = { rows: wholeAxis(height, resize(height)), columns: wholeAxis(width, resize(width)) };
    const tile = tiling && tileSizes(this.shape, tiling === true ? {} : tiling);
    if (!tile || (height <= tile.height[from] && width <= tile.width[from])) return whole;
    const cut = (rows: TileSize, columns: TileSize) => ({
      rows: tileAxis('tileSampleMinHeight', height, rows, from, to, resize),
      columns: tileAxis('tileSampleMinWidth', width, columns, from, to, resize),
    });
    if (tiling !== true) return cut(tile.height, tile.width);
    try {
      const own = cut(tile.height, tile.width);
      if (own.rows.covered === whole.rows.covered && own.columns.covered === whole.columns.covered)
        return { rows: { ...own.rows, remark: undefined }, columns: { ...own.columns, remark: undefined } };
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
    }
    const { ratio, sampleHeight, sampleWidth } = this.shape;
    const unit = from === 'latent' ? ratio : 1;
    const isSmall = height * unit <= sampleHeight && width * unit <= sampleWidth;
    return isSmall ? whole : cut(evenTile(tile.height, ratio), evenTile(tile.width, ratio));
  }

  #checkedShape(
    { what, channels, from }: Direction,
    shape: readonly number[],
    tiling: boolean | Tiling = false,
  ): ClipShape {
    if (shape.length !== 5 || shape.some((size) => !Number.isInteger(size) || size < 1)) {
      throw new InvalidArgumentError(
        what,
        `expected a shape [batch, channels, frames, height, width], got [${shape}]`,
        { shape },
      );
    }
    if (shape[1] !== channels) {
      throw new InvalidArgumentError(what, `expected ${channels} channels, got ${shape[1]} of [${shape}]`, {
        shape,
        expected: channels,
      });
    }
    const multiple = from === 'sample' && typeof tiling === 'boolean' ? this.shape.sizeUnit : 1;
    if (shape[3] % multiple !== 0 || shape[4] % multiple !== 0) {
      throw new InvalidArgumentError(
        what,
        `height and width must be multiples of ${multiple}, got ${shape[3]} x ${shape[4]}; crop or resize first`,
        { shape, multiple },
      );
    }
    return shape as unknown as ClipShape;
  }

  /** One box of the source, on its own. */
  async #read(source: Clip | DeviceTensor, box: Box): Promise<Float32Array | DeviceTensor> {
    const { frame, frames, top, height, left, width } = box;
    if (source instanceof DeviceTensor) {
      const strip = slice(slice(parameter(source), 2, frame, frames), 3, top, height);
      return (await evaluate(this.#device, { box: slice(strip, 4, left, width) })).box;
    }
    const [batch, channels] = source.shape;
    const part = emptyClip([batch, channels, frames, height, width]);
    copyBox(source, box, part, { frame: 0, top: 0, left: 0 });
    return part.data;
  }
}

function checkedSource(
  { what }: Direction,
  values: Float32Array | DeviceTensor,
  shape: ClipShape,
): Clip | DeviceTensor {
  if (values instanceof DeviceTensor) {
    if (values.dtype === 'f32' && values.shape.join() === shape.join()) return values;
    throw new InvalidArgumentError(
      what,
      `expected f32 [${shape}], got a tensor of ${values.dtype} [${values.shape}]`,
    );
  }
  if (values.length !== clipSize(shape)) {
    throw new InvalidArgumentError(
      what,
      `expected ${clipSize(shape)} values for [${shape}], got ${values.length}`,
    );
  }
  return { shape, data: values };
}
