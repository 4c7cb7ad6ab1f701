/**
 * Checks, then times. Every contender's result is compared with the reference before any clock runs; those that
 * are right are timed in turns (A B C A B C …), so that whatever else the machine does hits all of them, each turn
 * on the next set of inputs. Who computes on the CPU comes last, when the others are gone: a pool of threads that waits
 * for work takes time from whoever is measured beside it.
 */
import type { Contender, OpenCase } from './case.ts';
import type { Prepared } from './peers/index.ts';
import type { Expected } from './workloads/index.ts';

export interface Measurement {
  readonly contender: Contender;
  /** Relative L2 distance from the reference; undefined when there was no result. */
  readonly error: number | undefined;
  /** Why it is listed and not counted. */
  readonly reason: string | undefined;
  /** Milliseconds of a run, one a turn; empty when it is not counted. */
  readonly samples: readonly number[];
}

/** Done right in f32, every workload is far below; f16 inside, or a bad approximation, is above. */
const PEER_TOLERANCE = 1e-3;
/** What we promise of our own. */
const OWN_TOLERANCE = 1e-5;

const MIN_TURNS = 3;
const MAX_TURNS = 41;
/** Who takes this many times as long as ours, and this share of the budget, is not made to run again and again. */
const FAR_BEHIND = 3;
const LARGE_SHARE = 0.2;
/** A turn lasts at least this long: shorter runs are repeated and averaged. */
const TURN_MS = 5;

/** @param budgetMs about how long to time all contenders together; a few turns are always done. */
export async function measure(open: OpenCase, budgetMs: number): Promise<Measurement[]> {
  const { contenders } = open;
  const onCpu = contenders.filter(({ runsOn }) => runsOn === 'cpu');
  const others = contenders.filter((each) => !onCpu.includes(each));
  const found: Measurement[] = [];
  for (const group of [others, onCpu])
    found.push(...(await race(open, group, (budgetMs * group.length) / contenders.length)));
  const order = (m: Measurement) => contenders.indexOf(m.contender);
  return found.sort((a, b) => order(a) - order(b));
}

/** Those of `group` in turns. */
async function race(
  { expected, sets, contenders: [ours] }: OpenCase,
  group: readonly Contender[],
  budgetMs: number,
): Promise<Measurement[]> {
  const ready: { contender: Contender; prepared: Prepared; error: number; ms: number; samples: number[] }[] =
    [];
  const refused: Measurement[] = [];
  try {
    for (const contender of group) {
      let prepared: Prepared | undefined;
      let error: number | undefined;
      try {
        prepared = await contender.prepare();
        // Another set first: what set 0 gives must not depend on it.
        await prepared.run(sets - 1);
        const start = performance.now();
        await prepared.run(0);
        const ms = performance.now() - start;
        error = await errorOf(prepared, contender.expected ?? expected, sets);
        const tolerance = contender === ours ? OWN_TOLERANCE : PEER_TOLERANCE;
        if (!(error <= tolerance)) throw new Error(`wrong: relative error ${error.toExponential(1)}`);
        ready.push({ contender, prepared, error, ms, samples: [] });
      } catch (failure) {
        await prepared?.dispose().catch(() => {});
        refused.push({ contender, error, reason: oneLine(failure), samples: [] });
      }
    }
    // One way of each peer is timed: the fastest by this first look.
    const others = ready.filter(({ contender: { peer }, ms }) =>
      ready.some((other) => other.contender.peer === peer && other.ms < ms),
    );
    for (const other of others) {
      ready.splice(ready.indexOf(other), 1);
      await other.prepared.dispose();
    }
    // They run in the first turn only: on a software adapter a slow peer would take most of the whole run.
    const [fastest] = ready.toSorted((a, b) => a.ms - b.ms);
    const late = ready.filter(
      ({ contender, ms }) =>
        contender !== ours && ms > FAR_BEHIND * fastest.ms && ms > LARGE_SHARE * budgetMs,
    );
    for (const { samples, ms } of late) samples.push(ms);
    const racing = ready.filter((each) => !late.includes(each));
    const turnMs = racing.reduce((sum, { ms }) => sum + Math.max(ms, TURN_MS), 0);
    const turns = Math.min(MAX_TURNS, Math.max(MIN_TURNS, Math.round(budgetMs / turnMs)));
    for (let turn = 0; turn < turns; turn++) {
      for (const { prepared, ms, samples } of turn === 0 ? ready : racing) {
        const runs = Math.max(1, Math.ceil(TURN_MS / ms));
        const start = performance.now();
        for (let run = 0; run < runs; run++) await prepared.run((turn * runs + run + 1) % sets);
        samples.push((performance.now() - start) / runs);
      }
    }
  } finally {
    for (const { prepared } of ready) await prepared.dispose();
  }
  const counted = ready.map(({ contender, error, samples }) => ({
    contender,
    error,
    reason: undefined,
    samples,
  }));
  return [...counted, ...refused];
}

/** Of the last result, that of set 0. */
async function errorOf(prepared: Prepared, expected: OpenCase['expected'], sets: number): Promise<number> {
  const got = await prepared.read();
  if (expected !== 'repeatable') return relativeError(got, expected);
  for (const set of [sets - 1, 0]) await prepared.run(set);
  const again = await prepared.read();
  return got.every((value, i) => Number.isFinite(value) && value === again[i]) ? 0 : Number.NaN;
}

/** ||got - want|| / ||want|| over the elements we know. */
function relativeError(got: Float32Array, { at, values }: Expected): number {
  let difference = 0;
  let norm = 0;
  for (const [i, value] of values.entries()) {
    difference += (got[at[i]] - value) ** 2;
    norm += value ** 2;
  }
  return Math.sqrt(difference / norm);
}

const oneLine = (failure: unknown): string =>
  (failure instanceof Error ? failure.message : String(failure)).split('\n')[0].slice(0, 200);

/** The value below which the share `q` of the sorted values lies, interpolated. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.ceil(at);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

/**
 * An interval that holds the median of what the values are drawn from with at least 95%, whatever their distribution:
 * between two of them, by the binomial distribution of how many lie below. Fewer than 6 values reach less.
 */
export function medianInterval(values: readonly number[]): [number, number] {
  const sorted = values.toSorted((a, b) => a - b);
  const n = sorted.length;
  let probability = 0.5 ** n;
  let below = probability;
  let rank = 0;
  while (rank + 1 < n / 2) {
    probability *= (n - rank) / (rank + 1);
    if (below + probability > 0.025) break;
    below += probability;
    rank++;
  }
  return [sorted[rank], sorted[n - 1 - rank]];
}
