export { ALL_RESIDENT, type MemoryChoice } from './choice.ts';
export { DECODES_ONLY, smallerTiles } from './decode-again.ts';
export { type Pace, PLAN_DEVICES, type PlanTarget, parseBytes, planDevice, targetOf } from './devices.ts';
export {
  type PlannedStage,
  planRun,
  type QuantizedRun,
  type RunNeeds,
  type RunPlan,
  type RunSize,
  RunTooLargeError,
} from './plan-run.ts';
