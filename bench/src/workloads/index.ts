/** The families of workloads by the name of their op. */
import { attentionFamily } from './attention.ts';
import { blockFamily } from './block.ts';
import { convFamily } from './conv.ts';
import { groupNormFamily } from './group-norm.ts';
import { layerNormFamily } from './layer-norm.ts';
import { matmulFamily } from './matmul.ts';
import { pointwiseFamily } from './pointwise.ts';
import { resnetFamily } from './resnet.ts';
import { softmaxFamily } from './softmax.ts';
import type { Task } from './task.ts';
import { type Cost, count, type Family } from './workload.ts';

const FAMILIES = {
  attention: attentionFamily,
  block: blockFamily,
  conv: convFamily,
  groupNorm: groupNormFamily,
  layerNorm: layerNormFamily,
  matmul: matmulFamily,
  pointwise: pointwiseFamily,
  resnet: resnetFamily,
  softmax: softmaxFamily,
};

export const familyOf = <T extends Task>(task: T): Family<T> => FAMILIES[task.op] as unknown as Family<T>;

/** Bytes are those of inputs, weights and output, each touched once. */
export function costOf(task: Task): Cost {
  const family = familyOf(task);
  const shapes = [
    ...Object.values(family.inputs(task)),
    ...Object.values(family.weights(task)),
    family.output(task),
  ];
  return { flops: family.flops(task), bytes: shapes.reduce((sum, shape) => sum + 4 * count(shape), 0) };
}

export * from './task.ts';
export * from './workload.ts';
