/**
 * A schedule's steps on the device. Their coefficients go up once, the tensors of `Slot` stay there from the first step
 * to the last, and nothing is read back. Steps that combine the same slots share a program.
 */
import {
  add,
  type Device,
  DeviceTensor,
  mul,
  Program,
  planProgram,
  slice,
  spec,
  type Tensor,
  type TensorSpec,
  trace,
} from '@dwm/core-tensor';
import type { Schedule, Slot, StepRecipe } from './recipe.ts';

type StepProgram = Program<Record<string, TensorSpec>, Record<string, Tensor>>;

/** Steps of one form differ in their coefficients alone. */
const formOf = ({ combinations }: StepRecipe): string =>
  combinations
    .map(({ target, terms }) => `${target} = ${terms.map(({ slot }) => slot).join(' + ')}`)
    .join('; ');

/** Every combination of a step in order, each a sum from the first term to the last. */
function planStep(device: Device, { combinations }: StepRecipe, shape: readonly number[], width: number) {
  const inputs: Record<string, TensorSpec> = { coefficients: spec([width]) };
  const written = new Set<Slot>();
  for (const { target, terms } of combinations) {
    for (const { slot } of terms) if (!written.has(slot)) inputs[slot] = spec(shape);
    written.add(target);
  }
  const graph = trace(inputs, (given) => {
    const values: Record<string, Tensor> = { ...given };
    let at = 0;
    for (const { target, terms } of combinations) {
      const parts = terms.map(({ slot }) => mul(values[slot], slice(given.coefficients, 0, at++, 1)));
      values[target] = parts.length === 1 ? parts[0] : parts.reduce((sum, part) => add(sum, part));
    }
    return Object.fromEntries([...written].map((slot) => [slot, values[slot]]));
  });
  return { inputs, plan: planProgram(graph, device) };
}

/** The tensors of a run, from its first latents to its last. */
export class DeviceSteps {
  readonly #device: Device;
  readonly #schedule: Schedule;
  readonly #shape: readonly number[];
  /** [steps, the most terms of a step]. */
  readonly #table: DeviceTensor;
  readonly #coefficients: DeviceTensor;
  readonly #slots = new Map<Slot, DeviceTensor>();
  readonly #programs = new Map<string, StepProgram>();

  /** @param sample the latents of the first step, which it takes over. */
  constructor(device: Device, schedule: Schedule, sample: DeviceTensor) {
    this.#device = device;
    this.#schedule = schedule;
    this.#shape = sample.shape;
    this.#slots.set('sample', sample);
    const rows = schedule.steps.map(({ combinations }) =>
      combinations.flatMap(({ terms }) => terms.map(({ coefficient }) => coefficient)),
    );
    const width = Math.max(...rows.map(({ length }) => length));
    const table = new Float32Array(rows.length * width);
    for (const [i, row] of rows.entries()) table.set(row, i * width);
    this.#table = DeviceTensor.from(device, table, [rows.length, width], 'f32', 'steps');
    this.#coefficients = new DeviceTensor(device, spec([width]), 'step');
  }

  /** The latents that enter the next step, or leave the last. */
  get sample(): DeviceTensor {
    return this.#slots.get('sample')!;
  }

  /** The last prediction of the clean latents, for previews; the latents themselves where the scheduler makes none. */
  get preview(): DeviceTensor {
    return this.#slots.get('x0') ?? this.sample;
  }

  /**
   * Step `index` of the schedule.
   * @param modelOutput the network's answer to `sample`.
   * @param noise standard normals, where the step needs them.
   */
  async step(index: number, modelOutput: DeviceTensor, noise?: Float32Array): Promise<void> {
    const recipe = this.#schedule.steps[index];
    const width = this.#coefficients.shape[0];
    this.#coefficients.copyFrom(this.#table, { from: index * width, count: width });
    if (noise) this.#slot('noise').write(noise);
    const program = await this.#program(recipe, width);
    const inputs: Record<string, DeviceTensor> = {
      ...Object.fromEntries(this.#slots),
      modelOutput,
      coefficients: this.#coefficients,
    };
    await program.run(inputs);
    for (const [name, made] of Object.entries(program.outputs))
      this.#slot(name === 'next' ? 'sample' : (name as Slot)).copyFrom(made);
  }

  /** Begins another run of the same schedule, from these latents. */
  restart(sample: Float32Array): void {
    this.sample.write(sample);
  }

  /** Hands the latents over, and frees the rest. */
  release(): DeviceTensor {
    const { sample } = this;
    this.#slots.delete('sample');
    this.destroy();
    return sample;
  }

  destroy(): void {
    for (const program of this.#programs.values()) program.destroy();
    for (const tensor of [...this.#slots.values(), this.#table, this.#coefficients]) tensor.destroy();
    this.#programs.clear();
    this.#slots.clear();
  }

  #slot(name: Slot): DeviceTensor {
    let tensor = this.#slots.get(name);
    if (!tensor) {
      tensor = new DeviceTensor(this.#device, spec(this.#shape), name);
      this.#slots.set(name, tensor);
    }
    return tensor;
  }

  async #program(recipe: StepRecipe, width: number): Promise<StepProgram> {
    const form = formOf(recipe);
    let program = this.#programs.get(form);
    if (!program) {
      const { inputs, plan } = planStep(this.#device, recipe, this.#shape, width);
      program = await Program.create<Record<string, TensorSpec>, Record<string, Tensor>>(
        this.#device,
        plan,
        inputs,
      );
      this.#programs.set(form, program);
    }
    return program;
  }
}
