/** What a run takes of a device, known from configurations and headers before any weight is read; and how it is made to fit. */
export type { ModelShapes } from '../families/family.ts';
export { isLivePlan, planClips } from '../live/plan-clips.ts';
export { type LiveNeeds, type LivePlan, planLive } from '../live/plan-live.ts';
export { type PlanSize, planModel, publishedShapes, readModelShapes } from '../pipeline/plan-model.ts';
export { ALL_RESIDENT, type MemoryChoice } from './choice.ts';
export { DECODES_ONLY, smallerTiles } from './decode-again.ts';
export { type Pace, PLAN_DEVICES, type PlanTarget, parseBytes, planDevice, targetOf } from './devices.ts';
export { planRun } from './plan-run.ts';
export { RunTooLargeError } from './refusal.ts';
export type { PlannedStage, QuantizedRun, RunNeeds, RunPlan, RunSize } from './run-plan.ts';
