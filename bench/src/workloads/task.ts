/** A workload is data: what is computed, at which size. */
import type { Attention } from './attention.ts';
import type { Block } from './block.ts';
import type { Conv } from './conv.ts';
import type { GroupNorm } from './group-norm.ts';
import type { LayerNorm } from './layer-norm.ts';
import type { Matmul } from './matmul.ts';
import type { Pointwise } from './pointwise.ts';
import type { Resnet } from './resnet.ts';
import type { Softmax } from './softmax.ts';

export type Task = Attention | Block | Conv | GroupNorm | LayerNorm | Matmul | Pointwise | Resnet | Softmax;

export interface Workload<T extends Task = Task> {
  /** Says the shape, and what of the model it is. */
  readonly name: string;
  readonly task: T;
}
