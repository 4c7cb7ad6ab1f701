/**
 * A clip as one scene to draw and its poses: the room, and for every hand that acts a skinned hand with a
 * forearm. The static and the interaction video are two sets of poses of the same scene, so what does not move is
 * the same in both to the bit.
 */
import { SIDES } from '@dwm/renderer';
import { combineScenes, matrices, type Scene, type ScenePose } from '@dwm/renderer/scene';
import { armMatrices, forearmScene, handScene } from '../hands/index.ts';
import type { DrawnClip } from '../types.ts';

const { compose, invertAffine, multiply } = matrices;
type Matrix = matrices.Matrix;

const JOINTS = 25;

interface ClipScene {
  readonly scene: Scene;
  /** The room in frame 0, without hands. */
  readonly still: ScenePose;
  /** The room in a frame, with or without the hands. */
  pose(frame: number, hands: boolean): ScenePose;
}

/** World matrices of the joints [25, 7]. */
function jointMatrices(joints: ArrayLike<number>): Matrix[] {
  return Array.from({ length: JOINTS }, (_, j) => {
    const number = (i: number) => joints[7 * j + i];
    return compose([0, 1, 2].map(number), [3, 4, 5, 6].map(number));
  });
}

export function clipScene(clip: DrawnClip): ClipScene {
  const { scene: room, acting, forearms } = clip;
  const sides = SIDES.filter((side) => acting.frames.some(({ hands }) => hands[side]));
  const scenes = [{ scene: room, name: 'room' }];
  const firstNode = { left: { hand: -1, arm: -1 }, right: { hand: -1, arm: -1 } };
  let next = 1 + room.nodes.length;
  const add = (scene: Scene): number => {
    scenes.push({ scene, name: scene.name });
    const first = next + 1;
    next = first + scene.nodes.length;
    return first;
  };
  for (const side of sides) {
    const { skin, sleeve, sleeveLength } = forearms[side] ?? BARE;
    firstNode[side].hand = add(handScene(side, skin));
    if (forearms[side]) firstNode[side].arm = add(forearmScene(side, skin, sleeve, sleeveLength));
  }
  const scene = combineScenes(`clip ${clip.seed}`, scenes);

  const moved = (frame: number): Map<number, { readonly matrix: Matrix }> => {
    const worlds = new Map(clip.moving.map(({ node, worlds }) => [node, worlds[frame]]));
    return new Map(
      [...worlds].map(([node, world]) => {
        const parent = room.nodes[node].parent;
        const matrix = parent < 0 ? world : multiply(invertAffine(worldOf(room, parent, worlds)), world);
        // The room's carrier is node 0.
        return [node + 1, { matrix }];
      }),
    );
  };
  const pose = (frame: number, hands: boolean): ScenePose => {
    const all = moved(frame);
    for (const side of sides) {
      const joints = hands ? acting.frames[frame].hands[side]?.joints : undefined;
      const elbow = forearms[side]?.elbows[frame];
      const shoulder = forearms[side]?.shoulders[frame];
      const { hand, arm } = firstNode[side];
      const worlds = joints && jointMatrices(joints);
      for (let j = 0; j < JOINTS; j++) all.set(hand + j, { matrix: worlds?.[j] ?? GONE });
      if (arm < 0) continue;
      const bones = worlds && elbow && shoulder ? armMatrices(worlds[0], elbow, shoulder) : undefined;
      const [forearm, upper] = bones ?? [GONE, GONE];
      all.set(arm, { matrix: bones ? worlds![0] : GONE });
      all.set(arm + 1, { matrix: forearm });
      all.set(arm + 2, { matrix: upper });
    }
    return all;
  };
  return { scene, still: pose(0, false), pose };
}

const BARE = { skin: [0.5, 0.28, 0.19], sleeve: [0.5, 0.5, 0.5], sleeveLength: 0 } as const;

/** All vertices in one point: nothing is drawn. */
const GONE: Matrix = Float64Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

function worldOf(scene: Scene, node: number, worlds: ReadonlyMap<number, Matrix>): Matrix {
  const known = worlds.get(node);
  if (known) return known;
  const { parent, matrix, translation, rotation, scale } = scene.nodes[node];
  const local = matrix ?? compose(translation, rotation, scale);
  return parent < 0 ? local : multiply(worldOf(scene, parent, worlds), local);
}
