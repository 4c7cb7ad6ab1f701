/**
 * Tensors are symbols: a shape, a dtype and where the value comes from. Model code is plain functions over
 * them; calling one records a node. Nothing runs until a graph is planned and compiled (`program.ts`).
 */
import {
  type DType,
  elementCount,
  type HalfRows,
  type KernelTarget,
  type Lowering,
  type Rotation,
} from '@dwm/kernels-wgsl';
import type { Access, Expression, Fusion } from '@dwm/kernels-wgsl/pointwise';
import type { DeviceTensor } from './device-tensor.ts';
import { InvalidArgumentError } from './errors.ts';
import { type HostData, requireShape, type TensorSpec } from './spec.ts';

export * from './spec.ts';

/** Where a tensor's value comes from. */
export type Source =
  | { readonly kind: 'input'; readonly name: string }
  | { readonly kind: 'parameter'; readonly tensor: DeviceTensor }
  | { readonly kind: 'constant'; readonly data: HostData }
  | { readonly kind: 'node'; readonly node: Node; readonly index: number };

/** Work of an op: floating-point operations, and bytes read and written at least once. */
export interface Cost {
  readonly flops: number;
  readonly bytes: number;
}

/**
 * An op's gradient rule: from the gradients of its outputs (undefined where nothing flows back) to those of
 * its inputs. Inputs that nobody asks for (`needed` false) must cost nothing.
 */
export type Vjp = (context: {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly gradients: readonly (Tensor | undefined)[];
  readonly needed: readonly boolean[];
}) => readonly (Tensor | undefined)[];

/** Elementwise over the broadcast inputs; free to be fused anywhere. Operand k is input k. */
export interface PointwiseOp {
  readonly kind: 'pointwise';
  readonly name: string;
  readonly expression: Expression;
}

/** Another way to read the only input: costs nothing where the reader takes strides, else one copy. */
export interface ViewOp {
  readonly kind: 'view';
  readonly name: string;
  /** What the view does; its gradient is the transposed map (`grad/views.ts`). */
  readonly map: ViewMap;
  /** Access over the output's dims, given the input's; undefined when no affine map does it. */
  view(input: Access): Access | undefined;
}

/** What a view does to the coordinates of its input. */
export type ViewMap =
  | { readonly kind: 'reshape' }
  | { readonly kind: 'broadcastTo' }
  | { readonly kind: 'stopGradient' }
  | { readonly kind: 'permute'; readonly order: readonly number[] }
  | { readonly kind: 'slice'; readonly dim: number; readonly start: number }
  | {
      readonly kind: 'repeat';
      readonly dim: number;
      readonly factor: number;
      readonly keepFirst: boolean;
    };

/** What a program is planned for. */
export interface Target extends KernelTarget {
  /** `f16` lets matmul, convolution and attention multiply in f16, scaled against overflow; sums stay in f32. */
  readonly precision: Precision;
}

/** Type that a kernel multiplies in; sums are f32 in both. */
export type Precision = 'f32' | 'f16';

/** Elementwise work done on a kernel's output 0 before it is stored, as `dtype`. */
export interface Epilogue {
  readonly fusion: Fusion;
  readonly dtype: DType;
  /** Where f32 results are wished as scaled halves; a kernel that cannot makes f32. */
  readonly halfRows?: HalfRows | undefined;
}

/** Real work, one kernel family. Shapes and attributes are closed over when the op is recorded. */
export interface KernelOp {
  readonly kind: 'kernel';
  readonly name: string;
  readonly cost: Cost;
  /** Whether `lower` takes an epilogue for output 0. */
  readonly epilogue: boolean;
  /** Storage bindings that the kernels use besides the epilogue's operands. */
  readonly bindings: number;
  readonly vjp?: Vjp;
  /** Without an epilogue: whether `lower` takes one that only wishes output 0 as scaled halves. */
  readonly halfRows?: boolean;
  /** What is rotated by position, tokens of heads, by two tables that are the inputs after it. */
  readonly rotation?: Rotation;
  /** This op with its result rotated so; the tables are its last inputs. Undefined where it cannot. */
  rotated?(rotation: Rotation): KernelOp | undefined;
  /** Whether `lower` takes elementwise work that makes its only input, instead of the input. */
  readonly prologue?: boolean;
  /**
   * Epilogue operand k of the fusion is input `inputs.length + k` of the lowering; prologue operand k is input k,
   * and its flat index is that of the input it stands for.
   */
  lower(target: Target, epilogue: Epilogue | undefined, prologue?: Fusion): Lowering;
}

/** The three kinds of op. */
export type Op = PointwiseOp | ViewOp | KernelOp;

/** An op with its inputs. */
export interface Node {
  readonly op: Op;
  readonly inputs: readonly Tensor[];
  readonly outputs: Tensor[];
}

let created = 0;

/** The id of the next tensor. */
export const tensorsCreated = (): number => created;

/** A symbol for a value: shape, element type, and where it comes from. */
export class Tensor implements TensorSpec {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly source: Source;
  /** Creation order, which is also a topological order. */
  readonly id: number;

  constructor(shape: readonly number[], dtype: DType, source: Source) {
    requireShape(shape, source.kind === 'node' ? source.node.op.name : source.kind);
    this.shape = shape;
    this.dtype = dtype;
    this.source = source;
    this.id = created++;
  }
}

/** Records one node; its outputs in the order of `outputs`. */
export function record(op: Op, inputs: readonly Tensor[], outputs: readonly TensorSpec[]): Tensor[] {
  const node: Node = { op, inputs, outputs: [] };
  for (const [index, { shape, dtype }] of outputs.entries()) {
    node.outputs.push(new Tensor(shape, dtype, { kind: 'node', node, index }));
  }
  return node.outputs;
}

/** A tensor whose value is given at every run. */
export const input = (name: string, { shape, dtype }: TensorSpec): Tensor =>
  new Tensor(shape, dtype, { kind: 'input', name });

/** A tensor that already lives on the device, e.g. a weight. */
export const parameter = (tensor: DeviceTensor): Tensor =>
  new Tensor(tensor.shape, tensor.dtype, { kind: 'parameter', tensor });

/** A tensor of host values, uploaded once when the program is compiled. f32 from a Float32Array and so on. */
export function constant(data: HostData, shape: readonly number[], dtype: DType = hostDtype(data)): Tensor {
  if (data.length !== elementCount(shape)) {
    throw new InvalidArgumentError('constant', `${data.length} values cannot have shape [${shape}]`);
  }
  return new Tensor(shape, dtype, { kind: 'constant', data });
}

function hostDtype(data: HostData): DType {
  if (data instanceof Float32Array) return 'f32';
  if (data instanceof Uint32Array) return 'u32';
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Uint8Array) return 'u8';
  return 'f16';
}
