/**
 * A made-up room with a drawer as a task. Targets are the grips of things that can move where the goal differs from the
 * room as it is, and the room's physics can check a path.
 */
import {
  type Action,
  type ClipSize,
  clipOf,
  fault,
  findBody,
  firstPlace,
  handScene,
  makeMotion,
  makeWorld,
  openedShare,
  type PassRenderer,
  passesProblem,
  runHands,
  tryingCaption,
  type Unusable,
  type World,
  wristOf,
} from '@dwm/synth';
import { startingSide } from './hand-path.ts';
import { targetsNearChange } from './near-change.ts';
import type { Task } from './search.ts';

/** How far a hand path opens what the world is about, as a share of its way. */
async function openedBy(world: World, trajectory: Parameters<typeof runHands>[1]): Promise<number> {
  const { moving } = await runHands(world, trajectory);
  return openedShare(world, moving, world.actor);
}

const ACTION: Action = 'pull-drawer';

/**
 * The goal is the room after its drawer was opened by the physics, without hands.
 * `pullCaption` has words for it, `caption` has not.
 * @returns why the room cannot be used, where it cannot: the drawer does not open or is not seen.
 */
export async function synthRoom(
  seed: number,
  passes: PassRenderer,
  size: ClipSize,
): Promise<(Task & { world: World; pullCaption: string }) | Unusable> {
  const world = await makeWorld(seed, ACTION);
  const settings = { ...size, fixedCamera: true };
  const pull = makeMotion(world, settings);
  const run = await runHands(world, pull.acting);
  const rejected = fault(world, pull, run);
  if (rejected) return { rejected };
  const clip = clipOf(world, pull, run, true);
  const drawn = await passes.render(clip);
  const problem = passesProblem(clip, drawn);
  if (problem) return { rejected: problem };

  const { acting } = makeMotion(world, { ...settings, action: 'touch-nothing' });
  const side = startingSide(acting) ?? 'right';
  const targets = world.bodies
    .filter(({ motion, grips }) => motion !== 'fixed' && grips.length > 0)
    .flatMap((body) => body.grips.map((grip) => ({ name: body.name, grip, place: firstPlace(body) })));
  return {
    world,
    setting: {
      targets: targetsNearChange(targets, acting, drawn.staticVideo, drawn.after),
      camera: acting,
      hand: { side, size: 1 },
      start: wristOf(acting.frames[0].hands[side]!.joints!),
    },
    staticVideo: drawn.staticVideo,
    goal: drawn.after,
    hands: { rigs: { left: handScene('left'), right: handScene('right') } },
    caption: tryingCaption(side),
    pullCaption: pull.caption,
    check: async (trajectory) => {
      const opened = await openedBy(world, trajectory);
      const percent = Math.round(100 * opened);
      return {
        opened,
        text: `in the physics it opens ${findBody(world, world.actor).words} by ${percent}% of its way`,
      };
    },
  };
}
