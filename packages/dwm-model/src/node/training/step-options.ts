/** What an experiment says of the optimizer's step. */
import type { ExperimentConfig } from '../../training/config.ts';
import {
  adamw8bitOptimizer,
  adamwOptimizer,
  type Optimizer,
  sgdOptimizer,
} from '../../training/optimizer.ts';
import type { TrainStepOptions } from '../../training/train-step.ts';
import type { TrainedStep } from './task.ts';

/** @param step its own settings hold in place of the experiment's. */
export function stepOptions(
  { training }: ExperimentConfig,
  { trainable, fixed, clippedLength }: TrainedStep,
): TrainStepOptions {
  const settings = { ...training, ...fixed };
  return {
    optimizer: optimizerOf(settings, trainable.layout.length),
    maxGradNorm: settings.max_grad_norm,
    ...(clippedLength !== undefined && { clippedLength }),
    microBatches: training.gradient_accumulation_steps,
    ...(training.ema_decay !== null && { emaDecay: training.ema_decay }),
    halfPrecision: training.custom_settings.mixed_precision === 'fp16',
  };
}

function optimizerOf(training: ExperimentConfig['training'], length: number): Optimizer {
  const { optimizer, beta1, beta2, epsilon: eps, weight_decay: weightDecay } = training;
  if (optimizer === 'sgd') return sgdOptimizer(weightDecay);
  const rates = { beta1, beta2, eps, weightDecay };
  return optimizer === 'adamw8bit' ? adamw8bitOptimizer(length, rates) : adamwOptimizer(length, rates);
}
