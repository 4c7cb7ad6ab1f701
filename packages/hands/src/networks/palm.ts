/**
 * MediaPipe's palm detector ("full", 192x192; Bazarevsky et al., BlazePalm): blocks of a 5x5 depthwise and a 1x1
 * convolution with a way around them, down to 6x6, and up again to 12x12 and 24x24, where boxes and scores are read.
 */
import {
  add,
  compile,
  concat,
  constant,
  type Device,
  less,
  maximum,
  mul,
  type Program,
  pad,
  reshape,
  resizeLinear,
  slice,
  spec,
  type Tensor,
  where,
} from '@dwm/core-tensor';
import { bias, depthwise, halve, pointwise, reordered } from './layers.ts';
import { LayerWeights, type WeightFiles } from './weights.ts';

/** Side of the picture that it takes. */
export const PALM_SIZE = 192;

/** Runs of blocks of one number of channels on the way down; the first of a later run halves the picture. */
const RUNS = [
  { channels: 32, blocks: 4 },
  { channels: 64, blocks: 5 },
  { channels: 128, blocks: 5 },
  { channels: 256, blocks: 5 },
  { channels: 256, blocks: 5 },
];
const BLOCKS = RUNS.flatMap(({ channels, blocks }, run) =>
  Array.from({ length: blocks }, (_, i) => ({ channels, halves: run > 0 && i === 0 })),
);

/** Blocks whose results, 24x24 and 12x12, are added again on the way up. */
const [KEPT_24, KEPT_12] = [13, 18];

/** Numbers of a place: score, then box and seven points, as `palms.ts` reads them. */
export const PALM_NUMBERS = 19;

type Outputs = { palms: Tensor };

/** A compiled detector: `image` [1, 192, 192, 3], 0 to 1, to `palms` [2016, 19]. */
export type PalmProgram = Program<{ image: ReturnType<typeof spec> }, Outputs>;

/** @throws InvalidFileError for weights of another network. */
export function compilePalm(device: Device, files: WeightFiles): Promise<PalmProgram> {
  const weights = new LayerWeights(files);
  return compile(device, { image: spec([1, PALM_SIZE, PALM_SIZE, 3]) }, ({ image }) => ({
    palms: palmNetwork(image, weights),
  }));
}

function palmNetwork(image: Tensor, weights: LayerWeights): Tensor {
  const prelu = (x: Tensor, index: number): Tensor => {
    const channels = x.shape[3];
    const layer = index === 0 ? 'p_re_lu' : `p_re_lu_${index}`;
    const slope = constant(weights.get(layer, [1, 1, channels]), [channels]);
    return where(less(x, 0), mul(x, slope), x);
  };
  const oneByOne = (x: Tensor, channels: number, index: number): Tensor =>
    pointwise(
      x,
      weights.get(`conv2d_${index}`, [channels, 1, 1, x.shape[3]]),
      bias(weights, `batch_normalization_${index}`, channels),
    );
  /** Depthwise layer `index - 1`, or one less where 1x1 convolutions without one came before. */
  const block = (x: Tensor, channels: number, index: number, depth = index - 1, halves = false): Tensor => {
    const layer = depth === 0 ? 'depthwise_conv2d' : `depthwise_conv2d_${depth}`;
    const filtered = depthwise(x, weights.get(layer, [1, 5, 5, x.shape[3]]), 5, halves ? 2 : 1);
    const around = pad(halves ? largestOfFour(x) : x, 3, 0, channels - x.shape[3]);
    return prelu(add(oneByOne(filtered, channels, index), around), index);
  };
  const stem = halve(
    image,
    reordered(weights.get('conv2d', [32, 5, 5, 3]), [32, 5, 5, 3], [1, 2, 3, 0]),
    5,
    32,
  );
  let x = prelu(add(stem, bias(weights, 'batch_normalization', 32)), 0);
  const kept: Tensor[] = [];
  for (const [i, { channels, halves }] of BLOCKS.entries()) {
    x = block(x, channels, i + 1, i, halves);
    if (i === KEPT_24 || i === KEPT_12) kept.push(x);
  }
  const head = (from: Tensor, name: string, anchors: number): Tensor => {
    const read = (kind: string, numbers: number) => {
      const layer = `${kind}_palm_${name}_NO_PRUNING`;
      const channels = anchors * numbers;
      const made = pointwise(
        from,
        weights.get(layer, [channels, 1, 1, from.shape[3]]),
        bias(weights, layer, channels),
      );
      return reshape(made, [-1, numbers]);
    };
    return concat([read('classifier', 1), read('regressor', PALM_NUMBERS - 1)], 1);
  };
  x = add(prelu(oneByOne(doubled(x), 256, 25), 25), kept[1]);
  x = block(x, 256, 26, 24);
  x = block(x, 256, 27, 25);
  const coarse = head(x, '16', 6);
  x = add(prelu(oneByOne(doubled(x), 128, 28), 28), kept[0]);
  x = block(x, 128, 29, 26);
  x = block(x, 128, 30, 27);
  return concat([head(x, '8', 2), coarse], 0);
}

/** The largest of each 2x2 pixels. */
function largestOfFour(x: Tensor): Tensor {
  const [, height, width, channels] = x.shape;
  const pairs = reshape(x, [height / 2, 2, width / 2, 2, channels]);
  const part = (row: number, column: number) => slice(slice(pairs, 1, row, 1), 3, column, 1);
  const largest = maximum(maximum(part(0, 0), part(0, 1)), maximum(part(1, 0), part(1, 1)));
  return reshape(largest, [1, height / 2, width / 2, channels]);
}

/** Twice the size, bilinear. */
function doubled(x: Tensor): Tensor {
  const [, height, width] = x.shape;
  return reshape(resizeLinear(reshape(x, [1, ...x.shape]), [1, 2 * height, 2 * width]), [
    1,
    2 * height,
    2 * width,
    x.shape[3],
  ]);
}
