/**
 * One-dimensional work folded into a grid: no dimension of a dispatch may exceed 65,535 workgroups, so long
 * lists of workgroups are laid out in rows, and `WORKGROUP_INDEX` in the kernel undoes it.
 */
import { cpuLanes, type DeviceCaps } from './caps.ts';

/** Grid for `count` workgroups in a line. The kernel must ignore indices >= `count`. */
export function lineGrid(count: number, caps: DeviceCaps): [number, number, number] {
  const limit = caps.limits.maxComputeWorkgroupsPerDimension;
  if (count <= limit) return [Math.max(1, count), 1, 1];
  const rows = Math.ceil(count / limit);
  return [Math.ceil(count / rows), rows, 1];
}

/** Entry-point parameters that `WORKGROUP_INDEX` needs. */
export const WORKGROUP_BUILTINS =
  '@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>';

/** The index of this workgroup in the line. */
export const WORKGROUP_INDEX = '(workgroup.x + workgroup.y * grid.x)';

/** How a line of steps is cut into workgroups: each runs through a block of them. */
export interface LineTile {
  readonly workgroup: number;
  readonly block: number;
}

/** A step an invocation; where a subgroup is a CPU's vector, one subgroup loops. */
export function lineTile(caps: DeviceCaps): LineTile {
  const vector = cpuLanes(caps);
  return vector > 0 ? { workgroup: vector, block: 64 * vector } : { workgroup: 64, block: 64 };
}

/** The loop over the steps `i` of this workgroup's block between `params.start` and `params.end`. */
export const eachInLine = ({ workgroup, block }: LineTile, body: string): string =>
  `let first = params.start + ${WORKGROUP_INDEX} * ${block}u;
  let end = min(first + ${block}u, params.end);
  for (var i = first + lane; i < end; i += ${workgroup}u) {
${body}
  }`;
