/** The plan of clips of any model: of one that looks back only, that of the live run which makes them. */
import {
  type LivePlan,
  type ModelShapes,
  type PlanTarget,
  planLive,
  planRun,
  type RunNeeds,
  type RunPlan,
} from '@dwm/dwm-model';

/** @throws RunTooLargeError, with the numbers and what would make it fit. */
export function planOf(shapes: ModelShapes, target: PlanTarget, needs: RunNeeds): RunPlan | LivePlan {
  if (!shapes.network.causal) return planRun(shapes, target, needs);
  return planLive(shapes, target, { ...needs, composite: needs.composite === true, moves: true });
}

export const isLive = (plan: RunPlan | LivePlan): plan is LivePlan =>
  plan.stages.some(({ stage }) => stage === 'live');
