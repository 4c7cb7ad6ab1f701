import type { Motion } from './motion/make-motion.ts';
import type { HandsRun } from './physics/run-hands.ts';
import type { SimulatedClip } from './types.ts';
import type { World } from './world/world.ts';

/** What hands do in a world and what comes of it, to be drawn. */
export const clipOf = (
  { seed, scene, lights, action: room }: World,
  { action, caption, acting, forearms }: Pick<Motion, 'action' | 'caption' | 'acting' | 'forearms'>,
  { moving, contacts }: HandsRun,
  fixedCamera: boolean,
): SimulatedClip => ({
  ...{ seed, action, caption, scene, lights, moving, contacts, fixedCamera },
  ...{ trajectory: acting, acting, forearms },
  ...(room !== action && { room }),
});
