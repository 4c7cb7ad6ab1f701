/** The plan of clips of any model: of one that looks back only, that of the live run which makes them. */
import type { ModelShapes } from '../families/family.ts';
import type { PlanTarget } from '../memory/devices.ts';
import { planRun } from '../memory/plan-run.ts';
import type { RunNeeds, RunPlan } from '../memory/run-plan.ts';
import type { LivePlan } from './plan-live.ts';

/** @throws RunTooLargeError, with the numbers and what would make it fit. */
export async function planClips(
  shapes: ModelShapes,
  target: PlanTarget,
  needs: RunNeeds,
): Promise<RunPlan | LivePlan> {
  if (!shapes.network.causal) return planRun(shapes, target, needs);
  // Most models never need it, and a page need not fetch it.
  const { planLive } = await import('./plan-live.ts');
  return planLive(shapes, target, { ...needs, composite: needs.composite === true, moves: true });
}

/** Whether it is of a live run. */
export const isLivePlan = (plan: RunPlan | LivePlan): plan is LivePlan =>
  plan.stages.some(({ stage }) => stage === 'live');
