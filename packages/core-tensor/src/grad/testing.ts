/**
 * Gradients checked against finite differences, for tests. The loss is the product of the output with fixed
 * random numbers, summed in float64 on the host, so that only the output itself is rounded to f32. Differences
 * are taken along random directions, every element moving by the step up or down; an error in any element of
 * the gradient shows in all of them. Fourth order allows steps so large that f32 rounding does not show:
 *
 *     d/dt f(x + t v) ≈ (8 f(x + h v) - 8 f(x - h v) - f(x + 2h v) + f(x - 2h v)) / 12h
 */
import { elementCount } from '@dwm/kernels-wgsl';
import type { Device } from '../device/device.ts';
import { mul } from '../ops/pointwise.ts';
import { sum } from '../ops/reduce.ts';
import { runOp } from '../ops/testing.ts';
import { compile } from '../program.ts';
import { constant, type Tensor, type TensorSpec } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { grad } from './grad.ts';

const DIRECTIONS = 6;

/**
 * Gradients of `fn`'s output with respect to every f32 input against differences. Inputs must be further than
 * two steps from kinks (equal maxima, zeros of `abs`).
 * @param step h; the error of the differences is about h⁴ and 1e-7 / h.
 * @returns relative L2 error by input; absolute where the gradient is zero.
 */
export async function checkGradients<I extends Record<string, TensorSpec>>(
  device: Device,
  inputs: I,
  values: { [K in keyof I]: Float32Array<ArrayBuffer> },
  fn: (inputs: { [K in keyof I]: Tensor }) => Tensor,
  step = 1 / 64,
): Promise<Record<string, number>> {
  const names = Object.keys(inputs).filter((name) => inputs[name].dtype === 'f32');
  const program = await compile(device, inputs, (t) => ({ out: fn(t) }));
  const random = seeded(1);
  const weights = randomNormals(elementCount(program.outputs.out.shape), random);
  const loss = async (x: { [K in keyof I]: Float32Array<ArrayBuffer> }) => {
    const { out } = await program.run(x);
    return dot(await out.read(), weights);
  };
  const gradients: Record<string, ArrayLike<number>> = await runOp(device, inputs, values, (t) => {
    const out = fn(t);
    const total = sum(mul(out, constant(weights, out.shape)), [...out.shape.keys()]);
    const wrt = names.map((name) => t[name]);
    return Object.fromEntries(grad(total, wrt).map((gradient, k) => [names[k], gradient]));
  });
  const errors: Record<string, number> = {};
  for (const name of names) {
    const analytic: number[] = [];
    const differences: number[] = [];
    for (let d = 0; d < DIRECTIONS; d++) {
      const direction = Float32Array.from(values[name], () => (random() < 0.5 ? -1 : 1));
      const at = (steps: number) => {
        const moved = values[name].map((value, i) => value + steps * step * direction[i]);
        return loss({ ...values, [name]: moved });
      };
      const near = (await at(1)) - (await at(-1));
      const far = (await at(2)) - (await at(-2));
      differences.push((8 * near - far) / (12 * step));
      analytic.push(dot(gradients[name], direction));
    }
    const size = Math.hypot(...differences);
    errors[name] = relativeError(analytic, differences) * (size > 1e-4 ? 1 : size);
  }
  program.destroy();
  return errors;
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
}
