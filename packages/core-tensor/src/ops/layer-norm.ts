/** Layer normalization and its root-mean-square form. Elementwise work on the result fuses as an epilogue. */
import {
  bytesOf,
  elementCount,
  type LayerNormSpec,
  lowerLayerNorm,
  lowerLayerNormBackward,
  type Rotation,
  rotaryTableBytes,
} from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';
import { type KernelOp, record, type Tensor, type Vjp } from '../tensor.ts';

/** Options of `layerNorm`. */
export interface LayerNormOptions {
  readonly eps: number;
  /** Scale, [C]. */
  readonly gamma?: Tensor;
  /** Offset, [C]. */
  readonly beta?: Tensor;
}

/**
 * (x - mean) / sqrt(variance + eps) * gamma + beta over the last dimension.
 * @param x [..., C].
 */
export const layerNorm = (x: Tensor, options: LayerNormOptions): Tensor =>
  normalize('layerNorm', x, options, true);

/**
 * x / sqrt(mean(x^2) + eps) * gamma over the last dimension, as T5 has it: no mean is subtracted.
 * @param x [..., C].
 */
export const rmsNorm = (x: Tensor, { eps, gamma }: Omit<LayerNormOptions, 'beta'>): Tensor =>
  normalize('rmsNorm', x, { eps, gamma }, false);

function normalize(name: string, x: Tensor, { eps, gamma, beta }: LayerNormOptions, center: boolean): Tensor {
  const channels = x.shape[x.shape.length - 1];
  if (channels === undefined) throw new InvalidArgumentError(name, `x has no dimension to normalize over`);
  for (const [what, tensor] of Object.entries({ gamma, beta })) {
    if (tensor && (tensor.shape.length !== 1 || tensor.shape[0] !== channels)) {
      throw new InvalidArgumentError(
        name,
        `${what} must be [${channels}] for x [${x.shape}], got [${tensor.shape}]`,
      );
    }
  }
  const count = elementCount(x.shape);
  const spec: LayerNormSpec = {
    rows: count / channels,
    channels,
    eps,
    center,
    dtype: x.dtype,
    gamma: gamma?.dtype,
    beta: beta?.dtype,
  };
  const affine = [gamma, beta].filter((tensor) => tensor !== undefined);
  const bytes = count * (bytesOf(x.dtype) + 4);
  const op = {
    kind: 'kernel',
    name,
    cost: { flops: 8 * count, bytes },
    epilogue: true,
    bindings: 2 + affine.length,
    lower: (target, epilogue) => lowerLayerNorm({ ...spec, epilogue }, target),
  } as const satisfies KernelOp;
  const rotated = (rotation: Rotation): KernelOp | undefined =>
    channels % 4 === 0 && rotation.headDim % 4 === 0
      ? {
          ...op,
          name: `${name}, rotary`,
          cost: { flops: 11 * count, bytes: bytes + rotaryTableBytes(rotation) },
          ...{ epilogue: false, halfRows: true, bindings: op.bindings + 2 },
          lower: (target, epilogue) => lowerLayerNorm({ ...spec, rotation, epilogue }, target),
        }
      : undefined;
  return record(
    { ...op, rotated, vjp: vjpOf(name, spec) },
    [x, ...affine],
    [{ shape: x.shape, dtype: 'f32' }],
  )[0];
}

/** Gradients of x, gamma and beta, by one kernel op that writes those needed. */
const vjpOf =
  (name: string, spec: LayerNormSpec): Vjp =>
  ({ inputs: [x, ...affine], gradients: [g], needed }) => {
    const gammaAt = spec.gamma ? 1 : -1;
    const betaAt = spec.beta ? (spec.gamma ? 2 : 1) : -1;
    const wanted = [0, gammaAt, betaAt].filter((k) => needed[k]);
    if (!g || wanted.length === 0) return [];
    const gamma = spec.gamma && affine[0];
    const count = elementCount(x.shape);
    const outputs = record(
      {
        kind: 'kernel',
        name: `${name}Backward`,
        cost: { flops: 16 * count, bytes: count * (bytesOf(x.dtype) + 8) },
        epilogue: false,
        bindings: 5,
        lower: ({ caps }) =>
          lowerLayerNormBackward(
            { ...spec, dx: !!needed[0], dgamma: !!needed[gammaAt], dbeta: !!needed[betaAt] },
            caps,
          ),
      },
      gamma ? [x, g, gamma] : [x, g],
      wanted.map((k) => ({ shape: k === 0 ? x.shape : [spec.channels], dtype: 'f32' })),
    );
    return needed.map((_, k) => (wanted.includes(k) ? outputs[wanted.indexOf(k)] : undefined));
  };
