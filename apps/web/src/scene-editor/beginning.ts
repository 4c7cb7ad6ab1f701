/** Where a visitor finds eye and hand in a room: where its own motion has hold of its thing, or the hand before the eye. */
import type { Trajectory, TrajectoryFrame } from '@dwm/renderer';
import type { RoomInfo } from '../worker/protocol.ts';
import { cameraPose, rigOf } from './camera-rig.ts';
import type { Rigs } from './controls.ts';
import { guideOf } from './guide.ts';
import { handBefore, handHolding } from './hand-rig.ts';

/** @param roomMotion the room's own motion. */
export function beginning(roomMotion: Trajectory, { acts }: Pick<RoomInfo, 'acts'>): Rigs {
  const guide = guideOf({ trajectory: roomMotion, acts });
  const camera = rigOf(roomMotion.frames[guide?.approach.length ?? 0].camera);
  return { camera, hand: guide ? handHolding(guide) : handBefore(camera, 'right') };
}

/** How the hand came to hold what it holds, seen from where the eye is now. */
export const approachOf = ({ camera, hand }: Rigs): TrajectoryFrame[] =>
  (hand.guide?.approach ?? []).map((frame) => ({ ...frame, camera: cameraPose(camera) }));
