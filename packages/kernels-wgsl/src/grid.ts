/**
 * Grids of any size: no dimension of a dispatch may exceed 65,535 workgroups, so larger grids are laid out anew in
 * rows and layers, and `WORKGROUP_INDEX` in the kernel counts through them. Kernels work from that index alone.
 */
import { cpuLanes, type DeviceCaps } from './caps.ts';
import { TooLargeError } from './errors.ts';

type Grid = [number, number, number];

/**
 * The grid itself where it fits, else as few more workgroups as there can be, in an order that keeps the index of
 * each. The kernel must ignore indices from the product of `counts` on.
 * @throws TooLargeError for more workgroups than three dimensions hold.
 */
export function foldGrid(counts: Readonly<Grid>, caps: DeviceCaps): Grid {
  const limit = caps.limits.maxComputeWorkgroupsPerDimension;
  const [x, y, z] = counts.map((count) => Math.max(1, count));
  if (Math.max(x, y, z) <= limit) return [x, y, z];
  const count = x * y * z;
  if (count > limit ** 3) {
    throw new TooLargeError(
      `${counts.join(' x ')} workgroups, but this device runs at most ${limit} x ${limit} x ${limit}`,
      count,
      limit ** 3,
    );
  }
  const layers = Math.ceil(count / limit ** 2);
  const rows = Math.ceil(count / layers / limit);
  return [Math.ceil(count / layers / rows), rows, layers];
}

/** Grid for `count` workgroups in a line. The kernel must ignore indices >= `count`. */
export const lineGrid = (count: number, caps: DeviceCaps): Grid => foldGrid([count, 1, 1], caps);

/** Entry-point parameters that `WORKGROUP_INDEX` needs. */
export const WORKGROUP_BUILTINS =
  '@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>';

/** The index of this workgroup: x first, then y, then z. */
export const WORKGROUP_INDEX = '(workgroup.x + grid.x * (workgroup.y + grid.y * workgroup.z))';

/** How a line of steps is cut into workgroups: each runs through a block of them. */
interface LineTile {
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
