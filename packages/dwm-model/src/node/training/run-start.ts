/** What a run starts from: its base model, a checkpoint, or LoRA weights. */
import { join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { openDirectory } from '@dwm/core-tensor/node';
import type { ExperimentConfig } from '../../training/config.ts';
import type { TrainStep } from '../../training/train-step.ts';
import type { Trainable } from '../../training/trainable.ts';
import { hasLora, LORA_FILES } from '../../weights/lora-files.ts';
import { listCheckpoints, readPacked, readState, type TrainingState } from './checkpoint.ts';
import { initializeModel } from './model-folder.ts';
import type { Inputs } from './task.ts';
import type { Report } from './train-options.ts';

/** Folder of the base model; from scratch, one made of its configs. */
export async function baseModel(
  { model, experiment, training }: ExperimentConfig,
  report: Report,
): Promise<string> {
  const base = model.base_model_name_or_path;
  if (!model.from_scratch) return base;
  const made = join(experiment.output_dir, 'initial');
  const drawn = await initializeModel(base, made, training.seed);
  if (drawn.length > 0) report({ kind: 'note', text: `random weights for ${drawn.join(', ')}` });
  return made;
}

type Start =
  | { readonly kind: 'checkpoint'; readonly path: string; readonly state: TrainingState }
  | { readonly kind: 'lora'; readonly path: string };

/** @param given `latest`, a checkpoint, a folder of LoRA files, or nothing. */
export async function findStart(given: string | null, config: ExperimentConfig): Promise<Start | undefined> {
  if (!given) return undefined;
  if (given === 'latest') {
    const found = (await listCheckpoints(config.experiment.output_dir)).at(-1);
    return found && { kind: 'checkpoint', path: found.path, state: await readState(found.path) };
  }
  const folder = await openDirectory(given);
  if (await folder.exists('state.json'))
    return { kind: 'checkpoint', path: given, state: await readState(given) };
  if (config.training.mode === 'lora' && (await hasLora(folder))) return { kind: 'lora', path: given };
  throw new InvalidFileError(
    given,
    `is neither a checkpoint (state.json) nor a folder of LoRA weights (${LORA_FILES.join(', ')}); give one of them, or latest`,
  );
}

/** The weights and the optimizer as the checkpoint has them. */
export async function restore(
  step: TrainStep<Inputs>,
  { path, state }: Start & { kind: 'checkpoint' },
  trainable: Trainable,
  report: Report,
  { training }: ExperimentConfig,
): Promise<void> {
  if (JSON.stringify(state.layout) !== JSON.stringify(layoutOf(trainable))) {
    throw new InvalidFileError(
      path,
      'holds other trained weights than this experiment; check mode, lora_rank, lora_target_modules and the base model',
    );
  }
  const tensors = await readPacked(path, step.stateSpecs);
  step.restore({ tensors, lossScale: state.lossScale });
  report({ kind: 'note', text: `going on after step ${state.step} from ${path}` });
  if (state.seed !== training.seed) {
    report({ kind: 'warning', text: `seed ${training.seed} differs from ${state.seed} of the run so far` });
  }
}

/** As a checkpoint has it, to tell whether it fits. */
export const layoutOf = (trainable: Trainable): Record<string, readonly number[]> =>
  Object.fromEntries([...trainable.layout.parts].map(([name, { shape }]) => [name, shape]));
