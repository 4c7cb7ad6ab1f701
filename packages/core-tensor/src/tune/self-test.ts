/**
 * Trying suspect kernels (`Trial`) on a device, before a program uses them. A kernel runs twice, on other numbers each
 * time, as some drivers compute rightly only once. The second run finds the outputs of the first in place.
 */
import {
  bytesOf,
  isPacked,
  kernelName,
  type Lowering,
  type Trial,
  type TrialTensor,
} from '@dwm/kernels-wgsl';
import type { Device } from '../device/device.ts';
import { DeviceLostError } from '../device/errors.ts';
import { DeviceTensor } from '../device-tensor.ts';
import { toBfloat16, toFloat16 } from '../files/safetensors/convert.ts';
import { planProgram } from '../plan/plan.ts';
import { Program, trace } from '../program.ts';
import { randomNormals, relativeError, seeded } from '../random.ts';
import { type HostData, parameter, record, spec, type Tensor } from '../tensor.ts';
import { Turns } from '../turns.ts';
import { type Planning, setSelfTest } from './before-use.ts';

/** Options of `selfTestOnFirstUse`. */
export interface SelfTestOptions {
  /** Keeps `device.decisions.verdicts`, before a program relies on them. */
  readonly save?: () => Promise<void>;
  /** Hears of each kernel that is left out from now on, and why. */
  readonly onLeftOut?: (kernel: string, why: string) => void;
}

/** The rounding of f16 stays below, what is computed wrongly far above. */
const MOST_ERROR = 1e-2;
const RUNS = 2;

/** From now on, kernels that some drivers compute wrongly are tried on this device before a program has them. */
export function selfTestOnFirstUse(device: Device, options: SelfTestOptions = {}): void {
  const turns = new Turns();
  setSelfTest(device, (plan) => turns.take(() => selfTest(device, plan, options)));
}

/**
 * Tries the suspect kernels of the plans that `plan` gives, and of those that come in place of what fails, until none is
 * untried.
 */
export async function selfTest(device: Device, plan: Planning, options: SelfTestOptions = {}): Promise<void> {
  const { verdicts } = device.decisions;
  for (;;) {
    const untried = new Map<string, () => Trial>();
    for (const { receipt } of plan().flatMap(({ steps }) => steps)) {
      const kernel = receipt?.trial && kernelName(receipt.family, receipt);
      if (kernel && !verdicts.has(kernel)) untried.set(kernel, receipt.trial!);
    }
    if (untried.size === 0) return;
    for (const [kernel, trial] of untried) {
      const fault = await judge(device, trial());
      verdicts.set(kernel, fault ?? null);
      if (fault) options.onLeftOut?.(kernel, fault);
    }
    await options.save?.();
  }
}

/** What is wrong with the suspect kernel; undefined where it is right. */
async function judge(device: Device, trial: Trial): Promise<string | undefined> {
  const random = seeded(1);
  const inputs = trial.inputs.map(
    ({ count, dtype }) => new DeviceTensor(device, spec([count], dtype), 'self-test'),
  );
  const programs: Awaited<ReturnType<typeof build>>[] = [];
  try {
    for (const lowering of [trial.plain, trial.suspect])
      programs.push(await build(device, lowering, inputs, trial.outputs));
    const [plain, suspect] = programs;
    for (const output of Object.values(suspect.outputs))
      output.write(new Float32Array(output.elementCount).fill(Number.NaN));
    for (let i = 0; i < RUNS; i++) {
      for (const [k, tensor] of inputs.entries()) tensor.write(valuesOf(trial.inputs[k], random));
      await plain.run({});
      await suspect.run({});
      for (const [name, output] of Object.entries(suspect.outputs)) {
        const want = (await plain.outputs[name].read()) as Float32Array;
        const error = relativeError((await output.read()) as Float32Array, want);
        if (!(error < MOST_ERROR))
          return `relative error ${error.toPrecision(2)} in ${i === 0 ? 'its first run' : 'a later run'}`;
      }
    }
    return undefined;
  } catch (error) {
    if (error instanceof DeviceLostError) throw error;
    return (error instanceof Error ? error.message : String(error)).split('\n')[0];
  } finally {
    for (const program of programs) program.destroy();
    for (const tensor of inputs) tensor.destroy();
  }
}

function build(
  device: Device,
  lowering: Lowering,
  inputs: readonly DeviceTensor[],
  counts: readonly number[],
) {
  const outputs = trace({}, () => {
    const tensors = record(
      {
        ...{ kind: 'kernel', name: 'self-test', cost: { flops: 1, bytes: 1 }, epilogue: false },
        ...{ bindings: inputs.length + counts.length, lower: () => lowering },
      },
      inputs.map(parameter),
      counts.map((count) => spec([count])),
    );
    return Object.fromEntries(tensors.map((tensor, i) => [`out${i}`, tensor]));
  });
  return Program.build<Record<string, never>, Record<string, Tensor>>(
    device,
    planProgram(outputs, device),
    {},
  );
}

/** Random normal values in the tensor's type, or random bytes or masks. */
function valuesOf({ count, dtype }: TrialTensor, random: () => number): HostData {
  if (dtype === 'u32' || dtype === 'i32')
    return Uint32Array.from({ length: count }, (_, i) => Number(i === 0 || random() < 0.7));
  if (isPacked(dtype)) {
    // Up to 0x73, no byte is an infinity or no number.
    const bytes = Uint8Array.from({ length: count * bytesOf(dtype) }, () => Math.floor(random() * 0x74));
    return dtype === 'i8' ? new Int8Array(bytes.buffer) : bytes;
  }
  const values = randomNormals(count, random);
  if (dtype === 'f32') return values;
  return dtype === 'bf16' ? toBfloat16(values) : toFloat16(values);
}
