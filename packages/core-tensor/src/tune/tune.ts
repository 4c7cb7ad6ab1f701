/**
 * Choosing matmul variants by measurement. Every variant that applies runs with its best few candidates, in
 * turns (A B C A B C), and the one with the least time is kept; least, because other work only ever adds time.
 */
import { type Choice, MATMUL_VARIANTS, type MatmulSpec, type Variant } from '@dwm/kernels-wgsl';
import type { Device } from '../device/device.ts';
import { DeviceTensor } from '../device-tensor.ts';
import { planProgram } from '../plan/plan.ts';
import { Program, trace } from '../program.ts';
import { type Precision, parameter, record, spec as shaped, type Tensor } from '../tensor.ts';
import { choicesOf, collectMatmuls, matmulClass } from './choices.ts';

export interface TuneOptions {
  /** Time after which no further shape is begun; the heaviest shapes come first. */
  readonly budgetMs: number;
}

export interface Tuned {
  /** Class of shapes. */
  readonly key: string;
  readonly choice: Choice;
  /** Milliseconds of the choice and of the default. */
  readonly ms: number;
  readonly defaultMs: number;
}

/** Candidates of a variant that are measured: their order is an estimate of their speed already. */
const CANDIDATES = 4;
const ROUNDS = 5;
/** A choice must beat the default by this much: less is noise. */
const MARGIN = 0.97;

const work = ({ batch, m, n, k }: MatmulSpec) => batch * m * n * k;

/**
 * Measures the matmuls of the program that computes `outputs`, so that planning it again uses the results.
 * For first use: what is known is not measured again.
 */
export function tuneProgram(
  device: Device,
  outputs: Readonly<Record<string, Tensor>>,
  options: TuneOptions & { readonly precision?: Precision },
): Promise<Tuned[]> {
  const specs = collectMatmuls(() => planProgram(outputs, device.caps, options.precision));
  return tuneMatmul(device, specs, options);
}

/** Measures the classes of `specs` that have no choice yet and keeps the results in `choicesOf(device.caps)`. */
export async function tuneMatmul(
  device: Device,
  specs: readonly MatmulSpec[],
  { budgetMs }: TuneOptions,
): Promise<Tuned[]> {
  const choices = choicesOf(device.caps);
  const end = performance.now() + budgetMs;
  const tuned: Tuned[] = [];
  for (const spec of specs.toSorted((a, b) => work(b) - work(a))) {
    const key = matmulClass(spec);
    if (choices.has(key)) continue;
    if (performance.now() >= end) break;
    const result = await measure(device, { ...spec, epilogue: undefined, dtypeOut: 'f32' }, end);
    if (!result) continue;
    choices.set(key, result.choice);
    tuned.push({ key, ...result });
  }
  return tuned;
}

interface Contender {
  readonly choice: Choice;
  readonly program: Program<Record<string, never>, { out: Tensor }>;
  ms: number;
}

async function measure(
  device: Device,
  spec: MatmulSpec,
  end: number,
): Promise<Omit<Tuned, 'key'> | undefined> {
  const { caps } = device;
  const inputs = operands(device, spec);
  const contenders: Contender[] = [];
  try {
    for (const variant of MATMUL_VARIANTS.filter((candidate) => candidate.applies(spec, caps))) {
      const tunings = variant.candidates?.(spec, caps).slice(0, CANDIDATES) ?? [undefined];
      for (const tuning of tunings) {
        // The default is measured whatever the budget; there is nothing to compare it with otherwise.
        if (contenders.length > 1 && performance.now() >= end) break;
        contenders.push(await contender(device, spec, variant, { variant: variant.name, tuning }, inputs));
      }
    }
    if (contenders.length < 2) return undefined;
    for (let round = 0; round < ROUNDS; round++) {
      for (const one of contenders) one.ms = Math.min(one.ms, await timed(device, one));
    }
    const best = contenders.reduce((a, b) => (b.ms < a.ms ? b : a));
    const { ms: defaultMs } = contenders[0];
    const { choice, ms } = best.ms < MARGIN * defaultMs ? best : contenders[0];
    return { choice, ms, defaultMs };
  } finally {
    for (const { program } of contenders) program.destroy();
    for (const tensor of inputs) tensor.destroy();
  }
}

/** Zeros do: no kernel's time depends on values. */
function operands(device: Device, spec: MatmulSpec): DeviceTensor[] {
  const { batch, m, n, k, sharedB, dtypeA, dtypeB, quantized } = spec;
  const shapes = [shaped([batch * m * k], dtypeA)];
  shapes.push(shaped([quantized ? (n * k * quantized.bits) / 32 : (sharedB ? 1 : batch) * n * k], dtypeB));
  if (quantized) shapes.push(shaped([(n * k) / quantized.groupSize]));
  return shapes.map((shape) => new DeviceTensor(device, shape, 'tune'));
}

async function contender(
  device: Device,
  spec: MatmulSpec,
  variant: Variant<MatmulSpec>,
  choice: Choice,
  inputs: readonly DeviceTensor[],
): Promise<Contender> {
  const { batch, m, n, k } = spec;
  const outputs = trace({}, () => ({
    out: record(
      {
        ...{ kind: 'kernel' as const, name: 'tune', epilogue: false, bindings: 6 },
        cost: { flops: 2 * batch * m * n * k, bytes: 0 },
        lower: () => variant.lower(spec, device.caps, choice.tuning),
      },
      inputs.map(parameter),
      [shaped([batch, m, n])],
    )[0],
  }));
  const program = await Program.create<Record<string, never>, { out: Tensor }>(
    device,
    planProgram(outputs, device.caps),
    {},
  );
  const one = { choice, program, ms: Number.POSITIVE_INFINITY };
  await timed(device, one); // the driver's own compilation happens here
  return one;
}

async function timed(device: Device, { program }: Contender): Promise<number> {
  const start = performance.now();
  await program.run({});
  await device.done();
  return performance.now() - start;
}
