/**
 * Plans the device memory of a training from its experiment and the base model's configurations and headers alone:
 *
 *     encode        clips and captions, where no latents are read; the networks for it stay
 *     step          gradients, optimizer and trained weights, which are there throughout
 *     checkpoint    the trained weights on their way to the file
 *     validation    a clip, by a copy of the network with what was trained
 */
import { InvalidArgumentError, type KernelTarget, PlanTooLargeError } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import { checkPipelineType, familyOf } from '../../families/index.ts';
import { stackBytes } from '../../families/symbols.ts';
import { type PlanTarget, planningDevice } from '../../memory/devices.ts';
import { planRun } from '../../memory/plan-run.ts';
import { amountOf, RunTooLargeError } from '../../memory/refusal.ts';
import type { PlannedStage } from '../../memory/run-plan.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import { planTrainStep, type StepPlan } from '../../training/train-step.ts';
import { checkKeys, checkTrained } from './check-training.ts';
import { trainingSize } from './size.ts';
import { stepOptions } from './step-options.ts';
import type { PlanContext, PlannedTask } from './task.ts';
import { trainingOf } from './trainings.ts';

/** A training on a device, stage by stage; sizes in bytes. */
export interface TrainingPlan {
  readonly device: string;
  readonly budget: number;
  readonly size: {
    readonly mode: string;
    readonly numFrames: number;
    readonly height: number;
    readonly width: number;
    /** Samples of a step. */
    readonly samples: number;
    readonly steps: number;
  };
  readonly stages: readonly PlannedStage[];
  /** Most bytes on the device at a time. */
  readonly bytes: number;
  /** Of loading what stays. */
  readonly loads: number;
  /** Of loading and all steps. */
  readonly seconds?: number;
}

/**
 * @param folder of the base model.
 * @param experimentFile what errors call the experiment.
 * @throws RunTooLargeError, with the numbers and what would make it fit; InvalidFileError and InvalidArgumentError for what
 *   is wrong with the experiment or the configurations.
 */
export async function planTraining(
  config: ExperimentConfig,
  folder: ModelFolder,
  target: PlanTarget,
  experimentFile?: string,
): Promise<TrainingPlan> {
  const family = await familyOf(folder);
  checkKeys(config);
  checkPipelineType(family, folder.name, config.pipeline.type, experimentFile);
  checkTrained(family, config);
  const base = { folder, family };
  const first = await attempt(config, base, target);
  if ('plan' in first && fits(first.plan)) return first.plan;
  const why =
    'plan' in first
      ? `needs ${amountOf(first.plan.bytes)}, but the budget is ${amountOf(target.budget)}`
      : first.refused;
  const overrides: string[] = [];
  let lighter = config;
  let remedy = 'choose a smaller model, or a device with more memory';
  for (const { override, changed } of REMEDIES) {
    const next = changed(lighter);
    if (!next) continue;
    lighter = next;
    overrides.push(override(next));
    const made = await attempt(lighter, base, target);
    if (!('plan' in made && fits(made.plan))) continue;
    const encoded = overrides.some((one) => one.includes('load_tensors')) ? ', after dwm encode' : '';
    remedy = `choose \`override: ${overrides.join(' ')}\`, which takes ${amountOf(made.plan.bytes)}${encoded}`;
    break;
  }
  throw new RunTooLargeError(`${target.name}: training ${why}; ${remedy}`, {
    ...('plan' in first && { neededBytes: first.plan.bytes }),
    budgetBytes: target.budget,
  });
}

/** The base model. */
type Base = Omit<PlanContext, 'config'>;

/** What is too small to be planned is left room for. */
const fits = ({ bytes, budget }: TrainingPlan): boolean => bytes <= 0.99 * budget;

/** Whether the VAE is trained, which learns from clips. */
const isOfVae = ({ training: { mode } }: ExperimentConfig): boolean => mode === 'vae' || mode === 'decoder';

/** Ways to take less memory, the least loss first; each goes on from those before, where it changes anything. */
const REMEDIES: readonly {
  readonly override: (changed: ExperimentConfig) => string;
  readonly changed: (config: ExperimentConfig) => ExperimentConfig | undefined;
}[] = [
  {
    override: () => 'training.custom_settings.gradient_checkpointing=true',
    changed: (config) => withSettings(config, 'gradient_checkpointing'),
  },
  {
    override: () => 'training.custom_settings.load_tensors=true',
    changed: (config) => (isOfVae(config) ? undefined : withSettings(config, 'load_tensors')),
  },
  {
    override: ({ training }) =>
      `training.batch_size=1 training.gradient_accumulation_steps=${training.gradient_accumulation_steps}`,
    changed({ training, ...config }) {
      const { batch_size: size, gradient_accumulation_steps: steps } = training;
      if (size === 1) return undefined;
      return {
        ...config,
        training: { ...training, batch_size: 1, gradient_accumulation_steps: steps * size },
      };
    },
  },
  {
    override: () => 'data.validation_set=[]',
    changed: ({ data, ...config }) =>
      data.validation_set.length > 0 ? { ...config, data: { ...data, validation_set: [] } } : undefined,
  },
  {
    override: () => 'training.optimizer=AdamW8bit',
    changed: ({ training, ...config }) =>
      training.optimizer === 'adamw'
        ? { ...config, training: { ...training, optimizer: 'adamw8bit' } }
        : undefined,
  },
  ...[25, 9].map((frames) => ({
    override: () => `data.frame_buckets=${frames}`,
    changed: ({ data, ...config }: ExperimentConfig) =>
      data.frame_buckets[0] > frames ? { ...config, data: { ...data, frame_buckets: [frames] } } : undefined,
  })),
  {
    override: () => 'training.mode=lora',
    changed: ({ training, ...config }) =>
      training.mode === 'full' || training.mode === 'sft'
        ? { ...config, training: { ...training, mode: 'lora' } }
        : undefined,
  },
];

function withSettings(
  { training, ...config }: ExperimentConfig,
  key: 'gradient_checkpointing' | 'load_tensors',
): ExperimentConfig | undefined {
  const { custom_settings: settings } = training;
  if (settings[key]) return undefined;
  return { ...config, training: { ...training, custom_settings: { ...settings, [key]: true } } };
}

/** The plan, or why the device's limits, not its memory, are in the way. */
async function attempt(
  config: ExperimentConfig,
  base: Base,
  target: PlanTarget,
): Promise<{ plan: TrainingPlan } | { refused: string }> {
  try {
    return { plan: await planned(config, base, target) };
  } catch (error) {
    if (!(error instanceof PlanTooLargeError)) throw error;
    return { refused: `does not go into the buffers of this device: ${error.message}` };
  }
}

/** Blocks that are planned of a network that has more, where each takes what the one before took. */
const PLANNED_BLOCKS = [2, 3] as const;

/** Whether a few blocks tell of all: an experiment may train some alone. */
function areAlike(task: PlannedTask): boolean {
  const trained = (blocks: number) => task.step(blocks).trainable.layout.trained;
  const [fewer, more] = PLANNED_BLOCKS;
  try {
    const [two, three] = [trained(fewer), trained(more)];
    return trained(task.blocks) === two + (task.blocks - fewer) * (three - two);
  } catch (error) {
    // Nothing of these few is trained.
    if (error instanceof InvalidArgumentError) return false;
    throw error;
  }
}

/** A step, how many numbers it trains, and the bytes of these. */
function planStep(
  device: KernelTarget,
  config: ExperimentConfig,
  task: PlannedTask,
): StepPlan & { readonly trained: number; readonly packed: number } {
  const of = (blocks: number) => {
    const step = task.step(blocks);
    const { bytes, flops } = planTrainStep(device, step.trainable, step.loss, stepOptions(config, step));
    const { trained, length } = step.trainable.layout;
    return { bytes, flops, trained, packed: 4 * length };
  };
  const [fewer, more] = PLANNED_BLOCKS;
  if (task.blocks <= more || !areAlike(task)) return of(task.blocks);
  const [two, three] = [of(fewer), of(more)];
  const grown = (name: keyof typeof two) => two[name] + (task.blocks - fewer) * (three[name] - two[name]);
  const [bytes, flops] = [grown('bytes'), grown('flops')];
  return { bytes, flops, trained: grown('trained'), packed: grown('packed') };
}

async function planned(
  config: ExperimentConfig,
  { folder, family }: Base,
  target: PlanTarget,
): Promise<TrainingPlan> {
  const { training, data } = config;
  const task = await trainingOf(family, folder.name).planTask({ config, folder, family });
  const device = planningDevice(target);
  const step = planStep(device, config, task);

  const { frames: numFrames, height, width } = trainingSize(config);
  const settings = training.custom_settings;
  const shapes = await family.shapes(folder);
  const encodes = !isOfVae(config) && !settings.load_tensors;
  const encoders = shapes.vaeBytes + (shapes.text ? stackBytes(shapes.text.shapes) : 0);
  const stays = task.weightBytes + (encodes ? encoders : 0);
  const { pace } = target;
  const seconds = (flops: number) => pace && flops / 1e12 / pace.teraflops;
  const stage = (name: PlannedStage['stage'], own: number, flops: number, chosen: string): PlannedStage => ({
    ...{ stage: name, stays, own, teraflops: flops / 1e12, reads: 0, chosen },
    ...(pace && { seconds: seconds(flops)! }),
  });

  const stages: PlannedStage[] = [];
  const size = { frames: numFrames, height, width };
  const vae = shapes.vae(device, 'f32');
  if (encodes) {
    const { bytes, flops } = vae.estimateEncode(size, { tiling: false, roughly: true });
    stages.push(stage('encode', step.bytes + bytes, 3 * flops, 'whole frames, of each clip once'));
  }
  const steps = training.max_train_steps;
  stages.push(
    stage(
      'step',
      step.bytes,
      steps * step.flops,
      `${(step.trained / 1e6).toPrecision(3)} million numbers are trained, ${training.optimizer}${settings.gradient_checkpointing ? ', blocks computed twice' : ''}`,
    ),
  );
  stages.push(stage('checkpoint', step.bytes + step.packed, 0, 'what is trained, a tensor at a time'));
  if (
    data.validation_set.length > 0 &&
    (training.mode === 'lora' || training.mode === 'full' || training.mode === 'sft')
  ) {
    const run = planRun(
      shapes,
      { ...target, budget: Number.POSITIVE_INFINITY },
      {
        ...{ numFrames, height, width, precision: 'f32', encodesText: true },
        numInferenceSteps: data.validation_num_inference_steps ?? family.defaults.numInferenceSteps,
        guided: (data.validation_guidance_scale ?? family.defaults.guidanceScale) > 1,
      },
    );
    const flops = 1e12 * run.stages.reduce((sum, { teraflops }) => sum + teraflops, 0);
    const more = run.bytes - (encodes ? encoders : 0);
    stages.push(stage('validation', step.bytes + more, flops, 'a clip, by a copy of the network'));
  }
  const time = pace && stays / 1e9 / pace.loadGBps + seconds(steps * step.flops)!;
  return {
    device: target.name,
    budget: target.budget,
    size: {
      ...{ mode: training.mode, numFrames, height, width, steps },
      samples: training.batch_size * training.gradient_accumulation_steps,
    },
    stages,
    bytes: stays + Math.max(...stages.map(({ own }) => own)),
    loads: stays,
    ...(time !== undefined && { seconds: time }),
  };
}
