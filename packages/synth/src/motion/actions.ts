/** Which motion each action's hands make. */
import { Random } from '../random.ts';
import type { Action } from '../types.ts';
import { anotherOf, type World } from '../world/world.ts';
import { carry, pour } from './carrying.ts';
import type { HandsMotion } from './hand-motion.ts';
import { moveJoint, tryDrawer } from './joints.ts';
import { letGo, miss, stopShort, wander } from './near-misses.ts';
import { graze, push, pushDrawer, topple } from './pushing.ts';
import { touchNothing } from './touch-nothing.ts';

const MOTIONS: Readonly<Record<Action, (world: World, random: Random) => HandsMotion>> = {
  'pull-drawer': moveJoint,
  'push-drawer': pushDrawer,
  'push-shut-drawer': pushDrawer,
  'try-drawer': tryDrawer,
  'open-door': moveJoint,
  'close-door': moveJoint,
  'open-lid': moveJoint,
  'close-lid': moveJoint,
  'flip-switch': moveJoint,
  'pick-and-place': carry,
  'push-object': push,
  topple,
  pour,
  'touch-nothing': touchNothing,
  miss: (world, random) => miss(world, ownMotion(world), random),
  'stop-short': (world, random) => stopShort(world, ownMotion(world), random),
  graze,
  'let-go': (world, random) => letGo(world, ownMotion(world), random),
  // The room's own drawer or door where there is one only.
  'take-another': (world) => ownMotion(anotherOf(world) ?? world),
  wander,
};

export const handsMotion = (world: World, action: Action, random: Random): HandsMotion =>
  MOTIONS[action](world, random);

/** The very motion that would do what the room is made for. */
const ownMotion = (world: World): HandsMotion =>
  handsMotion(world, world.action, Random.fork(world.seed, `hands ${world.action}`));
