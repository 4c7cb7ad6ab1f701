/** Helpers of op tests: random values, poisoned buffers and the error measure of the whole project. */

import { byteLength, elementCount } from '@dwm/kernels-wgsl';
import type { Device } from '../device/device.ts';
import type { DeviceTensor } from '../device-tensor.ts';
import { planProgram } from '../plan/plan.ts';
import { Program, trace } from '../program.ts';
import { type HostData, type Precision, spec, type Tensor, type TensorSpec } from '../tensor.ts';

/** Small fast generator (mulberry32) for reproducible tests; uniform in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Normal values by Box and Muller. */
export function randomNormals(count: number, random: () => number): Float32Array {
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
}

/** ||got - want|| / ||want||; NaN anywhere makes it NaN, which fails every bound. */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) throw new Error(`${got.length} values against ${want.length}`);
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < want.length; i++) {
    difference += (got[i] - want[i]) ** 2;
    norm += want[i] ** 2;
  }
  return Math.sqrt(difference) / Math.max(Math.sqrt(norm), 1e-30);
}

/**
 * Runs `fn` once on host values, every output buffer filled with NaN bits before, and reads all outputs back.
 */
export async function runOp<I extends Record<string, TensorSpec>, O extends Record<string, Tensor>>(
  device: Device,
  inputs: I,
  values: { [K in keyof I]: HostData },
  fn: (inputs: { [K in keyof I]: Tensor }) => O,
  precision: Precision = 'f32',
): Promise<{ [K in keyof O]: HostData }> {
  const plan = planProgram(trace(inputs, fn), device.caps, precision);
  const program = await Program.create<I, O>(device, plan, inputs);
  for (const output of Object.values(program.outputs)) poison(output);
  await program.run(values);
  const results: Record<string, HostData> = {};
  for (const [name, tensor] of Object.entries(program.outputs)) results[name] = await tensor.read();
  program.destroy();
  return results as { [K in keyof O]: HostData };
}

function poison(tensor: DeviceTensor): void {
  const words = byteLength(elementCount(tensor.shape), tensor.dtype) / 4;
  tensor.device.gpu.queue.writeBuffer(tensor.buffer.gpu, 0, new Uint32Array(words).fill(0x7fc07fc0));
}

/**
 * The gradients of the op that made `output`, by its own rule, for those of its outputs; all inputs are needed
 * unless `needed` says otherwise.
 */
export function applyVjp(
  output: Tensor,
  gradients: readonly (Tensor | undefined)[],
  needed?: readonly boolean[],
): readonly (Tensor | undefined)[] {
  const { source } = output;
  if (source.kind !== 'node' || source.node.op.kind !== 'kernel' || !source.node.op.vjp) {
    throw new Error('the tensor was not made by an op with a gradient rule');
  }
  const { op, inputs, outputs } = source.node;
  return op.vjp!({ inputs, outputs, gradients, needed: needed ?? inputs.map(() => true) });
}

export { spec };
