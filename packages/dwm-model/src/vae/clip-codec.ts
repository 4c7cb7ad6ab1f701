/**
 * A video VAE, whichever network it is: clips to the posterior of their latents and back, in tiles of the picture if
 * asked to, on the device from end to end. Each tile's result is that of the network for that tile alone.
 */
import {
  type Device,
  DeviceTensor,
  elementCount,
  evaluate,
  InvalidArgumentError,
  input,
  type Plan,
  parameter,
  planProgram,
  slice,
  spec,
  type Tensor,
} from '@dwm/core-tensor';
import type { DeviceVideo, VideoSize } from '../video/video.ts';
import type { Parameters } from '../weights/parameters.ts';
import { type ClipNetwork, outShapeOf } from './clip-network.ts';
import { StretchPrograms } from './clip-stream.ts';
import { type LatentSize, latentSizeOf } from './config.ts';
import type { Posterior } from './posterior.ts';
import {
  assemble,
  assemblyBytes,
  evenTile,
  type PictureDims,
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

interface VaeEstimateOptions extends VaeOptions {
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

/** Work and memory of a VAE's call. */
export interface VaeEstimate {
  readonly flops: number;
  /** Most device memory at a time, the result included, weights and the input aside. */
  readonly bytes: number;
  /** Of its stretches, each tile's. */
  readonly plans: readonly Plan[];
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

/** Dimensions of a clip's tensor: [1, frames, rows, columns, colours] or [1, frames, channels, rows, columns]. */
const VIDEO = { rows: 2, columns: 3, channels: 4, order: '[1, frames, height, width, colours]' };
const LATENTS = { rows: 3, columns: 4, channels: 2, order: '[1, latent frames, channels, height, width]' };
type Layout = PictureDims & { readonly channels: number; readonly order: string };

/** A box of a clip: some frames, rows and columns. */
interface Box {
  readonly frame: number;
  readonly frames: number;
  readonly top: number;
  readonly height: number;
  readonly left: number;
  readonly width: number;
}

const FIRST_PIXEL: Box = { frame: 0, frames: 1, top: 0, height: 1, left: 0, width: 1 };

/** What differs between the two ways. */
interface Direction {
  readonly network: ClipNetwork;
  /** Name of the input in messages. */
  readonly what: string;
  readonly channels: number;
  readonly given: Layout;
  readonly made: Layout;
  /** Height or width that comes out for one that goes in. */
  readonly resize: (size: number) => number;
  readonly from: 'sample' | 'latent';
  readonly to: 'sample' | 'latent';
}

/** A video VAE; see the file's head. */
export abstract class ClipCodec {
  readonly device: Device;
  readonly shape: CodecShape;
  readonly parameters: Parameters;
  readonly #encoder: Direction;
  readonly #decoder: Direction;

  constructor(
    device: Device,
    shape: CodecShape,
    parameters: Parameters,
    networks: { readonly encoder: ClipNetwork; readonly decoder: ClipNetwork },
  ) {
    this.device = device;
    this.shape = shape;
    this.parameters = parameters;
    const { ratio, colours, latentChannels } = shape;
    this.#encoder = {
      network: networks.encoder,
      what: 'video',
      channels: colours,
      given: VIDEO,
      made: LATENTS,
      resize: (size) => Math.floor(size / ratio),
      from: 'sample',
      to: 'latent',
    };
    this.#decoder = {
      network: networks.decoder,
      what: 'latents',
      channels: latentChannels,
      given: LATENTS,
      made: VIDEO,
      resize: (size) => size * ratio,
      from: 'latent',
      to: 'sample',
    };
  }

  /** The posterior that the encoder's output [1, latent frames, 2 · channels, h, w] stands for. */
  abstract posterior(moments: DeviceTensor): Posterior;

  /**
   * Of a clip whose height and width the spatial ratio divides, and whose frames are a multiple of the ratio, plus 1.
   */
  latentSize(size: VideoSize): LatentSize {
    return latentSizeOf(this.shape, size);
  }

  /**
   * @param video height and width multiples of `sizeUnit` (with tile sizes of your own any, as in the original, which
   *   loses the rest). It stays the caller's.
   * @returns the posterior of the latents, the caller's.
   * @throws InvalidArgumentError for a shape or tiling that does not fit; PlanTooLargeError when the device is
   *   too small; the signal's reason when aborted.
   */
  async encode(video: DeviceVideo, options: VaeRunOptions = {}): Promise<Posterior> {
    return this.posterior(await this.#run(this.#encoder, video, options));
  }

  /**
   * @param latents f32 [1, latent frames, channels, h, w], not multiplied by the scaling factor. They stay the
   *   caller's.
   * @returns the video at `ratio` times their size, about -1 to 1, the caller's.
   * @throws as `encode`.
   */
  async decode(latents: DeviceTensor, options: VaeRunOptions = {}): Promise<DeviceVideo> {
    return this.#run(this.#decoder, latents, options);
  }

  /**
   * The encoder or the decoder for clips that come a stretch at a time, untiled. A clip's first stretch has 1 + k ·
   * `temporalRatio` frames and gives 1 + k latent frames; a later one has k · `temporalRatio` and gives k. Norms see
   * their stretch alone, as in `encode` and `decode`, whose stretches are of 8 frames.
   */
  openStretches(way: 'encode' | 'decode'): StretchPrograms {
    return new StretchPrograms(this.device, (way === 'encode' ? this.#encoder : this.#decoder).network);
  }

  /** Work and memory of `encode`, before anything runs. Throws as it does. */
  estimateEncode({ frames, height, width }: VideoSize, options: VaeEstimateOptions = {}): VaeEstimate {
    return this.#estimate(this.#encoder, [1, frames, height, width, this.shape.colours], options);
  }

  /** Work and memory of `decode`, before anything runs. Throws as it does. */
  estimateDecode(
    { frames, channels, height, width }: LatentSize,
    options: VaeEstimateOptions = {},
  ): VaeEstimate {
    return this.#estimate(this.#decoder, [1, frames, channels, height, width], options);
  }

  destroy(): void {
    this.parameters.destroy();
  }

  async #run(
    direction: Direction,
    source: DeviceTensor,
    { tiling, signal, onWarning = (line) => console.warn(line), onProgress }: VaeRunOptions,
  ): Promise<DeviceTensor> {
    const { given, made, network, what } = direction;
    if (source.dtype !== 'f32')
      throw new InvalidArgumentError(what, `expected f32, got a tensor of ${source.dtype}`);
    const shape = this.#checkedShape(direction, source.shape, tiling);
    const { rows, columns } = this.#tiles(direction, shape, tiling);
    for (const { remark } of [rows, columns]) if (remark) onWarning(remark);
    const { flops } = this.#estimate(direction, shape, { tiling });
    let finished = 0;

    const tile = async (row: number, column: number): Promise<DeviceTensor> => {
      const [vertical, horizontal] = [rows.tiles[row], columns.tiles[column]];
      const ownShape = sized(shape, given, vertical.size, horizontal.size);
      const own = network.plan(ownShape).reduce((sum, { plan }) => sum + plan.cost.flops, 0);
      const picture = {
        ...{ top: vertical.start, height: vertical.size },
        ...{ left: horizontal.start, width: horizontal.size },
      };
      const result = await network.run(
        ownShape,
        (frame, frames) => this.#read(source, given, { frame, frames, ...picture }),
        {
          signal,
          ...(onProgress && { onProgress: (done) => onProgress((finished + done * own) / flops) }),
        },
      );
      finished += own;
      return result;
    };
    if (rows.tiles.length * columns.tiles.length === 1) return tile(0, 0);
    return assemble(this.device, rows, columns, made, tile);
  }

  #estimate(
    direction: Direction,
    givenShape: readonly number[],
    { tiling, roughly = false }: VaeEstimateOptions,
  ): VaeEstimate {
    const { network, given } = direction;
    const shape = this.#checkedShape(direction, givenShape, tiling);
    const { rows, columns } = this.#tiles(direction, shape, tiling);
    const bytesOf = (of: readonly number[]) => 4 * elementCount(of);
    /** Each size with how many tiles' worth of it there are. */
    const counted = ({ tiles }: TileAxis): [size: number, times: number][] => {
      if (!roughly) return tiles.map(({ size }) => [size, 1]);
      const largest = Math.max(...tiles.map(({ size }) => size));
      return [[largest, tiles.reduce((sum, { size }) => sum + size, 0) / largest]];
    };
    const plans: Plan[] = [];
    let flops = 0;
    let result: readonly number[] = [];
    /** Of each size that is planned, by its share of the area. */
    const made = new Map<string, (share: number) => number>();
    for (const [height, down] of counted(rows)) {
      for (const [width, across] of counted(columns)) {
        const planned = network.plan(sized(shape, given, height, width));
        result = outShapeOf(planned);
        const own = bytesOf(result);
        made.set(`${height} ${width}`, (share) =>
          Math.max(
            ...planned.map(({ bytes, plan: { memory } }) => {
              const fixed = memory.uniforms + memory.constants;
              return fixed + share * (bytes - fixed + own);
            }),
          ),
        );
        for (const { plan } of planned) {
          plans.push(plan);
          flops += down * across * plan.cost.flops;
        }
      }
    }
    const [tallest, widest] = [rows, columns].map(({ tiles }) => Math.max(...tiles.map(({ size }) => size)));
    const largest = made.get(`${tallest} ${widest}`)!;
    if (rows.tiles.length * columns.tiles.length === 1) return { flops, bytes: largest(1), plans };
    const making = (height: number, width: number) =>
      made.get(`${height} ${width}`)?.(1) ?? largest((height * width) / (tallest * widest));
    const outBytes = (height: number, width: number) => bytesOf(sized(result, direction.made, height, width));
    // A tile is read while the program that it goes to is there.
    const box = boxOf(input('clip', spec(shape)), given, FIRST_PIXEL);
    const { uniforms } = planProgram({ box }, this.device, 'f32').memory;
    const bytes = Math.ceil(assemblyBytes(rows, columns, direction.resize, outBytes, making)) + uniforms;
    return { flops, bytes, plans };
  }

  /**
   * A picture no larger than a tile is not cut, in neither dimension. Where the config's own tiles do not add up to the
   * picture, as those of a small model may not, one of the size that the VAE was made for or less is not cut either,
   * and a larger one is cut into tiles that do.
   */
  #tiles(
    { from, to, resize, given }: Direction,
    shape: readonly number[],
    tiling: boolean | Tiling = false,
  ): { rows: TileAxis; columns: TileAxis } {
    const [height, width] = [shape[given.rows], shape[given.columns]];
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
    { what, channels, from, given }: Direction,
    shape: readonly number[],
    tiling: boolean | Tiling = false,
  ): readonly number[] {
    if (shape.length !== 5 || shape[0] !== 1 || shape.some((size) => !Number.isInteger(size) || size < 1))
      throw new InvalidArgumentError(what, `expected a shape ${given.order}, got [${shape}]`, { shape });
    const [own, height, width] = [shape[given.channels], shape[given.rows], shape[given.columns]];
    if (own !== channels) {
      throw new InvalidArgumentError(what, `expected ${channels} channels, got ${own} of [${shape}]`, {
        shape,
        expected: channels,
      });
    }
    const multiple = from === 'sample' && typeof tiling === 'boolean' ? this.shape.sizeUnit : 1;
    if (height % multiple !== 0 || width % multiple !== 0) {
      throw new InvalidArgumentError(
        what,
        `height and width must be multiples of ${multiple}, got ${height} x ${width}; crop or resize first`,
        { shape, multiple },
      );
    }
    return shape;
  }

  /** One box of the source, on its own. */
  async #read(source: DeviceTensor, dims: Layout, box: Box): Promise<DeviceTensor> {
    const { shape } = source;
    const { frame, frames, height, width } = box;
    if (height === shape[dims.rows] && width === shape[dims.columns]) {
      const one = source.elementCount / shape[1];
      const part = new DeviceTensor(this.device, { shape: [1, frames, ...shape.slice(2)], dtype: 'f32' });
      part.copyFrom(source, { from: frame * one, count: frames * one });
      return part;
    }
    return (await evaluate(this.device, { box: boxOf(parameter(source), dims, box) })).box;
  }
}

function boxOf(clip: Tensor, dims: Layout, { frame, frames, top, height, left, width }: Box): Tensor {
  const strip = slice(slice(clip, 1, frame, frames), dims.rows, top, height);
  return slice(strip, dims.columns, left, width);
}

/** `shape` with a picture of another size. */
const sized = (shape: readonly number[], { rows, columns }: PictureDims, height: number, width: number) =>
  shape.map((size, d) => (d === rows ? height : d === columns ? width : size));
