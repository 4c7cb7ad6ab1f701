/**
 * LPIPS (Zhang et al. 2018, version 0.1): how different two pictures look to a network. Features of both are brought to
 * length one in every pixel; their squared differences, weighted by channel, are averaged over pixels and summed over
 * layers. The weights are not ours to ship: torchvision's of the network, and the published `lin` layers.
 */
import {
  add,
  compile,
  type Device,
  DeviceTensor,
  DwmError,
  div,
  InvalidFileError,
  mul,
  type Program,
  parameter,
  reshape,
  spec,
  sqrt,
  sub,
  sum,
  type Tensor,
  type TensorSpec,
} from '@dwm/core-tensor';
import { type SafetensorsTensor, toFloat32 } from '@dwm/core-tensor/files';
import type { Video } from '../../video/video.ts';
import { checkSameSize, frameOf } from '../clip.ts';
import { BLOCK_CHANNELS, blocks, toBlockKernel, toBlocks } from './block.ts';
import { convsOf, features, LAYERS, type LpipsNetwork, SMALLEST, tapChannels } from './networks.ts';

/** ImageNet's mean and deviation for values in [-1, 1]. */
const SHIFT = [-0.03, -0.088, -0.188];
const SCALE = [0.458, 0.448, 0.45];
const EPSILON = 1e-10;

/** A file's tensors and its name for messages. */
export interface WeightFile {
  readonly name: string;
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>;
}

type Compiled = Program<{ a: TensorSpec; b: TensorSpec }, { distance: Tensor }>;

/** LPIPS v0.1 of one network. */
export class Lpips {
  readonly network: LpipsNetwork;
  readonly #device: Device;
  readonly #weights: ReadonlyMap<string, DeviceTensor>;
  /** One program a size. */
  readonly #programs = new Map<string, Compiled>();

  private constructor(device: Device, network: LpipsNetwork, weights: ReadonlyMap<string, DeviceTensor>) {
    this.#device = device;
    this.network = network;
    this.#weights = weights;
  }

  /**
   * @param backbone torchvision's state dict of the network: `features.0.weight`, …; more is ignored.
   * @param linear the published `lin` layers: `lin0.model.1.weight` [1, channels, 1, 1], ….
   * @throws InvalidFileError naming file, tensor and the shape that was expected.
   */
  static load(device: Device, network: LpipsNetwork, backbone: WeightFile, linear: WeightFile): Lpips {
    const values = new Map<string, { data: Float32Array; shape: number[] }>();
    for (const { name, in: from, out, size, stride } of LAYERS[network].flatMap(convsOf)) {
      const weight = take(backbone, `${name}.weight`, [out, from, size, size]);
      values.set(
        `${name}.weight`,
        stride === 4
          ? { data: toBlockKernel(weight, out), shape: [3, 3, BLOCK_CHANNELS, out] }
          : { data: channelsLast(weight, out, from, size), shape: [size, size, from, out] },
      );
      values.set(`${name}.bias`, { data: take(backbone, `${name}.bias`, [out]), shape: [out] });
    }
    for (const [i, channels] of tapChannels(network).entries()) {
      const data = take(linear, `lin${i}.model.1.weight`, [1, channels, 1, 1]);
      values.set(`lin${i}`, { data, shape: [channels] });
    }
    const weights = [...values].map(
      ([name, { data, shape }]) => [name, DeviceTensor.from(device, data, shape, 'f32', name)] as const,
    );
    return new Lpips(device, network, new Map(weights));
  }

  /**
   * Distance of two pictures, values in [0, 1] in [height, width, 3] order.
   * @throws DwmError for pictures too small for the network.
   */
  async distance(a: Float32Array, b: Float32Array, height: number, width: number): Promise<number> {
    if (Math.min(height, width) < SMALLEST[this.network]) {
      throw new DwmError(
        'too-small',
        `LPIPS (${this.network}) needs ${SMALLEST[this.network]} pixels each way or more, got ${width}x${height}`,
      );
    }
    const program = await this.#programFor(height, width);
    await program.run({ a: this.#prepare(a, height, width), b: this.#prepare(b, height, width) });
    return ((await program.outputs.distance.read()) as Float32Array)[0];
  }

  /** Distance of every frame. @throws DwmError naming both clips where sizes differ. */
  async frames(prediction: Video, truth: Video): Promise<number[]> {
    checkSameSize([
      { name: 'the truth', clip: truth },
      { name: 'the prediction', clip: prediction },
    ]);
    const out: number[] = [];
    const floats = (clip: Video, f: number) =>
      Float32Array.from(frameOf(clip, f).data, (value) => value / 255);
    for (let f = 0; f < truth.frames; f++)
      out.push(await this.distance(floats(prediction, f), floats(truth, f), truth.height, truth.width));
    return out;
  }

  destroy(): void {
    for (const program of this.#programs.values()) program.destroy();
    for (const tensor of this.#weights.values()) tensor.destroy();
  }

  #prepare(image: Float32Array, height: number, width: number): Float32Array {
    const scaled = image.map((value, i) => (2 * value - 1 - SHIFT[i % 3]) / SCALE[i % 3]);
    return this.network === 'alex' ? toBlocks(scaled, height, width) : scaled;
  }

  async #programFor(height: number, width: number): Promise<Compiled> {
    const key = `${height}x${width}`;
    const known = this.#programs.get(key);
    if (known) return known;
    const shape =
      this.network === 'alex' ? [1, blocks(height), blocks(width), BLOCK_CHANNELS] : [1, height, width, 3];
    const weight = (name: string) => parameter(this.#weights.get(name)!);
    const program = await compile(this.#device, { a: spec(shape), b: spec(shape) }, ({ a, b }) => {
      const [of, against] = [a, b].map((image) => features(this.network, image, weight));
      const layers = of.map((x, i) => {
        const difference = sub(unit(x), unit(against[i]));
        const weighted = mul(mul(difference, difference), weight(`lin${i}`));
        return mul(sum(weighted, [0, 1, 2, 3]), 1 / (x.shape[1] * x.shape[2]));
      });
      return {
        distance: reshape(
          layers.reduce((total, layer) => add(total, layer)),
          [1],
        ),
      };
    });
    this.#programs.set(key, program);
    return program;
  }
}

/** Features of length one in every pixel. */
const unit = (x: Tensor): Tensor => div(x, add(sqrt(sum(mul(x, x), [3], true)), EPSILON));

function take({ name: file, tensors }: WeightFile, name: string, shape: readonly number[]): Float32Array {
  const tensor = tensors.get(name);
  if (!tensor)
    throw new InvalidFileError(file, `${name} is missing; expected the published weights`, { field: name });
  if (tensor.shape.join() !== shape.join()) {
    throw new InvalidFileError(file, `${name}: expected [${shape}], got [${tensor.shape}]`, { field: name });
  }
  return toFloat32(tensor);
}

/** [out, in, size, size] as [size, size, in, out]. */
function channelsLast(weight: Float32Array, out: number, from: number, size: number): Float32Array {
  const result = new Float32Array(weight.length);
  for (let o = 0, at = 0; o < out; o++)
    for (let i = 0; i < from; i++)
      for (let k = 0; k < size * size; k++) result[(k * from + i) * out + o] = weight[at++];
  return result;
}
