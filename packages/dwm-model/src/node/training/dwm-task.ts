/**
 * Modes `lora` and `full`: DWM's own objective, on latents of triplets and the embeddings of their prompts. Modes
 * `causal` and `self_forcing`: likewise all weights of a transformer that looks back only, whose blocks see the clip's
 * own before them, or what it made of those itself. Mode `inpaint`: the prior that all start from, on the videos and the
 * static videos of the same triplets.
 */
import { type Device, InvalidFileError } from '@dwm/core-tensor';
import { type ModelFolder, openCheckpoint } from '@dwm/core-tensor/files';
import { Symbols, storedAs } from '../../families/symbols.ts';
import { dwmChannels, loadTransformer } from '../../pipeline/load-transformer.ts';
import type { DwmPipeline } from '../../pipeline/pipeline.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import { type BatchRules, batchSpecs, makeBatch } from '../../training/data/batch.ts';
import { causalBatchSpecs, makeCausalBatch } from '../../training/data/causal-batch.ts';
import {
  applyTrained,
  emptyParameters,
  loraFiles,
  loraMetadata,
  startFromLora,
  TRANSFORMER_FILE,
  wholeNetwork,
} from '../../training/export.ts';
import { type InpaintRules, inpaintSpecs, makeInpaintBatch } from '../../training/inpaint.ts';
import { dwmObjective, type ObjectiveInputs } from '../../training/objective.ts';
import type { LossFunction } from '../../training/train-step.ts';
import { fullTrainable, loraTrainable, type Trainable } from '../../training/trainable.ts';
import {
  checkCausal,
  readTransformerConfig,
  type TransformerConfig,
  transformerParameters,
} from '../../transformer/index.ts';
import { readJson } from '../../weights/config.ts';
import { widenChannels } from '../../weights/input-channels.ts';
import { LORA_FILE, NON_LORA_FILE } from '../../weights/lora-files.ts';
import { loadParameters, type Parameters, type StoredAs } from '../../weights/parameters.ts';
import { requireTrainable } from '../../weights/quantized.ts';
import { describedRules, openExamples } from './dwm-examples.ts';
import type { ModelFiles } from './model-folder.ts';
import type { Batch, Inputs, PlanContext, PlannedTask, TaskContext, TrainingTask } from './task.ts';

const CONFIG = 'transformer/config.json';

export async function dwmTask(context: TaskContext): Promise<TrainingTask> {
  const { config, device, folder, shows, loading } = context;
  const { training } = config;
  const isPrior = isPriorMode(training);
  const onProgress = (done: number, total: number) => loading('transformer', done, total);
  const isCausal = isCausalMode(training);
  const read = isPrior
    ? await loadPrior(device, folder, onProgress)
    : await loadTransformer(device, folder, undefined, onProgress);
  if (!isCausal) refuseCausal(read.config, training.mode, folder);
  const loaded = { ...read, config: isCausal ? causalConfig(read.config, config, folder) : read.config };
  const base = loaded.parameters;
  requireTrainable(base, folder.name);
  const trainable = await trainableOf(config, base, context);
  const current = emptyParameters();
  // What shows the prior is DWM's pipeline, for which hands make no difference.
  const hands = isPrior ? loaded.config.out_channels : 0;
  const dwmConfig = { ...loaded.config, in_channels: loaded.config.in_channels + hands };
  let pipeline: Promise<DwmPipeline> | undefined;
  const openPipeline = () => {
    pipeline ??= context.openPipeline({ config: dwmConfig, parameters: current });
    return pipeline;
  };
  const examples = await openExamples(context, loaded.config, openPipeline);
  const { rules, tokens } = examples;
  const inpaint: InpaintRules | undefined = isPrior
    ? { ...rules, identity: training.inpaint_identity_prob, black: await examples.black() }
    : undefined;

  const json = {
    ...((await readJson(folder, CONFIG)).json as object),
    in_channels: loaded.config.in_channels,
    ...(isCausal && { causal: loaded.config.causal }),
  };
  const files = (theta: Float32Array): ModelFiles =>
    training.mode === 'lora'
      ? {
          weights: loraFiles(trainable.layout, theta),
          texts: new Map(),
          headers: new Map<string, Record<string, string>>([
            [LORA_FILE, loraMetadata(training.lora_rank, training.lora_alpha, training.lora_target_modules)],
            [NON_LORA_FILE, { format: 'pt' }],
          ]),
        }
      : {
          weights: new Map([[TRANSFORMER_FILE, wholeNetwork(trainable.layout, theta)]]),
          texts: new Map([[CONFIG, `${JSON.stringify(json, undefined, 2)}\n`]]),
        };

  return {
    trainable,
    loss: lossOf(config, rules, tokens),

    async batch(position): Promise<Batch> {
      const loaded = await examples.load(position);
      if (isCausal)
        return makeCausalBatch(loaded, position, {
          ...rules,
          historyTimestep: training.causal_history_timestep,
          ownHistory: seesItsOwn(training),
        });
      if (!inpaint) return makeBatch(loaded, position, rules);
      // Videos and static videos by turns: positions of a clip change from epoch to epoch.
      const clips = loaded.map(({ text, ...clip }, i) => ({
        video: (position + i) % 2 === 0 ? clip.video : clip.static,
        text,
      }));
      return makeInpaintBatch(clips, position, inpaint);
    },

    files,

    async validate(theta, step, samples) {
      // Whole clips at once are not what a causal network learns: dwm live shows it.
      if (shows.validate && samples.length > 0 && !isCausal) {
        await applyTrained(device, base, trainable, theta, current);
        if (hands > 0) await widenChannels(device, current, 'patch_embed.proj.weight', hands);
        await shows.validate(await openPipeline(), samples, step);
      }
      return {};
    },

    async finish(theta) {
      return files((await theta.read()) as Float32Array);
    },
  };
}

const isPriorMode = ({ mode }: ExperimentConfig['training']) => mode === 'inpaint';
const seesItsOwn = ({ mode }: ExperimentConfig['training']) => mode === 'self_forcing';
const isCausalMode = ({ mode }: ExperimentConfig['training']) => mode === 'causal' || mode === 'self_forcing';

/** The objective of a mode on batches of `tokens` rows of text. */
function lossOf(
  { training }: ExperimentConfig,
  rules: Pick<BatchRules, 'config' | 'size' | 'scalingFactor'>,
  tokens: number,
): LossFunction<Inputs> {
  const specs = isPriorMode(training) ? inpaintSpecs : isCausalMode(training) ? causalBatchSpecs : batchSpecs;
  return {
    inputs: specs(training.batch_size, { ...rules, ownHistory: seesItsOwn(training) }, tokens),
    loss: (weights, inputs, tap) =>
      dwmObjective(rules.config, weights, rules.scalingFactor, inputs as unknown as ObjectiveInputs, {
        recompute: training.custom_settings.gradient_checkpointing,
        ...(!isPriorMode(training) && { changeWeight: training.change_weight, huberC: training.huber_c }),
        ...(tap && { tap }),
      }).loss,
  };
}

/** A transformer, with channels for hands unless it is the prior, and what its weights are. */
export async function describedTransformer(
  folder: ModelFolder,
  isPrior = false,
): Promise<{ config: TransformerConfig; stored: StoredAs }> {
  const read = isPrior ? await readPrior(folder) : await readTransformer(folder);
  const config = isPrior ? read : { ...read, in_channels: dwmChannels(read.out_channels) };
  return { config, stored: await storedAs(folder, 'transformer/diffusion_pytorch_model') };
}

/** The task from configurations and headers; @throws as `dwmTask` for what these tell. */
export async function planDwmTask({ config, folder }: PlanContext): Promise<PlannedTask> {
  const { training } = config;
  const { config: read, stored } = await describedTransformer(folder, isPriorMode(training));
  if (!isCausalMode(training)) refuseCausal(read, training.mode, folder);
  const network = isCausalMode(training) ? causalConfig(read, config, folder) : read;
  const whole = new Symbols(stored(transformerParameters(network)));
  requireTrainable(whole, folder.name);
  const rules = await describedRules(config, folder, network);
  return {
    weightBytes: whole.bytes,
    blocks: network.num_layers,
    step(blocks) {
      const part = { ...network, num_layers: blocks };
      return {
        trainable: trainedPart(config, new Symbols(stored(transformerParameters(part)))),
        loss: lossOf(config, { ...rules, config: part }, network.max_text_seq_length),
      };
    },
  };
}

async function readTransformer(folder: ModelFolder): Promise<TransformerConfig> {
  const { json, file } = await readJson(folder, CONFIG);
  return readTransformerConfig(json, file);
}

/** A transformer without channels for hands. @throws InvalidFileError where it has some. */
async function readPrior(folder: ModelFolder): Promise<TransformerConfig> {
  const config = await readTransformer(folder);
  const expected = 2 * config.out_channels + 1;
  if (config.in_channels === expected) return config;
  throw new InvalidFileError(
    `${folder.name}/${CONFIG}`,
    `in_channels: mode inpaint trains noisy | mask | visible clip, ${expected} channels, got ${config.in_channels}`,
    { field: 'in_channels' },
  );
}

/** The inpainting prior of a folder, without channels for hands. */
async function loadPrior(
  device: Device,
  folder: ModelFolder,
  onProgress: (done: number, total: number) => void,
): Promise<{ config: TransformerConfig; parameters: Parameters }> {
  const config = await readPrior(folder);
  const checkpoint = await openCheckpoint(folder, 'transformer/diffusion_pytorch_model');
  try {
    const specs = transformerParameters(config);
    return { config, parameters: await loadParameters(device, checkpoint, specs, { onProgress }) };
  } finally {
    await checkpoint.close();
  }
}

/** @throws InvalidFileError for a transformer that looks back only: it learns in modes of its own. */
export function refuseCausal({ causal }: TransformerConfig, mode: string, folder: ModelFolder): void {
  if (!causal) return;
  throw new InvalidFileError(
    `${folder.name}/${CONFIG}`,
    `causal: this model looks back only, and mode ${mode} trains those that look both ways; use causal or self_forcing`,
    { field: 'causal' },
  );
}

/**
 * How the transformer looks back: as the experiment says, else as the model does.
 * @throws InvalidFileError where neither says it.
 */
function causalConfig(
  config: TransformerConfig,
  { training }: ExperimentConfig,
  folder: ModelFolder,
): TransformerConfig {
  const causal = training.causal ?? config.causal;
  const file = `${folder.name}/${CONFIG}`;
  if (!causal) {
    throw new InvalidFileError(
      file,
      `causal: is missing, which mode ${training.mode} needs; name training.causal, e.g. { block_frames: 1, window: 4, sink: 1 }`,
      { field: 'causal' },
    );
  }
  return checkCausal({ ...config, causal }, file);
}

function trainedPart({ training }: ExperimentConfig, base: Parameters): Trainable {
  if (training.mode !== 'lora') return fullTrainable(base);
  return loraTrainable(base, {
    rank: training.lora_rank,
    alpha: training.lora_alpha,
    targetModules: training.lora_target_modules,
    trainablePatterns: training.trainable_parameter_patterns,
    frozenPatterns: training.frozen_parameter_patterns,
    seed: training.seed,
  });
}

async function trainableOf(
  config: ExperimentConfig,
  base: Parameters,
  { loraStart, warn }: TaskContext,
): Promise<Trainable> {
  const { training } = config;
  const trainable = trainedPart(config, base);
  if (training.mode !== 'lora' || !loraStart) return trainable;
  const scale = training.lora_alpha / training.lora_rank;
  const { theta, note } = await startFromLora(loraStart, trainable.layout, scale);
  if (note) warn(note);
  return { ...trainable, initial: async () => theta };
}
