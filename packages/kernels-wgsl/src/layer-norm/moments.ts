/**
 * Mean and variance of a row in one pass, for the forward and the backward kernels, on deviations from an origin in
 * the row, so that a large common offset costs no precision. Each invocation runs Welford's recurrence over its
 * steps; a team joins what its invocations and their lanes found by Chan's formula:
 *
 *     mean = sum(n_i mean_i) / C,   M2 = sum(M2_i + n_i (mean_i - mean)^2),   rstd = 1 / sqrt(M2 / C + eps)
 *
 * Where a team is a CPU's vector, whose arithmetic counts beside its loads, it takes plain sums of the deviations d:
 *
 *     mean = sum(d) / C,   M2 / C = sum(d^2) / C - mean^2
 *
 * What cancels there is bounded by the origin: the mean of any m elements of a row lies within sqrt(C / m) standard
 * deviations of the row's mean, so with those of the team's first step the variance loses at most C / m roundings,
 * and that only where all of them lie far off together.
 *
 * Without centering (root mean square) it is the sum of squares alone.
 */
import type { DType } from '../dtype.ts';
import { eachStep, type RowTile, reduceTeam } from '../reduce/rows.ts';
import { type Lanes, lanesType } from '../storage.ts';

/**
 * `struct Moments { origin, mean, rstd }`, with the mean taken from the origin; `fn rowMoments(lane, at, steps) ->
 * Moments` of the row whose step 0 is `loadX(at)`, to be called by the whole workgroup with `steps` 0 for no row; and
 * `fn normalized(x, moments)`. Needs `fn loadX(at: u32)` and `params.channels` and `params.eps`, both f32.
 */
export function rowMoments(tile: RowTile, steps: number, lanes: Lanes, center: boolean): string {
  const type = lanesType('f32' satisfies DType, lanes);
  const sum = (value: string) => (lanes === 4 ? `dot(${value}, vec4<f32>(1.0))` : value);
  const whole = steps % tile.team === 0;
  const together = [4, 2, 1].find((count) => steps % (count * tile.team) === 0) ?? 1;
  const struct = `struct Moments { origin: f32, mean: f32, rstd: f32 }
${reduceTeam(tile, 'add')}`;
  if (!center) {
    return `${struct}
fn rowMoments(lane: u32, at: u32, steps: u32) -> Moments {
  var squares = ${type}(0);
  ${eachStep(tile, 'steps', whole, '    let value = loadX(at + s);\n    squares += value * value;', together)}
  return Moments(0.0, 0.0, 1.0 / sqrt(team_add(lane, ${sum('squares')}) / params.channels + params.eps));
}
fn normalized(x: ${type}, moments: Moments) -> ${type} { return x * moments.rstd; }
`;
  }
  const normalized = `fn normalized(x: ${type}, moments: Moments) -> ${type} {
  return ((x - moments.origin) - moments.mean) * moments.rstd;
}
`;
  if (tile.subgroup) {
    return `${struct}
fn rowMoments(lane: u32, at: u32, steps: u32) -> Moments {
  let origin = team_add(lane, ${sum('loadX(at + lane)')}) * ${1 / (tile.team * lanes)};
  var sums = ${type}(0);
  var squares = ${type}(0);
  ${eachStep(
    tile,
    'steps',
    whole,
    `    let value = loadX(at + s) - origin;
    sums += value;
    squares += value * value;`,
    together,
  )}
  let mean = team_add(lane, ${sum('sums')}) / params.channels;
  let variance = max(0.0, team_add(lane, ${sum('squares')}) / params.channels - mean * mean);
  return Moments(origin, mean, 1.0 / sqrt(variance + params.eps));
}
${normalized}`;
  }
  return `${struct}
fn rowMoments(lane: u32, at: u32, steps: u32) -> Moments {
  let origin = ${lanes === 4 ? 'loadX(at).x' : 'loadX(at)'};
  var n = 0.0;
  var mean = ${type}(0);
  var m2 = ${type}(0);
  ${eachStep(
    tile,
    'steps',
    whole,
    `    n += 1.0;
    let value = loadX(at + s) - origin;
    let before = value - mean;
    mean += before * (1.0 / n);
    m2 += before * (value - mean);`,
  )}
  let all = team_add(lane, n * ${sum('mean')}) / params.channels;
  let apart = mean - all;
  let squares = team_add(lane, ${sum('m2')} + n * ${sum('(apart * apart)')});
  return Moments(origin, all, 1.0 / sqrt(squares / params.channels + params.eps));
}
${normalized}`;
}
