/** From measured milliseconds to what is reported. */
import type { Peaks } from '@dwm/core-tensor/tune';
import { type Measurement, medianInterval, quantile } from './measure.ts';
import type { Cost } from './workloads/index.ts';

export interface Row {
  readonly suite: string;
  readonly workload: string;
  /** The benchmark's adapter. */
  readonly adapter: string;
  /** `dwm` is ours. */
  readonly peer: string;
  readonly formulation: string;
  readonly runsOn: 'shared' | 'own' | 'cpu';
  /** The peer's time by ours, the median over turns: above 1 we are faster. null where it is not counted. */
  readonly ratio: number | null;
  /** Where that median lies with 95%. */
  readonly ratioInterval: readonly [number, number] | null;
  /** Median of one run. */
  readonly ms: number | null;
  /** Interquartile range by the median. */
  readonly spread: number | null;
  readonly gflops: number | null;
  readonly gbps: number | null;
  /** Time at the adapter's measured peak, or of the copy in the same turns, by the time it took. */
  readonly percentOfPeak: number | null;
  readonly bound: 'compute' | 'memory';
  /** Relative L2 distance from float64. */
  readonly error: number | null;
  readonly turns: number;
  /** Why it is not counted. */
  readonly reason: string | null;
}

/** What was measured of one workload. */
export interface Finding {
  readonly suite: string;
  readonly workload: string;
  readonly cost: Cost;
  readonly measurements: readonly Measurement[];
  /** Of a copy of as many bytes, in the same turns: its median. */
  readonly copyGBps?: number;
}

/** The milliseconds that work takes at the peaks. */
const atPeaks = ({ flops, bytes }: Cost, { gflopsF32, copyGBps }: Peaks) => ({
  compute: flops / gflopsF32 / 1e6,
  memory: bytes / copyGBps / 1e6,
});

export function boundOf(cost: Cost, peaks: Peaks): 'compute' | 'memory' {
  const { compute, memory } = atPeaks(cost, peaks);
  return compute > memory ? 'compute' : 'memory';
}

export function rowsOf(
  { suite, workload, cost, measurements, copyGBps }: Finding,
  adapter: string,
  peaks: Peaks,
): Row[] {
  const bound = boundOf(cost, peaks);
  const atPeak = atPeaks(cost, { ...peaks, copyGBps: copyGBps ?? peaks.copyGBps })[bound];
  const [first] = measurements;
  const ours = first.samples;
  return measurements.map(({ contender, error, reason, samples }) => {
    const { peer, formulation, runsOn } = contender;
    const shared = {
      suite,
      workload,
      adapter,
      peer,
      formulation,
      runsOn,
      bound,
      reason: reason ?? null,
    } as const;
    const rest = { ...shared, error: error ?? null, turns: samples.length };
    // Who computes on the CPU has turns of its own, and who is far behind has one.
    const sameTurns =
      samples.length === ours.length && (runsOn === 'cpu') === (first.contender.runsOn === 'cpu');
    if (samples.length === 0)
      return {
        ...rest,
        ...{
          ratio: null,
          ratioInterval: null,
          ms: null,
          spread: null,
          gflops: null,
          gbps: null,
          percentOfPeak: null,
        },
      };
    const ms = quantile(samples, 0.5);
    return {
      ...rest,
      ...(ours.length > 0 ? ratioOf(samples, ours, sameTurns) : { ratio: null, ratioInterval: null }),
      ms,
      spread: (quantile(samples, 0.75) - quantile(samples, 0.25)) / ms,
      gflops: cost.flops / ms / 1e6,
      gbps: cost.bytes / ms / 1e6,
      percentOfPeak: runsOn === 'cpu' ? null : (100 * atPeak) / ms,
    };
  });
}

/** Turn by turn where both ran in the same; else of the medians, and of the far ends of their intervals. */
function ratioOf(
  samples: readonly number[],
  ours: readonly number[],
  sameTurns: boolean,
): { ratio: number; ratioInterval: [number, number] } {
  if (sameTurns) {
    const quotients = samples.map((ms, turn) => ms / ours[turn]);
    return { ratio: quantile(quotients, 0.5), ratioInterval: medianInterval(quotients) };
  }
  const [low, high] = medianInterval(samples);
  const [ourLow, ourHigh] = medianInterval(ours);
  return {
    ratio: quantile(samples, 0.5) / quantile(ours, 0.5),
    ratioInterval: [low / ourHigh, high / ourLow],
  };
}

/** E.g. `2.10x (2.05 to 2.20)`; where the interval holds 1, nobody is said to be faster. */
export function ratioText({ ratio, ratioInterval }: Pick<Row, 'ratio' | 'ratioInterval'>): string {
  if (ratio === null || ratioInterval === null) return '';
  const [low, high] = ratioInterval.map((end) => end.toFixed(2));
  const undecided = ratioInterval[0] <= 1 && ratioInterval[1] >= 1;
  return undecided ? `undecided (${low} to ${high})` : `${ratio.toFixed(2)}x (${low} to ${high})`;
}
