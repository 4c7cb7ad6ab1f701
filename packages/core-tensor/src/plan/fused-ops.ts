/**
 * What is left to run, as nodes are taken in order: elementwise work is merged with what only it reads, becomes the
 * epilogue of the kernel that it reads or the prologue of the one that reads it, a norm rotates its result by position,
 * and what must be dense and is not is copied.
 */
import {
  byteLength,
  bytesOf,
  type DeviceCaps,
  elementCount,
  type Rotation,
  storesSingly,
  valueType,
} from '@dwm/kernels-wgsl';
import { accumulator, type Expression, isDense, offsetAlignment } from '@dwm/kernels-wgsl/pointwise';
import type { KernelOp, Tensor, TensorSpec } from '../tensor.ts';
import { copyDraft, type Draft, draftOf, inline, reshapeDraft } from './drafts.ts';
import { denseBase, denseWindow, resolve } from './views.ts';

/** What an op reads: `bytes` from `byteOffset` on of the tensor that holds them. */
export interface StepInput {
  readonly tensor: Tensor;
  readonly byteOffset: number;
  readonly bytes: number;
}

/** A kernel with the work that is fused into it, or elementwise work alone. */
export interface FusedOp {
  readonly output: Tensor;
  readonly kernel?: {
    readonly op: KernelOp;
    readonly inputs: readonly StepInput[];
    readonly outputs: readonly Tensor[];
    /** What the kernel reads instead of its input; `inputs` are its tensors. */
    readonly prologue?: Draft;
  };
  /** After the kernel, or alone. */
  readonly draft?: Draft;
}

export const tensorBytes = (tensor: TensorSpec): number =>
  byteLength(elementCount(tensor.shape), tensor.dtype);

export const whole = (tensor: Tensor): StepInput => ({ tensor, byteOffset: 0, bytes: tensorBytes(tensor) });

export class FusedOps {
  readonly #caps: DeviceCaps;
  readonly #mostBindings: number;
  readonly #readers: ReadonlyMap<Tensor, number>;
  /** Outputs of the program, as views and as what holds their bytes. */
  readonly #requested: ReadonlySet<Tensor>;
  readonly #kept: ReadonlySet<Tensor | undefined>;
  /** In the order they run, by output. */
  readonly #ops = new Map<Tensor, FusedOp>();

  /** @param readers how many nodes and outputs read each tensor that holds bytes. */
  constructor(caps: DeviceCaps, outputs: readonly Tensor[], readers: ReadonlyMap<Tensor, number>) {
    this.#caps = caps;
    this.#mostBindings = caps.limits.maxStorageBuffersPerShaderStage;
    this.#readers = readers;
    this.#requested = new Set(outputs);
    this.#kept = new Set(outputs.map((tensor) => denseBase(tensor)));
  }

  get inOrder(): FusedOp[] {
    return [...this.#ops.values()];
  }

  /** A tensor with the dense bytes of `tensor`: itself, what it views, or a copy. */
  dense(tensor: Tensor): Tensor {
    const base = denseBase(tensor);
    if (base) return base;
    if (!this.#ops.has(tensor))
      this.#put({ output: tensor, draft: copyDraft(tensor.shape, resolve(tensor)) });
    return tensor;
  }

  view(viewed: Tensor, output: Tensor): void {
    // Strides cannot say it, which only happens to a reshape: copy densely in the input's own shape.
    if (resolve(output).base === output)
      this.#put({ output, draft: copyDraft(viewed.shape, resolve(viewed)) });
    // A strided program output is copied here and not at the end, so that its base need not live on.
    else if (this.#requested.has(output)) this.dense(output);
  }

  pointwise(expression: Expression, inputs: readonly Tensor[], output: Tensor): void {
    const draft = this.#withProducers(draftOf(expression, inputs, output.shape), output);
    this.#put(this.#asEpilogue(draft, output) ?? { output, draft });
  }

  kernel(op: KernelOp, given: readonly Tensor[], outputs: readonly Tensor[]): void {
    const inputs = given.map((tensor) => this.#kernelInput(tensor));
    const rotated = op.rotation && this.#takeRotated(inputs, op.rotation);
    const prologue = op.prologue ? this.#takePrologue(inputs[0], op) : undefined;
    this.#put({
      output: outputs[0],
      kernel: rotated
        ? { ...rotated, outputs }
        : prologue
          ? { op, inputs: prologue.tensors.map(whole), outputs, prologue }
          : { op, inputs, outputs },
    });
  }

  #put(op: FusedOp): void {
    this.#ops.delete(op.output);
    this.#ops.set(op.output, op);
  }

  /** `dense` for a kernel, which also reads an aligned part of a larger tensor. */
  #kernelInput(tensor: Tensor): StepInput {
    const found = denseWindow(tensor);
    const byteOffset = (found?.offset ?? 0) * bytesOf(tensor.dtype);
    if (!found || byteOffset % offsetAlignment(this.#caps) !== 0) return whole(this.dense(tensor));
    return { ...whole(tensor), tensor: found.base, byteOffset };
  }

  /** What makes operand `k`, if only this draft reads it, element by element. */
  #producerOf(draft: Draft, k: number, output: Tensor): FusedOp | undefined {
    const base = draft.tensors[k];
    const producer = this.#ops.get(base);
    if (!producer || this.#readers.get(base) !== 1 || this.#kept.has(base)) return undefined;
    if (draft.tensors.filter((tensor) => tensor === base).length > 1) return undefined;
    if (elementCount(base.shape) !== elementCount(output.shape)) return undefined;
    const floats = producer.output.dtype === 'f32' && valueType(output.dtype) === 'f32';
    return floats && isDense(draft.accesses[k], output.shape) ? producer : undefined;
  }

  /** The draft with the elementwise work before it, as far as the bindings reach. */
  #withProducers(alone: Draft, output: Tensor): Draft {
    let draft = alone;
    for (let k = 0; k < draft.tensors.length; ) {
      const producer = this.#producerOf(draft, k, output);
      const inner =
        producer?.draft && !producer.kernel ? reshapeDraft(producer.draft, output.shape) : undefined;
      const merged = inner && inline(draft, k, inner);
      if (producer && merged && merged.tensors.length + 1 <= this.#mostBindings) {
        this.#ops.delete(producer.output);
        draft = merged;
        k = 0;
      } else k++;
    }
    return draft;
  }

  /** The kernel before the draft, taken off the list, with the draft as its epilogue; the last operand's if several. */
  #asEpilogue(draft: Draft, output: Tensor): FusedOp | undefined {
    if (!storesSingly(output.dtype, this.#caps)) return undefined;
    for (let k = draft.tensors.length - 1; k >= 0; k--) {
      const producer = this.#producerOf(draft, k, output);
      if (!producer?.kernel?.op.epilogue || producer.kernel.outputs.length > 1) continue;
      const inner = producer.draft
        ? reshapeDraft(producer.draft, output.shape)
        : { shape: output.shape, expression: accumulator, tensors: [], accesses: [] };
      if (!inner) continue;
      const merged = inline(draft, k, inner);
      if (merged.tensors.length + producer.kernel.op.bindings > this.#mostBindings) continue;
      this.#ops.delete(producer.output);
      return { output, kernel: { ...producer.kernel, outputs: [output] }, draft: merged };
    }
    return undefined;
  }

  /** The kernel behind what is rotated by position, taken off the list, if only this reads that and it can rotate it. */
  #takeRotated(
    [{ tensor, bytes }, ...tables]: readonly StepInput[],
    rotation: Rotation,
  ): { op: KernelOp; inputs: readonly StepInput[] } | undefined {
    const producer = this.#ops.get(tensor);
    if (!producer?.kernel || producer.draft || bytes < tensorBytes(tensor)) return undefined;
    if (this.#readers.get(tensor) !== 1 || this.#kept.has(tensor)) return undefined;
    const op = producer.kernel.op.rotated?.(rotation);
    if (!op || op.bindings > this.#mostBindings) return undefined;
    this.#ops.delete(tensor);
    return { op, inputs: [...producer.kernel.inputs, ...tables] };
  }

  /** The elementwise work behind `input`, taken off the list, if only `op` reads it and can do it itself. */
  #takePrologue({ tensor: input, bytes: used }: StepInput, op: KernelOp): Draft | undefined {
    const producer = this.#ops.get(input);
    if (!producer?.draft || producer.kernel || input.dtype !== 'f32' || used < tensorBytes(input))
      return undefined;
    // A copy of a view is not counted: it is made again for another reader.
    const readers = this.#readers.get(input) ?? 1;
    if (readers > 1 || this.#kept.has(input) || this.#requested.has(input)) return undefined;
    const { tensors } = producer.draft;
    const { maxStorageBufferBindingSize } = this.#caps.limits;
    const bindable = tensors.every((tensor) => tensorBytes(tensor) <= maxStorageBufferBindingSize);
    if (!bindable || tensors.length - 1 + op.bindings > this.#mostBindings) return undefined;
    this.#ops.delete(input);
    return producer.draft;
  }
}
