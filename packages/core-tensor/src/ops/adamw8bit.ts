/** A step of AdamW on one packed tensor, with moments of 8 bits. */
import { type AdamW8bitSpec, elementCount, lowerAdamW8bit, MOMENT_BLOCK } from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';
import { record, spec, type Tensor, type TensorSpec } from '../tensor.ts';

/** What the optimizer remembers of `count` elements, zero at the start. @throws unless `count` is a multiple of 4. */
export function adamw8bitState(count: number): { codes: TensorSpec; maxima: TensorSpec } {
  if (count % 4 !== 0)
    throw new InvalidArgumentError('adamw8bit', `expected a multiple of 4 elements, got ${count}`);
  return { codes: spec([count / 2], 'u32'), maxima: spec([2 * Math.ceil(count / MOMENT_BLOCK)]) };
}

/**
 * @param given theta and gradient f32 [count], codes and maxima as `adamw8bitState` has them, scalars f32 [4]: what theta is
 *   multiplied by, the rate with the first moment's bias correction, the correction of the second one's root, and
 *   the number of the step (below 2^24), from which the rounding is drawn.
 * @throws when shapes do not match.
 */
export function adamw8bit(
  given: Readonly<Record<'theta' | 'gradient' | 'codes' | 'maxima' | 'scalars', Tensor>>,
  rates: Omit<AdamW8bitSpec, 'count'>,
): { theta: Tensor; codes: Tensor; maxima: Tensor } {
  const count = elementCount(given.theta.shape);
  const state = adamw8bitState(count);
  const expected = { theta: spec([count]), gradient: spec([count]), ...state, scalars: spec([4]) };
  for (const [name, { shape, dtype }] of Object.entries(expected)) {
    const tensor = given[name as keyof typeof given];
    if (tensor.dtype !== dtype || tensor.shape.join() !== shape.join()) {
      throw new InvalidArgumentError(
        'adamw8bit',
        `${name} must be ${dtype} [${shape}], got ${tensor.dtype} [${tensor.shape}]`,
      );
    }
  }
  const [theta, codes, maxima] = record(
    {
      kind: 'kernel',
      name: 'adamw8bit',
      cost: { flops: 60 * count, bytes: 16 * count },
      epilogue: false,
      bindings: 8,
      lower: ({ caps }) => lowerAdamW8bit({ count, ...rates }, caps),
    },
    [given.theta, given.gradient, given.codes, given.maxima, given.scalars],
    [expected.theta, state.codes, state.maxima],
  );
  return { theta, codes, maxima };
}
