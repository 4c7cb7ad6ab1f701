/** Weights that were made for fewer input channels than a network has: those of the base come first. */
import { cast, type Device, evaluate, isPacked, pad, parameter, type Tensor } from '@dwm/core-tensor';
import type { Parameters } from './parameters.ts';

/** The shape that a file has a weight of `wide` shape in: its own where it was made for fewer input channels. */
export const ownShape = (given: readonly number[], wide: readonly number[]): readonly number[] =>
  narrower(given, wide) ? given : wide;

/** Whether a convolution's weight was made for fewer input channels: those of the base, which come first. */
const narrower = (given: readonly number[], wide: readonly number[]): boolean =>
  given.length > 2 &&
  given.length === wide.length &&
  given[1] < wide[1] &&
  given.every((size, i) => i === 1 || size === wide[i]);

/** With zeros for the input channels beyond. */
export const widened = (x: Tensor, { 1: channels }: readonly number[]): Tensor =>
  x.shape[1] === channels ? x : pad(x, 1, 0, channels - x.shape[1]);

/** A patch projection [dim, channels, p, p] given `extra` more input channels, all zero. */
export async function widenChannels(
  device: Device,
  parameters: Parameters,
  name: string,
  extra: number,
): Promise<void> {
  const target = parameters.tensors.get(name)!;
  // Floats of a byte are not written by kernels.
  const dtype = isPacked(target.dtype) ? 'f32' : target.dtype;
  const { out } = await evaluate(device, { out: cast(pad(parameter(target), 1, 0, extra), dtype) });
  parameters.replace(name, out);
}
