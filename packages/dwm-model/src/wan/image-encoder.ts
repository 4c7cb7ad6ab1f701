/**
 * The picture branch of Wan's image-to-video models: open_clip's ViT-H/14 up to its last block but one, not normalised.
 * DWM shows it no picture, so nothing of it is loaded for DWM's own runs.
 */
import {
  add,
  attention,
  compile,
  concat,
  type Device,
  gelu,
  InvalidFileError,
  layerNorm,
  linear,
  pad,
  permute,
  reshape,
  slice,
  spec,
  type Tensor,
} from '@dwm/core-tensor';
import type { Checkpoint } from '@dwm/core-tensor/files';
import { denseLayer } from '../weights/layers.ts';
import { loadParameters, type ParameterSpecs, type Parameters } from '../weights/parameters.ts';

const EPS = 1e-5;
/** Of a head in the published network. */
const HEAD_WIDTH = 80;
const MEAN = [0.48145466, 0.4578275, 0.40821073];
const STD = [0.26862954, 0.26130258, 0.27577711];

/** Sizes of the picture branch, as its weights tell them. */
interface WanCLIPConfig {
  readonly width: number;
  readonly heads: number;
  /** Blocks that count: all but the last. */
  readonly blocks: number;
  readonly imageSize: number;
  readonly patchSize: number;
  readonly hiddenWidth: number;
}

/** @param heads where they are not of 80 channels each. @throws InvalidFileError for weights of another network. */
function wanCLIPConfigOf(
  { name: file, tensors }: Pick<Checkpoint, 'name' | 'tensors'>,
  heads?: number,
): WanCLIPConfig {
  const shape = (name: string, dimensions: number) => {
    const found = tensors.get(`visual.${name}`)?.shape;
    if (found?.length === dimensions) return found;
    throw new InvalidFileError(
      file,
      `has no visual.${name}; expected the CLIP of Wan's image-to-video models`,
      {
        field: `visual.${name}`,
      },
    );
  };
  const [width, , patchSize] = shape('patch_embedding.weight', 4);
  const side = Math.sqrt(shape('pos_embedding', 3)[1] - 1);
  const [hiddenWidth] = shape('transformer.0.mlp.0.weight', 2);
  let blocks = 0;
  while (tensors.has(`visual.transformer.${blocks + 1}.norm1.weight`)) blocks++;
  return {
    ...{ width, heads: heads ?? width / HEAD_WIDTH, blocks, hiddenWidth },
    ...{ imageSize: side * patchSize, patchSize },
  };
}

function wanCLIPParameters({
  width,
  blocks,
  imageSize,
  patchSize,
  hiddenWidth,
}: WanCLIPConfig): ParameterSpecs {
  const shapes: Record<string, readonly number[]> = {
    cls_embedding: [1, 1, width],
    pos_embedding: [1, (imageSize / patchSize) ** 2 + 1, width],
    'patch_embedding.weight': [width, 3, patchSize, patchSize],
    ...{ 'pre_norm.weight': [width], 'pre_norm.bias': [width] },
  };
  const dense = (name: string, outputs: number, inputs: number) => {
    shapes[`${name}.weight`] = [outputs, inputs];
    shapes[`${name}.bias`] = [outputs];
  };
  for (let i = 0; i < blocks; i++) {
    const block = `transformer.${i}`;
    for (const norm of ['norm1', 'norm2']) {
      shapes[`${block}.${norm}.weight`] = [width];
      shapes[`${block}.${norm}.bias`] = [width];
    }
    dense(`${block}.attn.to_qkv`, 3 * width, width);
    dense(`${block}.attn.proj`, width, width);
    dense(`${block}.mlp.0`, hiddenWidth, width);
    dense(`${block}.mlp.2`, width, hiddenWidth);
  }
  return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [`visual.${name}`, { shape }]));
}

/**
 * @param pixels [1, 3, imageSize, imageSize], normalised.
 * @returns [1, tokens, width].
 */
function wanCLIPVision(config: WanCLIPConfig, weights: Parameters, pixels: Tensor): Tensor {
  const { width, heads, blocks, imageSize, patchSize: p } = config;
  const get = (name: string) => weights.get(`visual.${name}`);
  const norm = (x: Tensor, name: string) =>
    layerNorm(x, { eps: EPS, gamma: get(`${name}.weight`), beta: get(`${name}.bias`) });
  const dense = (x: Tensor, name: string) => denseLayer(weights, x, `visual.${name}`);
  const side = imageSize / p;
  const split = reshape(pixels, [1, 3, side, p, side, p]);
  const patches = reshape(permute(split, [0, 2, 4, 1, 3, 5]), [1, side * side, 3 * p * p]);
  const embedded = linear(patches, reshape(get('patch_embedding.weight'), [width, -1]));
  let x = norm(add(concat([add(get('cls_embedding'), 0), embedded], 1), get('pos_embedding')), 'pre_norm');
  const tokens = side * side + 1;
  const headWidth = width / heads;
  // Attention takes heads of whole fours; zeros change no product.
  const extra = (4 - (headWidth % 4)) % 4;
  for (let i = 0; i < blocks; i++) {
    const block = `transformer.${i}`;
    const all = dense(norm(x, `${block}.norm1`), `${block}.attn.to_qkv`);
    const [q, k, v] = [0, 1, 2].map((n) => {
      const part = reshape(slice(all, 2, n * width, width), [1, tokens, heads, headWidth]);
      return extra > 0 ? pad(part, 3, 0, extra) : part;
    });
    const heard = slice(attention(q, k, v, { scale: 1 / Math.sqrt(headWidth) }), 3, 0, headWidth);
    x = add(x, dense(reshape(heard, [1, tokens, width]), `${block}.attn.proj`));
    x = add(x, dense(gelu(dense(norm(x, `${block}.norm2`), `${block}.mlp.0`)), `${block}.mlp.2`));
  }
  return x;
}

/** Keys' cubic with a = -0.75, which PyTorch interpolates by: four neighbours, edges repeated, nothing widened. */
function cubicTaps(from: number, to: number): { at: number[]; weights: number[] }[] {
  const a = -0.75;
  const near = (t: number) => ((a + 2) * t - (a + 3)) * t * t + 1;
  const far = (t: number) => ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  return Array.from({ length: to }, (_, i) => {
    const place = ((i + 0.5) * from) / to - 0.5;
    const low = Math.floor(place);
    const t = place - low;
    const at = [-1, 0, 1, 2].map((d) => Math.min(from - 1, Math.max(0, low + d)));
    return { at, weights: [far(t + 1), near(t), near(1 - t), far(2 - t)] };
  });
}

/**
 * A picture as the network takes it: squeezed into its square, what overshoots kept.
 * @param picture [height, width, 3] bytes.
 * @returns [3, size, size].
 */
export function wanCLIPPixels(
  { data, height, width }: { data: Uint8Array; height: number; width: number },
  size: number,
): Float32Array {
  const [rows, columns] = [cubicTaps(height, size), cubicTaps(width, size)];
  const out = new Float32Array(3 * size * size);
  for (let c = 0; c < 3; c++) {
    for (const [y, row] of rows.entries()) {
      for (const [x, column] of columns.entries()) {
        let sum = 0;
        for (let i = 0; i < 4; i++) {
          for (let k = 0; k < 4; k++) {
            const value = data[(row.at[i] * width + column.at[k]) * 3 + c] / 255;
            sum += row.weights[i] * column.weights[k] * value;
          }
        }
        out[(c * size + y) * size + x] = (sum - MEAN[c]) / STD[c];
      }
    }
  }
  return out;
}

/** The branch of a file, loaded. */
export class WanCLIP {
  readonly config: WanCLIPConfig;
  readonly #device: Device;
  readonly #parameters: Parameters;

  private constructor(device: Device, config: WanCLIPConfig, parameters: Parameters) {
    this.#device = device;
    this.config = config;
    this.#parameters = parameters;
  }

  /** @throws InvalidFileError naming the tensor that is missing or of another shape. */
  static async load(device: Device, checkpoint: Checkpoint, heads?: number): Promise<WanCLIP> {
    const config = wanCLIPConfigOf(checkpoint, heads);
    const parameters = await loadParameters(device, checkpoint, wanCLIPParameters(config), {
      ignore: () => true,
    });
    return new WanCLIP(device, config, parameters);
  }

  /** @param pixels of `wanCLIPPixels`. @returns [tokens, width], for `network.image` of a pipeline. */
  async features(pixels: Float32Array, precision: 'f32' | 'f16' = 'f32'): Promise<Float32Array> {
    const { imageSize } = this.config;
    const program = await compile(
      this.#device,
      { pixels: spec([1, 3, imageSize, imageSize]) },
      (x) => ({ out: wanCLIPVision(this.config, this.#parameters, x.pixels) }),
      precision,
    );
    try {
      await program.run({ pixels });
      return (await program.outputs.out.read()) as Float32Array;
    } finally {
      program.destroy();
    }
  }

  destroy(): void {
    this.#parameters.destroy();
  }
}
