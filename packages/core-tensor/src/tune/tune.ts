/**
 * Choosing kernel variants by measurement, for every family that has a choice. A step of a plan runs on its own,
 * fused work included, with each variant that applies and its best few candidates, in turns (A B C A B C); those
 * that fall behind drop out. The one with the least time is kept; least, because other work only ever adds time.
 */
import { type Choice, Decisions, elementCount, type Receipt } from '@dwm/kernels-wgsl';
import type { Device } from '../device/device.ts';
import { DeviceLostError } from '../device/errors.ts';
import { DeviceTensor } from '../device-tensor.ts';
import { type LoweredStep, type Plan, planProgram } from '../plan/plan.ts';
import { Program, trace } from '../program.ts';
import { parameter, record, spec, type Tensor, type TensorSpec } from '../tensor.ts';

/** A class of shapes with more than one way to compute it, and a step that asks for it. */
export interface Question extends LoweredStep {
  readonly key: string;
  readonly family: string;
  readonly alternatives: readonly Choice[];
}

/** Options of `tune`. */
export interface TuneOptions {
  /** Milliseconds after which no further class is begun; the heaviest come first. */
  readonly budgetMs: number;
  /** When aborted, the class under way is the last. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: TuneProgress) => void;
  /** Is told every answer when it is kept, and waited for. */
  readonly onAnswer?: (tuned: Tuned) => Promise<void>;
  /** Milliseconds, from any start. */
  readonly now?: () => number;
  /** Milliseconds that one run of `choice` takes; by default, `run` is timed. */
  readonly time?: (choice: Choice, run: () => Promise<void>) => Promise<number>;
}

/** How far tuning is. */
export interface TuneProgress {
  /** Class under way. */
  readonly key: string;
  readonly done: number;
  readonly total: number;
}

/** What was measured of one class of shapes. */
export interface Tuned {
  /** Class of shapes. */
  readonly key: string;
  readonly family: string;
  readonly choice: Choice;
  readonly defaultChoice: Choice;
  /** Milliseconds of the choice and of the default. */
  readonly ms: number;
  readonly defaultMs: number;
}

/** Candidates of a variant that are measured: their order is an estimate of their speed already. */
const CANDIDATES = 4;
const ROUNDS = 5;
/** Of steps that take longer than this a few rounds are enough, and a first run far behind says all. */
const LONG_MS = 200;
const LONG_ROUNDS = 2;
/** What a driver may take to compile. */
const COMPILE_MS = 2000;
/** Slower than the best by this much after a round: out. */
const BEHIND = 1.3;
/** A choice must beat the default by this much: less is noise. */
const MARGIN = 0.95;
/** Runs of one turn take at least this long together, so that the clock and the submit count for little. */
const TURN_MS = 4;
const MOST_RUNS = 50;

/** Guesses, on the slow side, that keep a step out that would not fit in the budget. */
const PACE = {
  software: { flopsPerMs: 5e6, bytesPerMs: 2e6 },
  hardware: { flopsPerMs: 2e9, bytesPerMs: 2e8 },
};

/** The open questions of plans, one a class, the heaviest step first. */
export function questionsOf(plans: readonly Plan[]): Question[] {
  const byKey = new Map<string, Question>();
  for (const lowered of plans.flatMap(({ steps }) => steps)) {
    const { receipt } = lowered;
    if (!receipt || receipt.reason === 'only') continue;
    const { key, family } = receipt;
    const known = byKey.get(key);
    if (known && work(known) >= work(lowered)) continue;
    byKey.set(key, { ...lowered, key, family, alternatives: foremost(receipt) });
  }
  return [...byKey.values()].sort((a, b) => work(b) - work(a));
}

const work = ({ step: { cost } }: LoweredStep) => cost.flops + cost.bytes;

/** The default, and the best few of every variant. */
function foremost({ alternatives }: Receipt): Choice[] {
  const count = new Map<string, number>();
  return alternatives().filter(({ variant }) => {
    count.set(variant, (count.get(variant) ?? 0) + 1);
    return count.get(variant)! <= CANDIDATES;
  });
}

/**
 * Measures each question that fits in the budget and keeps the answer in `device.decisions`.
 */
export async function tune(
  device: Device,
  questions: readonly Question[],
  options: TuneOptions,
): Promise<Tuned[]> {
  const { budgetMs, signal, onProgress, onAnswer, now = () => performance.now() } = options;
  const clock = { now, end: now() + budgetMs };
  const tuned: Tuned[] = [];
  for (const [done, question] of questions.entries()) {
    if (signal?.aborted || now() >= clock.end) break;
    const { key, family, step, alternatives } = question;
    onProgress?.({ key, done, total: questions.length });
    const pace = PACE[device.caps.adapter.kind];
    const onceMs = step.cost.flops / pace.flopsPerMs + step.cost.bytes / pace.bytesPerMs;
    if (now() + onceMs * (alternatives.length + ROUNDS) > clock.end) continue;
    const result = await measure(device, question, clock, options.time);
    if (!result) continue;
    device.decisions.choices.set(key, result.choice);
    const answer = { key, family, defaultChoice: alternatives[0], ...result };
    tuned.push(answer);
    await onAnswer?.(answer);
  }
  return tuned;
}

interface Contender {
  readonly choice: Choice;
  readonly program: Program<Record<string, never>, Record<string, Tensor>>;
  ms: number;
}

interface Clock {
  readonly now: () => number;
  readonly end: number;
}

async function measure(
  device: Device,
  question: Question,
  { now, end }: Clock,
  time?: TuneOptions['time'],
): Promise<Pick<Tuned, 'choice' | 'ms' | 'defaultMs'> | undefined> {
  const { step } = question;
  const shapes = step.inputs.map(({ bytes }) => spec([Math.ceil(bytes / 4)], 'u32'));
  if (!fits(device, [...shapes, ...step.outputs])) return undefined;
  // Zeros do: no kernel's time depends on values.
  const inputs = shapes.map((shape) => new DeviceTensor(device, shape, 'tune'));
  const contenders: Contender[] = [];
  const runOnce = async ({ program }: Contender, times: number) => {
    for (let i = 0; i < times; i++) await program.run({});
    await device.done();
  };
  const stopwatch = async (contender: Contender, times: number): Promise<number> => {
    if (time) return time(contender.choice, () => runOnce(contender, 1));
    const start = now();
    await runOnce(contender, times);
    return (now() - start) / times;
  };
  let first = 0;
  try {
    for (const [i, choice] of question.alternatives.entries()) {
      // The default is measured whatever the budget; there is nothing to compare it with otherwise.
      if (i > 1 && now() >= end) break;
      const program = await trial(device, question, choice, inputs);
      if (!program) {
        if (i === 0) return undefined;
        continue;
      }
      const contender = { choice, program, ms: Number.POSITIVE_INFINITY };
      contenders.push(contender);
      const start = now();
      await runOnce(contender, 1); // the driver's own compilation happens here
      if (i === 0) contender.ms = first = await stopwatch(contender, 1);
      else if (!time && first > LONG_MS && now() - start > COMPILE_MS + 2 * first)
        contenders.pop()!.program.destroy();
    }
    const standard = contenders[0];
    const runs = Math.min(MOST_RUNS, Math.ceil(TURN_MS / Math.max(first, 0.01)));
    const rounds = first > LONG_MS ? LONG_ROUNDS : ROUNDS;
    let racing = contenders;
    for (let round = 0; round < rounds && racing.length > 1; round++) {
      for (const one of racing) one.ms = Math.min(one.ms, await stopwatch(one, runs));
      const best = Math.min(...racing.map(({ ms }) => ms));
      racing = racing.filter((one) => one === standard || one.ms < BEHIND * best);
    }
    const best = contenders.reduce((a, b) => (b.ms < a.ms ? b : a));
    const { ms: defaultMs } = standard;
    const { choice, ms } = best.ms < MARGIN * defaultMs ? best : standard;
    return { choice, ms, defaultMs };
  } finally {
    for (const { program } of contenders) program.destroy();
    for (const tensor of inputs) tensor.destroy();
  }
}

function fits({ memory }: Device, tensors: readonly TensorSpec[]): boolean {
  const bytes = tensors.reduce((sum, { shape }) => sum + elementCount(shape) * 4, 0);
  return memory.allocated + 2 * bytes < memory.limit;
}

/** The question's step alone, by one choice; undefined where this device does not take it. */
async function trial(
  device: Device,
  { step, target, key }: Question,
  choice: Choice,
  inputs: readonly DeviceTensor[],
): Promise<Contender['program'] | undefined> {
  const decisions = new Decisions(target.decisions);
  decisions.choices.set(key, choice);
  const outputs = trace({}, () => {
    const tensors = record(
      {
        ...{ kind: 'kernel', name: 'tune', cost: step.cost, epilogue: false, bindings: inputs.length + 2 },
        lower: () => step.lower({ ...target, decisions }),
      },
      inputs.map(parameter),
      step.outputs,
    );
    return Object.fromEntries(tensors.map((tensor, i) => [`out${i}`, tensor]));
  });
  try {
    return await Program.build<Record<string, never>, Record<string, Tensor>>(
      device,
      planProgram(outputs, target),
      {},
    );
  } catch (error) {
    if (error instanceof DeviceLostError) throw error;
    return undefined;
  }
}
