/**
 * Flow matching's noise level: x = (1 - sigma) x0 + sigma noise, the network predicts noise - x0, and sigma is
 * the timestep over the number of training timesteps. A shift above 1 spends more steps at high noise
 * (arXiv:2403.03206, equation 23).
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { NoiseMix } from './recipe.ts';

export const shiftSigma = (sigma: number, shift: number) => (shift * sigma) / (1 + (shift - 1) * sigma);

/** Stretches a run so that its last sigma is `terminal`. */
export function stretchToTerminal(sigmas: readonly number[], terminal: number): number[] {
  const scale = (1 - sigmas[sigmas.length - 1]) / (1 - terminal);
  return sigmas.map((sigma) => 1 - (1 - sigma) / scale);
}

export const flowMix = (sigma: number): NoiseMix => ({ x0: 1 - sigma, noise: sigma });

/** The target noise - x0 does not depend on the timestep. */
export const FLOW_VELOCITY: NoiseMix = { x0: -1, noise: 1 };

export function flowSigmaOfTimestep(timestep: number, numTrainTimesteps: number): number {
  if (!(timestep >= 0 && timestep <= numTrainTimesteps)) {
    throw new InvalidArgumentError('timestep', `expected 0 to ${numTrainTimesteps}, got ${timestep}`);
  }
  return timestep / numTrainTimesteps;
}

/** What all schedulers of flow matching share. */
export abstract class FlowScheduler<Config extends { readonly num_train_timesteps: number }> {
  readonly numTrainTimesteps: number;
  protected readonly config: Config;

  constructor(config: Config) {
    this.config = config;
    this.numTrainTimesteps = config.num_train_timesteps;
  }

  addNoise(timestep: number): NoiseMix {
    return flowMix(flowSigmaOfTimestep(timestep, this.numTrainTimesteps));
  }

  velocity(): NoiseMix {
    return FLOW_VELOCITY;
  }
}
