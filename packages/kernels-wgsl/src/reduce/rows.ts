/**
 * Rows reduced by teams: a workgroup holds some rows of as many invocations each, so that short rows do not idle
 * and long ones are shared. Sums run in a fixed order: each invocation over its own elements, then a tree over
 * the team.
 */
import { cpuLanes, type DeviceCaps } from '../caps.ts';

export interface RowTile {
  /** Invocations of one row, a power of two. */
  readonly team: number;
  /** Rows of one workgroup. */
  readonly rows: number;
  /** Invocations of a workgroup. */
  readonly workgroup: number;
  /** Whether a team is a whole subgroup, which reduces without barriers. */
  readonly subgroup: boolean;
  /** Directive for the top of the module. */
  readonly enables: string;
}

const WORKGROUP = 64;

/**
 * Where a subgroup is a CPU's vector, it is the team, and the whole workgroup; a row shorter than a few vectors is
 * left to one lane. Elsewhere neighbours in a team make loads coalesce, but on a CPU a barrier costs as much as
 * many steps.
 */
export function rowTile(steps: number, caps: DeviceCaps): RowTile {
  const vector = cpuLanes(caps);
  if (vector > 0) {
    return steps >= 4 * vector
      ? { team: vector, rows: 1, workgroup: vector, subgroup: true, enables: 'enable subgroups;\n' }
      : { team: 1, rows: vector, workgroup: vector, subgroup: false, enables: '' };
  }
  const stepsEach = caps.adapter.kind === 'software' ? 1024 : 4;
  let team = 1;
  while (team < WORKGROUP && team * stepsEach < steps) team *= 2;
  return { team, rows: WORKGROUP / team, workgroup: WORKGROUP, subgroup: false, enables: '' };
}

const COMBINE = {
  add: (a: string, b: string) => `${a} + ${b}`,
  max: (a: string, b: string) => `max(${a}, ${b})`,
};
const SUBGROUP = { add: 'subgroupAdd', max: 'subgroupMax' };

type TeamOperation = keyof typeof COMBINE;

/**
 * `fn team_<operation>(lane: u32, value: f32) -> f32` for each operation: it over the values of a team, given to
 * all of it. To be called by the whole workgroup.
 */
export function reduceTeam(
  { team, workgroup, subgroup }: RowTile,
  ...operations: readonly TeamOperation[]
): string {
  const named = (operation: TeamOperation, body: string) =>
    `fn team_${operation}(lane: u32, value: f32) -> f32 {${body}}\n`;
  if (team === 1) return operations.map((operation) => named(operation, ' return value; ')).join('');
  if (subgroup)
    return operations
      .map((operation) => named(operation, ` return ${SUBGROUP[operation]}(value); `))
      .join('');
  const functions = operations.map((operation) =>
    named(
      operation,
      `
  teamValues[lane] = value;
  let place = lane % ${team}u;
  for (var half = ${team / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (place < half) { teamValues[lane] = ${COMBINE[operation]('teamValues[lane]', 'teamValues[lane + half]')}; }
  }
  workgroupBarrier();
  let result = teamValues[lane - place];
  workgroupBarrier();
  return result;
`,
    ),
  );
  return `var<workgroup> teamValues: array<f32, ${workgroup}>;\n${functions.join('')}`;
}

/** The row of this workgroup's that the invocation `lane` works on. */
export const rowOfLane = ({ team, rows }: RowTile): string => (rows === 1 ? '0u' : `lane / ${team}u`);

/**
 * A loop of an invocation over its steps `s` of a row of `steps`, the whole team side by side.
 * @param whole whether a team's vectors divide the row.
 * @param together steps of an invocation that are written out in one turn; only where they divide its steps.
 */
export function eachStep(
  { team }: RowTile,
  steps: string,
  whole: boolean,
  body: string,
  together = 1,
): string {
  if (team === 1) return `for (var s = 0u; s < ${steps}; s++) {\n${body}\n  }`;
  const guarded = whole ? body : `if (s < ${steps}) {\n${body}\n  }`;
  const turn = Array.from(
    { length: together },
    (_, k) => `  { let s = base + ${k * team}u + lane % ${team}u;\n  ${guarded} }`,
  );
  return `for (var base = 0u; base < ${steps}; base += ${together * team}u) {\n${turn.join('\n')}\n  }`;
}
