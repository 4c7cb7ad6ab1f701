/**
 * MediaPipe's hand landmark network ("full", 224x224): EfficientNet-like blocks (1x1 to more channels, depthwise, 1x1
 * back), a mean over the picture, and four linear heads.
 */
import {
  add,
  compile,
  constant,
  type Device,
  maximum,
  mean,
  minimum,
  type Program,
  sigmoid,
  spec,
  type Tensor,
} from '@dwm/core-tensor';
import { bias, depthwise, halve, pointwise, reordered } from './layers.ts';
import { LayerWeights, type WeightFiles } from './weights.ts';

/** Side of the picture that it takes. */
export const LANDMARK_SIZE = 224;

interface Block {
  /** Channels between the two 1x1 convolutions, and after them. */
  readonly inner: number;
  readonly channels: number;
  readonly kernel: 3 | 5;
  readonly stride?: 2;
}

/** The last one has no 1x1 convolution back. */
const BLOCKS: readonly Block[] = [
  { inner: 24, channels: 16, kernel: 3 },
  { inner: 64, channels: 24, kernel: 3, stride: 2 },
  { inner: 144, channels: 24, kernel: 3 },
  { inner: 144, channels: 40, kernel: 5, stride: 2 },
  { inner: 240, channels: 40, kernel: 5 },
  { inner: 240, channels: 80, kernel: 3, stride: 2 },
  { inner: 480, channels: 80, kernel: 3 },
  { inner: 480, channels: 80, kernel: 3 },
  { inner: 480, channels: 112, kernel: 5 },
  { inner: 672, channels: 112, kernel: 5 },
  { inner: 672, channels: 112, kernel: 5 },
  { inner: 672, channels: 192, kernel: 5, stride: 2 },
  { inner: 1152, channels: 192, kernel: 5 },
  { inner: 1152, channels: 192, kernel: 5 },
  { inner: 1152, channels: 192, kernel: 5 },
  { inner: 1152, channels: 1152, kernel: 3 },
];

type Outputs = { points: Tensor; world: Tensor; presence: Tensor; handedness: Tensor; features: Tensor };

/**
 * A compiled network: `image` [1, 224, 224, 3], 0 to 1, to `points` [1, 63] in the picture's pixels, `world` [1, 63] in
 * metres, `presence` and `handedness` [1, 1], 0 to 1, and `features` [1, 1152], which all heads read.
 */
export type LandmarkProgram = Program<{ image: ReturnType<typeof spec> }, Outputs>;

/** @throws InvalidFileError for weights of another network. */
export function compileLandmarks(device: Device, files: WeightFiles): Promise<LandmarkProgram> {
  const weights = new LayerWeights(files);
  return compile(device, { image: spec([1, LANDMARK_SIZE, LANDMARK_SIZE, 3]) }, ({ image }) =>
    landmarkNetwork(image, weights),
  );
}

const relu6 = (x: Tensor): Tensor => minimum(maximum(x, 0), 6);

function landmarkNetwork(image: Tensor, weights: LayerWeights): Outputs {
  let [convolution, norm] = [0, 0];
  const nextNorm = () => {
    const layer = norm === 0 ? 'batch_normalization' : `batch_normalization_${norm}`;
    norm++;
    return layer;
  };
  const oneByOne = (x: Tensor, channels: number): Tensor =>
    pointwise(
      x,
      weights.get(`conv2d_${++convolution}`, [channels, x.shape[3], 1, 1]),
      bias(weights, nextNorm(), channels),
    );
  const stem = reordered(weights.get('conv2d', [24, 3, 3, 3]), [24, 3, 3, 3], [2, 3, 1, 0]);
  let x = relu6(add(halve(image, stem, 3, 24), bias(weights, nextNorm(), 24)));
  for (const [i, { inner, channels, kernel, stride = 1 }] of BLOCKS.entries()) {
    const wide = i === 0 ? x : relu6(oneByOne(x, inner));
    const layer = nextNorm();
    const filter = reordered(
      weights.get(layer, [inner, 1, kernel, kernel]),
      [inner, kernel, kernel],
      [1, 2, 0],
    );
    const filtered = relu6(add(depthwise(wide, filter, kernel, stride), bias(weights, layer, inner)));
    const narrow = i === BLOCKS.length - 1 ? filtered : oneByOne(filtered, channels);
    x = stride === 1 && narrow.shape[3] === x.shape[3] ? add(x, narrow) : narrow;
  }
  const features = mean(x, [1, 2]);
  const head = (name: string, numbers: number): Tensor =>
    pointwise(
      features,
      weights.get(name, [numbers, 1152]),
      constant(weights.get(name, [numbers]), [numbers]),
    );
  return {
    points: head('conv_landmarks', 63),
    world: head('conv_world_landmarks', 63),
    presence: sigmoid(head('conv_handflag', 1)),
    handedness: sigmoid(head('conv_handedness', 1)),
    features,
  };
}
