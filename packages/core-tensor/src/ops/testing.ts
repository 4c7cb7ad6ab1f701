/** Helpers of op tests: one run of a function with poisoned buffers, and gradient rules on their own. */
import { byteLength, elementCount } from '@dwm/kernels-wgsl';
import type { Device } from '../device/device.ts';
import type { DeviceTensor } from '../device-tensor.ts';
import { planProgram } from '../plan/plan.ts';
import { Program, trace } from '../program.ts';
import { type HostData, type Precision, spec, type Tensor, type TensorSpec } from '../tensor.ts';

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
  const plan = planProgram(trace(inputs, fn), device, precision);
  const program = await Program.create<I, O>(device, plan, inputs);
  for (const output of Object.values(program.outputs)) poison(output);
  await program.run(values);
  const results: Record<string, HostData> = {};
  for (const [name, tensor] of Object.entries(program.outputs)) results[name] = await tensor.read();
  program.destroy();
  return results as { [K in keyof O]: HostData };
}

/** Fills a tensor with NaN bits. */
export function poison(tensor: DeviceTensor): void {
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
