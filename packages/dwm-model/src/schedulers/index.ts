export { CogVideoXDDIMScheduler } from './cogvideox-ddim.ts';
export { CogVideoXDPMScheduler } from './cogvideox-dpm.ts';
export { DDIMScheduler } from './ddim.ts';
export { EulerDiscreteScheduler } from './euler.ts';
export { FlowMatchEulerDiscreteScheduler } from './flow-euler.ts';
export { FlowUniPCMultistepScheduler } from './flow-unipc.ts';
export { fromConfig, SCHEDULER_NAMES, type SchedulerName } from './from-config.ts';
export {
  applyRecipe,
  type LinearCombination,
  type NoiseMix,
  type Schedule,
  type ScheduleOptions,
  type Scheduler,
  type Slot,
  type StepRecipe,
} from './recipe.ts';
export { roundHalfEven } from './timesteps.ts';
export { UniPCMultistepScheduler } from './unipc.ts';
