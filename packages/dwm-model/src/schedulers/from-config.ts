/** From a scheduler file to its class. */
import { InvalidFileError } from '@dwm/core-tensor';
import { CogVideoXDDIMScheduler } from './cogvideox-ddim.ts';
import { CogVideoXDPMScheduler } from './cogvideox-dpm.ts';
import { fieldError } from './config.ts';
import { DDIMScheduler } from './ddim.ts';
import { EulerDiscreteScheduler } from './euler.ts';
import { FlowDPMSolverMultistepScheduler } from './flow-dpm.ts';
import { FlowMatchEulerDiscreteScheduler } from './flow-euler.ts';
import { FlowUniPCMultistepScheduler } from './flow-unipc.ts';
import type { Scheduler } from './recipe.ts';
import { UniPCMultistepScheduler } from './unipc.ts';

const SCHEDULERS = {
  CogVideoXDDIMScheduler,
  CogVideoXDPMScheduler,
  DDIMScheduler,
  EulerDiscreteScheduler,
  FlowMatchEulerDiscreteScheduler,
  UniPCMultistepScheduler,
  FlowUniPCMultistepScheduler,
  FlowDPMSolverMultistepScheduler,
};

/** diffusers' or Wan's class name of a scheduler. */
export type SchedulerName = keyof typeof SCHEDULERS;
/** All schedulers that `fromConfig` knows. */
export const SCHEDULER_NAMES = Object.keys(SCHEDULERS) as SchedulerName[];

/**
 * Builds the scheduler of a parsed `scheduler_config.json`. `file` is named in errors. `className` reads the same
 * file as another class, as diffusers' `from_config` does when a user picks another sampler.
 * Throws `InvalidFileError` for an unknown class, an unknown, missing or bad field, or an unsupported setting.
 */
export function fromConfig(json: unknown, file: string, className?: SchedulerName): Scheduler {
  if (typeof json !== 'object' || json === null) {
    throw new InvalidFileError(file, 'expected a JSON object with _class_name and the fields of a scheduler');
  }
  const name = className ?? (json as { _class_name?: unknown })._class_name;
  if (typeof name !== 'string' || !Object.hasOwn(SCHEDULERS, name)) {
    throw fieldError(file, '_class_name', SCHEDULER_NAMES.join(' | '), name);
  }
  return new SCHEDULERS[name as SchedulerName](json, file);
}
