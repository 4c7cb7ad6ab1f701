import {
  type MemoryChoice,
  type ModelShapes,
  type PlanTarget,
  planClips,
  type RunNeeds,
} from '@dwm/dwm-model';

/** How a live model is put on the device; in a file of its own, as other models need nothing of it. */
export const liveMemory = (shapes: ModelShapes, target: PlanTarget, needs: RunNeeds): MemoryChoice =>
  planClips(shapes, target, needs).choice;
