/** Where the wrist is when a hand has hold of a grip, and how the hand gets there. */
import { type Quaternion, rotations, type Vec3 } from '@dwm/renderer';
import { type Placement, placePoint } from '../world/solid.ts';
import type { Grip, PostureName } from '../world/world.ts';
import { holdPoint } from './posture.ts';
import { boneFrame, type HandModel } from './skeleton.ts';

const { add, cross, rotate, scale, subtract } = rotations;

/** The wrist's rotation at a grip of a body. */
export function gripRotation(
  { side }: HandModel,
  { forward, roll, up }: Grip,
  { rotation }: Placement,
): Quaternion {
  const ahead = rotate(rotation, forward);
  const above = rotate(rotation, up);
  if (roll === 'palm') return boneFrame(ahead, above);
  return boneFrame(ahead, side === 'right' ? cross(ahead, above) : cross(above, ahead));
}

/** The wrist that has the grip's point where its posture holds things. */
export function wristAt(
  model: HandModel,
  grip: Grip,
  body: Placement,
  rotation = gripRotation(model, grip, body),
): Placement {
  const [x, y, z] = scale(holdPoint(grip.posture, grip.radius / model.size), model.size);
  const hold: Vec3 = [model.side === 'left' ? -x : x, y, z];
  return { position: subtract(placePoint(body, grip.point), rotate(rotation, hold)), rotation };
}

/** How far beside what it will hold a hand waits, back along its fingers and out along its back, metres. */
export const clearanceOf = (posture: PostureName): readonly [back: number, out: number] =>
  posture === 'hook' ? [0.03, 0.045] : [0.07, 0.01];

/** `wrist` moved back along its fingers and out along its back, metres. */
export function withdrawn(wrist: Placement, back: number, out: number): Placement {
  return { ...wrist, position: add(wrist.position, rotate(wrist.rotation, [0, out, back])) };
}
