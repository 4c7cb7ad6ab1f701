/**
 * The feature networks of LPIPS as data: torchvision's VGG16, AlexNet and SqueezeNet 1.1 up to the last layer that is
 * compared, under torchvision's names of weights.
 */
import { add, concat, conv2d, maximum, type Tensor } from '@dwm/core-tensor';
import { maxPool, type Pool } from './pool.ts';

/** Networks that LPIPS has weights for. */
export const LPIPS_NETWORKS = ['vgg', 'alex', 'squeeze'] as const;
/** One of `LPIPS_NETWORKS`. */
export type LpipsNetwork = (typeof LPIPS_NETWORKS)[number];

interface Conv {
  readonly kind: 'conv';
  /** `<name>.weight` [out, in, size, size] and `<name>.bias` [out]. */
  readonly name: string;
  readonly size: number;
  readonly in: number;
  readonly out: number;
  readonly stride: 1 | 2 | 4;
  readonly padding: number;
}

/** SqueezeNet's module: a 1x1 layer, then a 1x1 and a 3x3 layer side by side. */
interface Fire {
  readonly kind: 'fire';
  readonly squeeze: Conv;
  readonly expand: readonly [Conv, Conv];
}

/** `tap`: what comes out is compared. */
type Layer = (Conv | Fire | ({ readonly kind: 'pool' } & Pool)) & { readonly tap?: true };

const conv = (index: number | string, from: number, to: number, size = 3, stride: 1 | 2 | 4 = 1): Conv => ({
  kind: 'conv',
  name: `features.${index}`,
  ...{ size, in: from, out: to, stride, padding: Math.floor(size / 2) },
});

function fire(index: number, from: number, squeezed: number, each: number): Fire {
  return {
    kind: 'fire',
    squeeze: conv(`${index}.squeeze`, from, squeezed, 1),
    expand: [conv(`${index}.expand1x1`, squeezed, each, 1), conv(`${index}.expand3x3`, squeezed, each)],
  };
}

const tap = <T extends Layer>(layer: T) => ({ ...layer, tap: true as const });
const halve: Layer = { kind: 'pool', kernel: 2 };
const overlap: Layer = { kind: 'pool', kernel: 3 };
const overlapCeil: Layer = { kind: 'pool', kernel: 3, ceil: true };

export const LAYERS: Readonly<Record<LpipsNetwork, readonly Layer[]>> = {
  vgg: [
    conv(0, 3, 64),
    tap(conv(2, 64, 64)),
    halve,
    conv(5, 64, 128),
    tap(conv(7, 128, 128)),
    halve,
    conv(10, 128, 256),
    conv(12, 256, 256),
    tap(conv(14, 256, 256)),
    halve,
    conv(17, 256, 512),
    conv(19, 512, 512),
    tap(conv(21, 512, 512)),
    halve,
    conv(24, 512, 512),
    conv(26, 512, 512),
    tap(conv(28, 512, 512)),
  ],
  alex: [
    tap({ ...conv(0, 3, 64, 11, 4), padding: 2 }),
    overlap,
    tap(conv(3, 64, 192, 5)),
    overlap,
    tap(conv(6, 192, 384)),
    tap(conv(8, 384, 256)),
    tap(conv(10, 256, 256)),
  ],
  squeeze: [
    tap({ ...conv(0, 3, 64, 3, 2), padding: 0 }),
    overlapCeil,
    fire(3, 64, 16, 64),
    tap(fire(4, 128, 16, 64)),
    overlapCeil,
    fire(6, 128, 32, 128),
    tap(fire(7, 256, 32, 128)),
    overlapCeil,
    tap(fire(9, 256, 48, 192)),
    tap(fire(10, 384, 48, 192)),
    tap(fire(11, 384, 64, 256)),
    tap(fire(12, 512, 64, 256)),
  ],
};

export const convsOf = (layer: Layer): readonly Conv[] =>
  layer.kind === 'conv' ? [layer] : layer.kind === 'fire' ? [layer.squeeze, ...layer.expand] : [];

/** Channels of every compared layer. */
export const tapChannels = (network: LpipsNetwork): number[] =>
  LAYERS[network]
    .filter((layer) => layer.tap)
    .map((layer) => (layer.kind === 'fire' ? 2 * layer.expand[0].out : (layer as Conv).out));

/** Smallest pictures that leave every compared layer a pixel. */
export const SMALLEST: Readonly<Record<LpipsNetwork, number>> = { vgg: 16, alex: 31, squeeze: 17 };

/**
 * The compared features of an image.
 * @param image [1, height, width, 3], or AlexNet's blocks (`block.ts`).
 * @param weight the symbol of a weight, [kh, kw, in, out] or [out].
 */
export function features(network: LpipsNetwork, image: Tensor, weight: (name: string) => Tensor): Tensor[] {
  const run = (x: Tensor, { name, padding, stride }: Conv) => {
    const sides = { top: padding, bottom: padding, left: padding, right: padding };
    // A stride of 4 is in the blocks already, and so is the padding.
    const options = stride === 4 ? {} : { stride, padding: sides };
    return maximum(add(conv2d(x, weight(`${name}.weight`), options), weight(`${name}.bias`)), 0);
  };
  const taps: Tensor[] = [];
  let x = image;
  for (const layer of LAYERS[network]) {
    if (layer.kind === 'conv') x = run(x, layer);
    else if (layer.kind === 'pool') x = maxPool(x, layer);
    else {
      const squeezed = run(x, layer.squeeze);
      x = concat(
        layer.expand.map((expand) => run(squeezed, expand)),
        3,
      );
    }
    if (layer.tap) taps.push(x);
  }
  return taps;
}
