/**
 * Rows reduced by teams: a workgroup holds R rows of T invocations each, so that short rows do not idle and
 * long ones are shared. Sums run in a fixed order: each invocation over its own elements, then a tree over
 * the team.
 */
import type { DeviceCaps } from '../caps.ts';

export interface RowTile {
  /** Invocations of one row, a power of two. */
  readonly team: number;
  /** Rows of one workgroup. */
  readonly rows: number;
}

/** Invocations of a workgroup. */
export const ROW_WORKGROUP = 64;

/**
 * On a CPU adapter a barrier costs as much as many steps and lanes load one by one anyway, so a team only pays
 * for very long rows; elsewhere neighbours in a team make loads coalesce.
 */
export function rowTile(steps: number, caps: DeviceCaps): RowTile {
  const stepsEach = caps.adapter.kind === 'software' ? 1024 : 4;
  let team = 1;
  while (team < ROW_WORKGROUP && team * stepsEach < steps) team *= 2;
  return { team, rows: ROW_WORKGROUP / team };
}

/**
 * `fn reduceTeam(lane: u32, value: f32) -> f32`: `combine` over the values of a team, given to all of it. To be
 * called by the whole workgroup.
 */
export function reduceTeam({ team }: RowTile, combine: (a: string, b: string) => string): string {
  if (team === 1) return 'fn reduceTeam(lane: u32, value: f32) -> f32 { return value; }\n';
  return `var<workgroup> teamValues: array<f32, ${ROW_WORKGROUP}>;
fn reduceTeam(lane: u32, value: f32) -> f32 {
  teamValues[lane] = value;
  let place = lane % ${team}u;
  for (var half = ${team / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (place < half) { teamValues[lane] = ${combine('teamValues[lane]', 'teamValues[lane + half]')}; }
  }
  workgroupBarrier();
  let result = teamValues[lane - place];
  workgroupBarrier();
  return result;
}
`;
}
