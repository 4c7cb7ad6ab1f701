/** A motion as it is made: camera and hand at the run's rate, for as long as the run is. */
import { type Intrinsics, NO_HANDS, type Trajectory, type TrajectoryFrame } from '@dwm/renderer';
import { cameraPose } from './camera-rig.ts';
import type { Rigs } from './controls.ts';
import { handPose } from './hand-rig.ts';

export function frameOf({ camera, hand }: Rigs, intrinsics: Intrinsics, seconds = 0): TrajectoryFrame {
  return {
    seconds,
    intrinsics,
    camera: cameraPose(camera),
    hands: { ...NO_HANDS, [hand.side]: handPose(hand) },
  };
}

export interface Recording {
  /** The hand was touched: from now on frames are taken. */
  begin(): void;
  stop(): void;
}

/**
 * Waits until it is told to begin.
 * @param onFrame how many of the frames are there, 0 while it waits; `onEnd` gets the motion, or nothing where it was
 * stopped at once.
 */
export function record(
  current: () => TrajectoryFrame,
  { frames, fps }: { readonly frames: number; readonly fps: number },
  onFrame: (done: number) => void,
  onEnd: (trajectory: Trajectory | undefined) => void,
): Recording {
  const taken: TrajectoryFrame[] = [];
  let timer: ReturnType<typeof setInterval> | undefined;
  let ended = false;
  const take = () => {
    taken.push({ ...current(), seconds: taken.length / fps });
    onFrame(taken.length);
    if (taken.length === frames) end();
  };
  const end = () => {
    if (ended) return;
    ended = true;
    clearInterval(timer);
    onEnd(taken.length > 1 ? { fps, frames: taken } : undefined);
  };
  onFrame(0);
  return {
    begin() {
      if (ended || timer !== undefined) return;
      timer = setInterval(take, 1000 / fps);
      take();
    },
    stop: end,
  };
}
