/**
 * Which tensor went bad first: inputs, weights, the forward pass in its order, then gradients. Runs one step
 * again with every intermediate as a result, so it takes memory; it is for finding the cause.
 */
import {
  compile,
  type Device,
  type DeviceTensor,
  grad,
  spec,
  type Tensor,
  type TensorSpec,
} from '@dwm/core-tensor';
import type { LossFunction } from './train-step.ts';
import type { Trainable } from './trainable.ts';

/** @returns what is not finite, e.g. `forward after_block3.hidden`; undefined where everything is. */
export async function firstNotFinite<I extends Record<string, TensorSpec>>(
  device: Device,
  trainable: Trainable,
  { inputs, loss }: LossFunction<I>,
  batch: { [K in keyof I]: Float32Array },
  theta: DeviceTensor,
): Promise<string | undefined> {
  const bad = (values: ArrayLike<number>) => !Array.prototype.every.call(values, Number.isFinite);
  for (const [name, values] of Object.entries(batch)) if (bad(values)) return `input ${name}`;
  const packed = (await theta.read()) as Float32Array;
  for (const name of trainable.layout.parts.keys())
    if (bad(trainable.layout.values(packed, name))) return `weight ${name}`;

  const order: string[] = [];
  const program = await compile(device, { ...inputs, theta: spec(theta.shape) }, (given) => {
    const { weights, trained } = trainable.bind(given.theta);
    const results: Record<string, Tensor> = {};
    const keep = (name: string, tensor: Tensor) => {
      order.push(name);
      results[name] = tensor;
    };
    const value = loss(weights, given, (name, tensor) => keep(`forward ${name}`, tensor));
    keep('loss', value);
    const gradients = grad(value, [...trained.values()]);
    for (const [i, name] of [...trained.keys()].entries()) keep(`gradient ${name}`, gradients[i]);
    return results;
  });
  try {
    await program.run({ ...batch, theta } as never);
    for (const name of order) if (bad((await program.outputs[name].read()) as Float32Array)) return name;
    return undefined;
  } finally {
    program.destroy();
  }
}
