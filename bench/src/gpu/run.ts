/** Golden cases and work at the 5B model's sizes on a device, within a time. */
import {
  compile,
  type Device,
  DeviceLostError,
  type DeviceTensor,
  input,
  type KernelWork,
  PlanTooLargeError,
  type Precision,
  parameter,
  planProgram,
  trace,
  workByKernel,
} from '@dwm/core-tensor';
import { measurePeaks, type Peaks, selfTestOnFirstUse } from '@dwm/core-tensor/tune';
import { GOLDEN, type GoldenCheck, worstOf } from './golden.ts';
import { filled, kernelWork, NETWORK_BYTES, network, type Work } from './work.ts';

export interface GoldenResult {
  readonly name: string;
  readonly precision: Precision;
  /** The check that comes nearest to its tolerance. */
  readonly worst?: GoldenCheck;
  readonly passed: boolean;
  readonly seconds: number;
  /** Why it was not run, or failed. */
  readonly reason?: string;
}

export interface WorkResult {
  readonly name: string;
  readonly size: string;
  readonly precision: Precision;
  /** Of the real size, in operations: 1 is all of it. */
  readonly share: number;
  /** Median of the runs. */
  readonly ms?: number;
  readonly runs?: number;
  readonly gflops?: number;
  readonly gbps?: number;
  /** Operations for each byte that is read or written at least once. */
  readonly intensity?: number;
  /** Time at the measured peak of what bounds it, by the time it took. */
  readonly percentOfPeak?: number;
  /** Variants that ran, e.g. `matmul matrix side=4 buffers=2 config=0 splits=1`. */
  readonly kernels?: readonly string[];
  /** Why it was not measured. */
  readonly reason?: string;
}

/** Work at its real size, as this device's kernels would do it. */
interface PaperResult {
  readonly name: string;
  readonly size: string;
  readonly precision: Precision;
  readonly kernels: readonly KernelWork[];
}

export interface DeviceReport {
  readonly date: string;
  readonly seconds: number;
  readonly device: Device['caps'];
  readonly peaks: Peaks;
  /** Kernels that were tried: null is right, else what is wrong. */
  readonly selfTest: Readonly<Record<string, string | null>>;
  readonly golden: readonly GoldenResult[];
  readonly work: readonly WorkResult[];
  readonly paper: readonly PaperResult[];
}

interface ReportOptions {
  /** Folder of golden cases. */
  readonly golden: string;
  /** Seconds after which nothing more is begun. */
  readonly budget: number;
  readonly progress: (line: string) => void;
}

/** Seconds that one run may take. */
const RUN_SECONDS = { hardware: 0.5, software: 0.25 };
/** A kernel does not reach more of a peak than this, at first. */
const EXPECTED = 0.2;
const MEASURE_MS = 1000;
const MOST_RUNS = 9;
/** Seconds that a denoising forward may take, weights not counted. */
const FORWARD_SECONDS = { hardware: 30, software: 5 };

export async function runReport(device: Device, options: ReportOptions): Promise<DeviceReport> {
  const start = performance.now();
  const elapsed = () => (performance.now() - start) / 1000;
  const left = () => options.budget - elapsed();
  const { caps } = device;
  options.progress('measuring the peaks');
  const peaks = await measurePeaks(device);
  selfTestOnFirstUse(device);

  const precisions: Precision[] = caps.features.f16 ? ['f32', 'f16'] : ['f32'];
  const allowed = (precision: Precision, seconds: number) => ({
    flops: EXPECTED * seconds * peakOf(peaks, precision) * 1e9,
    bytes: EXPECTED * seconds * peaks.copyGBps * 1e9,
  });
  const oneRun = RUN_SECONDS[caps.adapter.kind];
  const forward = (precision: Precision): Work | string => {
    const { flops } = allowed(precision, FORWARD_SECONDS[caps.adapter.kind]);
    const layers = caps.adapter.kind === 'hardware' ? 42 : 2;
    if (NETWORK_BYTES * (layers / 42) > device.memory.limit - device.memory.allocated)
      return `its weights of ${(NETWORK_BYTES / 1e9).toFixed(1)} GB do not fit in memory`;
    return network(layers, flops);
  };

  const golden: GoldenResult[] = [];
  const work: WorkResult[] = [];
  const jobs: { name: string; run: () => Promise<void>; skip: (reason: string) => void }[] = [
    ...Object.keys(GOLDEN).flatMap((name) =>
      precisions.map((precision) => ({
        name: `golden case ${name} in ${precision}`,
        run: async () => void golden.push(await goldenResult(device, options.golden, name, precision)),
        skip: (reason: string) => void golden.push({ name, precision, passed: false, seconds: 0, reason }),
      })),
    ),
    ...[...precisions].reverse().flatMap((precision) => {
      const wanted = [
        ...kernelWork(allowed(precision, oneRun)),
        network(1, allowed(precision, oneRun).flops),
        // Once: it takes as long as all the others.
        ...(precision === precisions.at(-1) ? [forward(precision)] : []),
      ];
      const rate = EXPECTED * peakOf(peaks, precision) * 1e9;
      return wanted.map((each) => {
        const known = typeof each === 'string' ? { name: 'denoising forward', size: '', share: 0 } : each;
        const about = { name: known.name, size: known.size, share: known.share, precision };
        return {
          name: `${known.name} in ${precision}`,
          run: async () =>
            void work.push(
              typeof each === 'string'
                ? { ...about, reason: each }
                : { ...about, ...(await measureWork(device, each, precision, { rate, left })) },
            ),
          skip: (reason: string) => void work.push({ ...about, reason }),
        };
      });
    }),
  ];
  for (const [done, { name, run, skip }] of jobs.entries()) {
    const rest = done === 0 ? options.budget : (elapsed() / done) * (jobs.length - done);
    const eta = Math.min(rest, left());
    options.progress(`${done + 1} of ${jobs.length}, at most ${Math.max(0, eta).toFixed(0)} s left: ${name}`);
    if (left() < 0) {
      skip('there was no time left');
      continue;
    }
    try {
      await run();
    } catch (error) {
      if (error instanceof DeviceLostError) throw error;
      skip((error as Error).message.split('\n')[0]);
    }
  }
  // Other work on the machine hides a peak now and then: the better of two looks.
  const best = better(peaks, await measurePeaks(device));
  return {
    date: new Date().toISOString(),
    seconds: elapsed(),
    device: caps,
    peaks: best,
    selfTest: Object.fromEntries(device.decisions.verdicts),
    golden,
    work: work.map((result) => withShareOfPeak(result, best)),
    paper: onPaper(device, precisions.at(-1)!),
  };
}

/** What the real sizes compute and move; of those left out, a tensor is larger than this device's buffers. */
function onPaper(device: Device, precision: Precision): PaperResult[] {
  const whole = { flops: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };
  return [...kernelWork(whole), network(1, whole.flops)].flatMap(({ name, size, inputs, weights, run }) => {
    const outputs = trace(inputs, (given) => ({
      out: run(
        given,
        Object.fromEntries(Object.entries(weights).map(([key, own]) => [key, input(key, own)])),
      ),
    }));
    try {
      const plan = planProgram(outputs, device, precision);
      return [{ name, size, precision, kernels: workByKernel([{ plan, times: 1 }]) }];
    } catch (error) {
      if (error instanceof PlanTooLargeError) return [];
      throw error;
    }
  });
}

const better = (a: Peaks, b: Peaks): Peaks => ({
  gflopsF32: Math.max(a.gflopsF32, b.gflopsF32),
  ...(a.gflopsF16 && b.gflopsF16 && { gflopsF16: Math.max(a.gflopsF16, b.gflopsF16) }),
  copyGBps: Math.max(a.copyGBps, b.copyGBps),
});

function withShareOfPeak(result: WorkResult, peaks: Peaks): WorkResult {
  const { gflops, gbps, precision } = result;
  if (gflops === undefined || gbps === undefined) return result;
  const share = Math.max(gflops / peakOf(peaks, precision), gbps / peaks.copyGBps);
  return { ...result, percentOfPeak: 100 * share };
}

/** The best that multiply-adds in this precision reach here. */
const peakOf = ({ gflopsF32, gflopsF16 = 0 }: Peaks, precision: Precision): number =>
  precision === 'f16' ? Math.max(gflopsF32, gflopsF16) : gflopsF32;

async function goldenResult(
  device: Device,
  root: string,
  name: string,
  precision: Precision,
): Promise<GoldenResult> {
  const start = performance.now();
  const { share, ...worst } = await worstOf(device, root, name, precision);
  return { name, precision, worst, passed: share <= 1, seconds: (performance.now() - start) / 1000 };
}

const inSeconds = (seconds: number): string => `${Number(Math.max(0, seconds).toPrecision(2))} s`;

interface Pace {
  /** Operations a second that are expected. */
  readonly rate: number;
  /** Seconds. */
  left(): number;
}

async function measureWork(
  device: Device,
  { inputs: specs, weights: given, run }: Work,
  precision: Precision,
  { rate, left }: Pace,
): Promise<Partial<WorkResult>> {
  const made: { destroy(): void }[] = [];
  try {
    const weights = Object.fromEntries(
      Object.entries(given).map(([name, { shape, dtype, size }]) => {
        const tensor = filled(device, shape, dtype, size);
        made.push(tensor);
        return [name, parameter(tensor)];
      }),
    );
    const inputs = Object.fromEntries(
      Object.entries(specs).map(([name, { shape, dtype }]) => [name, filled(device, shape, dtype, 1)]),
    ) as Record<string, DeviceTensor>;
    made.push(...Object.values(inputs));
    const program = await compile(
      device,
      { ...specs },
      (symbols) => ({ out: run(symbols, weights) }),
      precision,
    );
    made.push(program);
    const { flops, bytes } = program.plan.cost;
    const needed = flops / rate;
    // The least size of some work is much for a slow device.
    const within = left();
    if (needed > within)
      return { reason: `a run takes some ${inSeconds(needed)}, and ${inSeconds(within)} were left` };
    const once = async () => {
      const start = performance.now();
      await program.run(inputs);
      await device.done();
      return performance.now() - start;
    };
    const first = await once(); // the driver's own compilation, and the first touch of memory
    if (left() < 0)
      return { reason: `its first run, with the driver's compilation, took ${inSeconds(first / 1000)}` };
    const samples = [await once()];
    while (samples.length < MOST_RUNS && samples.reduce((a, b) => a + b, 0) < MEASURE_MS)
      samples.push(await once());
    const ms = samples.toSorted((a, b) => a - b)[samples.length >> 1];
    const receipts = program.plan.dispatches.flatMap(({ receipt }) => receipt ?? []);
    const kernels = receipts.map(({ family, variant, tuning }) =>
      [family, variant, ...Object.entries(tuning ?? {}).map(([name, value]) => `${name}=${value}`)].join(' '),
    );
    return {
      ms,
      runs: samples.length,
      gflops: flops / ms / 1e6,
      gbps: bytes / ms / 1e6,
      intensity: flops / bytes,
      kernels: [...new Set(kernels)],
    };
  } finally {
    for (const each of made) each.destroy();
    // What was freed is given back when the work that used it is done.
    await device.done();
  }
}
