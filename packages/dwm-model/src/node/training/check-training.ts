/** What an experiment asks for that no training can do. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { ModelFamily } from '../../families/index.ts';
import { type ExperimentConfig, trainingDefaults } from '../../training/config.ts';

type Training = ExperimentConfig['training'];
type Mode = Training['mode'];

const TRIPLETS: readonly Mode[] = ['lora', 'full', 'causal', 'self_forcing'];
const LOOKS_BACK: readonly Mode[] = ['causal', 'self_forcing'];

/** The modes that know a key; all do where it is not named. Of Wan's own there are others (`wan/training`). */
const KNOWN_IN: { readonly [K in keyof Training]?: readonly Mode[] } = {
  causal: LOOKS_BACK,
  causal_history_timestep: LOOKS_BACK,
  inpaint_identity_prob: ['inpaint'],
  vae_loss: ['vae'],
  vae_kl_weight: ['vae'],
  vae_freeze_encoder: ['vae'],
  vae_crop: ['vae'],
  vae_gradient_weight: ['vae', 'decoder'],
  decoder_generated_prob: ['decoder'],
  decoder_contrast_weight: ['decoder'],
  decoder_feature_weight: ['decoder'],
  decoder_adversarial_weight: ['decoder'],
  change_weight: [...TRIPLETS, 'decoder'],
  huber_c: TRIPLETS,
  no_hands_prob: TRIPLETS,
  hand_dropout_prob: [...TRIPLETS, 'sft'],
};

/** @throws InvalidArgumentError for clips that are to be mirrored, and for a key that the mode would pass over. */
export function checkKeys({ training }: ExperimentConfig): void {
  if (training.custom_settings.random_flip) {
    throw new InvalidArgumentError(
      'training.custom_settings.random_flip',
      'is not supported: a flipped clip has its hands exchanged; set it to false',
    );
  }
  for (const [name, modes] of Object.entries(KNOWN_IN)) {
    const key = name as keyof typeof KNOWN_IN;
    if (modes.includes(training.mode) || training[key] === trainingDefaults[key]) continue;
    const who = modes.length === 1 ? `mode ${modes[0]}` : `modes ${modes.join(', ')}`;
    throw new InvalidArgumentError(
      `training.${key}`,
      `is of ${who}, and has no meaning in mode ${training.mode}; leave it out`,
    );
  }
}

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
