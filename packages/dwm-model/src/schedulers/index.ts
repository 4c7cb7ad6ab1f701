export { fromConfig, SCHEDULER_NAMES, type SchedulerName } from './from-config.ts';
export { applyRecipe, type Schedule, type ScheduleOptions, type Scheduler, type Slot } from './recipe.ts';
export { roundHalfEven } from './timesteps.ts';
