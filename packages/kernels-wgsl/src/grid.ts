/**
 * One-dimensional work folded into a grid: no dimension of a dispatch may exceed 65,535 workgroups, so long
 * lists of workgroups are laid out in rows, and `WORKGROUP_INDEX` in the kernel undoes it.
 */
import type { DeviceCaps } from './caps.ts';

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
