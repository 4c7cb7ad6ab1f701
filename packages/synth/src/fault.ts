/** What makes a clip one to throw away: hands in furniture, nothing that moves, a hand that is not seen. */
import { SIDES, type Trajectory } from '@dwm/renderer';
import { matrices } from '@dwm/renderer/scene';
import { projected } from './camera/head.ts';
import type { Motion } from './motion/make-motion.ts';
import { beadsNear } from './physics/beads.ts';
import { handPoints } from './physics/hand-body.ts';
import type { HandsRun } from './physics/run-hands.ts';
import { LEAVES_ALL, LEFT_TO_PHYSICS, type MovingPart, type Rejection } from './types.ts';
import { distanceTo } from './world/solid.ts';
import { findBody, isJoint, type World } from './world/world.ts';

/** How deep a hand may be in what stands still, metres; skin gives way, and colliders are coarser than meshes. */
const DEEPEST = 0.022;

/** How far what stays where it is may give way, metres or radians. */
const STILL = 0.003;

type Judged = Pick<Motion, 'action' | 'acting' | 'actingFrames'>;

/** What is wrong with a clip; undefined where it is good. */
export function fault(world: World, motion: Judged, run: HandsRun): Rejection | undefined {
  if (goesThrough(world, motion.acting) || carriedThrough(world, run)) return 'interpenetration';
  if (motion.action === 'touch-nothing') {
    if (run.contacts.length > 0) return 'unwanted-contact';
  } else if (LEAVES_ALL.has(motion.action)) {
    const touches = motion.action === 'push-shut-drawer' || motion.action === 'graze';
    if (touches && !run.contacts.some(({ part }) => part === world.actor)) return 'no-contact';
    if (run.moving.some(moves)) return 'unwanted-motion';
  } else if (LEFT_TO_PHYSICS.has(motion.action)) {
    if (run.contacts.length === 0) return 'no-contact';
  } else {
    const part = run.moving.find(({ name }) => name === world.actor)!;
    if (!movesVisibly(world, part, run)) return 'no-motion';
  }
  return seenWell(motion) ? undefined : 'out-of-view';
}

function moves({ opening, worlds: [first, ...others] }: MovingPart): boolean {
  if (opening) return Math.max(...opening.map((value) => Math.abs(value - opening[0]))) > STILL;
  return others.some((world) => Math.hypot(...[3, 7, 11].map((i) => world[i] - first[i])) > STILL);
}

function goesThrough(world: World, { frames }: Trajectory): boolean {
  const fixed = world.bodies.filter(({ motion }) => motion === 'fixed');
  return frames.some(({ hands }) =>
    SIDES.some((side) => {
      const pose = hands[side];
      if (!pose?.joints || !pose.radii) return false;
      return handPoints(pose.joints, pose.radii).some(({ point, radius }) =>
        fixed.some(
          ({ solids, place }) => solids.length > 0 && radius - distanceTo(solids, place, point) > DEEPEST,
        ),
      );
    }),
  );
}

/** The thing acted on is with its middle inside furniture. */
function carriedThrough(world: World, { moving }: HandsRun): boolean {
  const body = findBody(world, world.actor);
  if (body.motion !== 'loose') return false;
  const fixed = world.bodies.filter(({ motion, solids }) => motion === 'fixed' && solids.length > 0);
  const part = moving.find(({ name }) => name === body.name)!;
  return part.worlds.some((world) =>
    body.solids.some(({ position }) => {
      const middle = matrices.transformPoint(world, position);
      return fixed.some(({ solids, place }) => distanceTo(solids, place, middle) < -0.002);
    }),
  );
}

/** The share of its way that a joint has to pass. */
export const OPENED = 0.4;

/** A joint has to pass its share of the way; a thing that is put somewhere has to be there; others move 5 cm or fall over. */
function movesVisibly(world: World, part: MovingPart, run: HandsRun): boolean {
  const { motion } = findBody(world, world.actor);
  if (isJoint(motion) && part.opening) {
    const way = Math.abs(part.opening.at(-1)! - part.opening[0]);
    return way > OPENED * (motion.limits[1] - motion.limits[0]);
  }
  const [first, last] = [part.worlds[0], part.worlds.at(-1)!];
  if (world.action === 'topple') return last[5] < 0.5;
  if (world.action === 'pour') return beadsNear(run, world.goal!) >= 5;
  if (world.action === 'pick-and-place') {
    const off = Math.hypot(...world.goal!.map((value, axis) => last[3 + 4 * axis] - value));
    return off < 0.08 && last[5] > 0.9;
  }
  const shift = Math.hypot(last[3] - first[3], last[7] - first[7], last[11] - first[11]);
  const upright = first[1] * last[1] + first[5] * last[5] + first[9] * last[9];
  return shift > 0.05 || upright < 0.3;
}

/** The middle of a hand is in the picture in most of the frames in which it acts. */
function seenWell({ acting, actingFrames }: Judged): boolean {
  const seen = actingFrames.filter((index) => {
    const { camera, intrinsics, hands } = acting.frames[index];
    return SIDES.some((side) => {
      const joints = hands[side]?.joints;
      // The middle finger's knuckle.
      const at = joints && projected(camera, intrinsics, [joints[77], joints[78], joints[79]]);
      return at?.every((part) => part > 0.03 && part < 0.97);
    });
  });
  return seen.length >= 0.75 * actingFrames.length;
}
