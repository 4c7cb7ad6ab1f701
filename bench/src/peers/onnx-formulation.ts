/** One way to put a task to onnxruntime. */
import type { Arrays } from '../workloads/index.ts';
import type { OnnxNode, OnnxTensor } from './onnx-file.ts';

export interface OnnxFormulation {
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly output: readonly number[];
  readonly nodes: readonly OnnxNode[];
  initializers(weights: Arrays): Readonly<Record<string, OnnxTensor>>;
  /** The graph's inputs from the task's; the task's own where nothing is said. */
  feeds?(inputs: Arrays): Arrays;
  /** The task's result from the graph's output; the same where nothing is said. */
  result?(output: Float32Array): Float32Array;
}

/** For `catch`: throws what onnxruntime says of a node that its provider cannot run in words for our reader. */
export function refuse(error: unknown): never {
  if (!String(error).includes('fallback to CPU EP')) throw error;
  throw new Error('has a node for the CPU only', { cause: error });
}
