/** What the kernels of a plan compute and move, counted on paper. */
import type { Plan } from './plan.ts';

/** All dispatches of one kernel. */
export interface KernelWork {
  /** Step and kernel, e.g. `matmul+: matmul/matrix 128x128 of 16x16x16`. */
  readonly kernel: string;
  readonly dispatches: number;
  readonly flops: number;
  /** Between memory and the caches. */
  readonly bytes: number;
  /** Arithmetic intensity: FLOPs for each byte. */
  readonly flopsPerByte: number;
}

/** Of plans that run so many times each, by kernel, the most FLOPs first. */
export function workByKernel(
  plans: readonly { readonly plan: Pick<Plan, 'dispatches'>; readonly times: number }[],
): KernelWork[] {
  const sums = new Map<string, { dispatches: number; flops: number; bytes: number }>();
  for (const { plan, times } of plans) {
    for (const { label, cost } of plan.dispatches) {
      const { dispatches, flops, bytes } = sums.get(label) ?? { dispatches: 0, flops: 0, bytes: 0 };
      sums.set(label, {
        dispatches: dispatches + times,
        flops: flops + times * cost.flops,
        bytes: bytes + times * cost.bytes,
      });
    }
  }
  return [...sums]
    .map(([kernel, sum]) => ({ kernel, ...sum, flopsPerByte: sum.flops / sum.bytes }))
    .sort((a, b) => b.flops - a.flops || b.bytes - a.bytes);
}
