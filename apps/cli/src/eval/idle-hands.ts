/** Hands that touch nothing, in the rooms of `dwm synth`'s own clips, along the same camera path. */
import type { Device } from '@dwm/core-tensor';
import type { Frames } from '@dwm/media/node';
import { PosedHands, renderHandClip } from '@dwm/renderer';
import { handScene, makeMotion, makeWorld, ROOMS } from '@dwm/synth';
import type { EvalClip } from './types.ts';

/** Whether a clip says its room, seed and camera. */
export const hasRoom = ({ simulated }: Pick<EvalClip, 'simulated'>): boolean =>
  simulated !== undefined && ROOMS.includes(simulated.room);

export async function idleHands(device: Device, { simulated, truth }: EvalClip): Promise<Frames> {
  const { seed, room, fixedCamera, fps } = simulated!;
  const world = await makeWorld(seed, room);
  const { frames, height, width } = truth;
  const { acting } = makeMotion(world, { frames, height, width, fps, fixedCamera, action: 'touch-nothing' });
  const hands = new PosedHands(device, { rigs: { left: handScene('left'), right: handScene('right') } });
  try {
    return { ...(await renderHandClip(device, hands, acting, {})), fps: truth.fps };
  } finally {
    hands.destroy();
  }
}
