/** What an experiment asks for that no training can do. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { ModelFamily } from '../../families/index.ts';
import type { ExperimentConfig } from '../../training/config.ts';

/** @throws InvalidArgumentError unless every process gets as many micro-batches. */
export function checkShares(
  { gradient_accumulation_steps: steps, batch_size: size }: ExperimentConfig['training'],
  count: number,
): void {
  if (steps % count === 0) return;
  throw new InvalidArgumentError(
    'training.gradient_accumulation_steps',
    `${count} processes share the micro-batches of a step, expected a multiple of ${count}, got ${steps}; for ${steps} of ${size} samples on each, as the original has it: \`override: training.gradient_accumulation_steps=${steps * count}\``,
  );
}

/** @throws InvalidArgumentError for clips that are to be mirrored. */
export function checkNoFlip({ training }: ExperimentConfig): void {
  if (!training.custom_settings.random_flip) return;
  throw new InvalidArgumentError(
    'training.custom_settings.random_flip',
    'is not supported: a flipped clip has its hands exchanged; set it to false',
  );
}

/** @throws InvalidArgumentError for what clips are generated with here, and not trained. */
export function checkTrained(
  { pipelineTypes, typesWithoutHands = [] }: ModelFamily,
  { pipeline: { type }, training }: ExperimentConfig,
): void {
  if (training.conditioning_mode !== 'dwm') {
    throw new InvalidArgumentError(
      'training.conditioning_mode',
      `${training.conditioning_mode} is for generating; expected dwm to train`,
    );
  }
  if (type !== undefined && typesWithoutHands.includes(type)) {
    const trained = pipelineTypes.filter((other) => !typesWithoutHands.includes(other));
    throw new InvalidArgumentError(
      'pipeline.type',
      `${type} knows no hands, and is for generating; expected ${trained.join(' or ')} to train`,
    );
  }
}
