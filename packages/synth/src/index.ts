export { projected } from './camera/head.ts';
export { captionOf } from './caption/caption-of.ts';
export { tryingCaption } from './caption/words.ts';
export { clipOf } from './clip-of.ts';
export { fault, OPENED } from './fault.ts';
export { handScene } from './hands/hand-scene.ts';
export { drawEnd, until, withoutHands } from './judging/end.ts';
export { LIVE_ACTS, type LiveRoom, liveRoom } from './judging/live-room.ts';
export {
  CANDIDATES,
  type CandidateName,
  type ClipSize,
  type DrawerRoom,
  drawerRoom,
  MISSES,
  missRoom,
  openedShare,
  openingRoom,
  type Unusable,
} from './judging/rooms.ts';
export { forearmsFor, type Motion, type MotionSettings, makeMotion } from './motion/make-motion.ts';
export { angles, type Closure, closeUntilContact, mixAngles, OPEN } from './motion/posture.ts';
export { type HandAngles, type HandModel, poseSkeleton, wristOf } from './motion/skeleton.ts';
export { blend, minimumJerk, throughPlaces } from './motion/timeline.ts';
export { clearanceOf, withdrawn, wristAt } from './motion/wrist.ts';
export { type ClipPasses, PassRenderer, passesProblem } from './passes/index.ts';
export { type HandsRun, runHands } from './physics/run-hands.ts';
export { Random } from './random.ts';
export { FIXED_CAMERA, simulate } from './simulate.ts';
export * from './types.ts';
export { chooseAction, makeWorld, restOf } from './world/make-world.ts';
export { type Part, partOf } from './world/parts.ts';
export type { Placement } from './world/solid.ts';
export type { Body, Grip, Joint, World } from './world/world.ts';
export { anotherOf, findBody, firstPlace, isJoint } from './world/world.ts';
