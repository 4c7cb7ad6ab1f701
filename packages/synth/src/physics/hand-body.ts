/** A hand in the physics: a kinematic capsule a bone, which pushes what it meets and is moved by nothing. */
import type RAPIER from '@dimforge/rapier3d-compat';
import { type HandPose, rotations, type Vec3 } from '@dwm/renderer';
import { BONES, jointAt } from '../motion/skeleton.ts';
import { type Bodies, HAND_GROUPS } from './bodies.ts';

const { direction, lerp, length, subtract, swing } = rotations;

const AWAY: Vec3 = [0, -20, 0];

/** A point of a hand with the radius of flesh around it, and the finger it is of: 0 thumb to 4, -1 palm. */
export interface HandPoint {
  readonly point: Vec3;
  readonly radius: number;
  readonly finger: number;
}

const fingerOf = (joint: number): number => {
  if (joint < 2 || (joint >= 5 && joint % 5 <= 1)) return -1;
  return joint < 5 ? 0 : Math.floor(joint / 5);
};

/** Joints and middles of bones. */
export function handPoints(joints: ArrayLike<number>, radii: ArrayLike<number>): HandPoint[] {
  const points: HandPoint[] = [];
  for (const [a, b] of BONES) {
    const [start, end] = [jointAt(joints, a), jointAt(joints, b)];
    points.push({ point: end, radius: radii[b], finger: fingerOf(b) });
    points.push({ point: lerp(start, end, 0.5), radius: (radii[a] + radii[b]) / 2, finger: fingerOf(b) });
  }
  return points;
}

/** How far a finger is bent between the palm and its last bone, radians; fingers 1 to 4. */
export function bendOf(joints: ArrayLike<number>, finger: number): number {
  const base = 5 * finger;
  const palm = direction(subtract(jointAt(joints, base + 1), jointAt(joints, 0)))!;
  const last = direction(subtract(jointAt(joints, base + 4), jointAt(joints, base + 3)))!;
  return Math.acos(Math.min(1, Math.max(-1, rotations.dot(palm, last))));
}

export const DEFAULT_RADII = Float64Array.from({ length: 25 }, (_, joint) =>
  joint === 0 ? 0.022 : joint === 1 || (joint >= 5 && joint % 5 === 0) ? 0.02 : 0.009,
);

/** Flesh gives way: this share of a finger's thickness pushes, so that what is grasped is touched before it is pushed. */
const FIRM = 0.5;

export class HandBody {
  readonly #bones: readonly RAPIER.RigidBody[];
  #there = false;

  /** @param pose gives the bones' lengths and radii. */
  constructor(bodies: Bodies, { joints, radii = DEFAULT_RADII }: HandPose) {
    const { engine, physics } = bodies;
    this.#bones = BONES.map(([a, b]) => {
      const rigid = physics.createRigidBody(
        engine.RigidBodyDesc.kinematicPositionBased().setTranslation(...AWAY),
      );
      const long = length(subtract(jointAt(joints!, b), jointAt(joints!, a)));
      const shape = engine.ColliderDesc.capsule(long / 2, FIRM * Math.min(0.017, (radii[a] + radii[b]) / 2))
        .setFriction(0.8)
        .setCollisionGroups(HAND_GROUPS);
      physics.createCollider(shape, rigid);
      return rigid;
    });
  }

  /** Where the hand is after the next step; `null` takes it away. */
  moveTo(joints: ArrayLike<number> | null): void {
    this.#bones.forEach((rigid, i) => {
      const [a, b] = BONES[i];
      const place = joints ? lerp(jointAt(joints, a), jointAt(joints, b), 0.5) : AWAY;
      const along = joints && direction(subtract(jointAt(joints, b), jointAt(joints, a)));
      const [x, y, z, w] = swing([0, 1, 0], along || [0, 1, 0], [1, 0, 0]);
      const [at, turned] = [
        { x: place[0], y: place[1], z: place[2] },
        { x, y, z, w },
      ];
      // A hand that appears does not sweep through the room on its way.
      if (!this.#there || !joints) {
        rigid.setTranslation(at, true);
        rigid.setRotation(turned, true);
      }
      rigid.setNextKinematicTranslation(at);
      rigid.setNextKinematicRotation(turned);
    });
    this.#there = joints !== null;
  }
}
