/** Two clips that did not exist before, of one room: a hand that acts and one that touches nothing, at the size of a model. */
import { type Device, DwmError } from '@dwm/core-tensor';
import type { RunSettings } from '@dwm/dwm-model';
import type { Action, ClipPasses, SimulatedClip } from '@dwm/synth';
import { ClipMaker } from '@dwm/synth/node';
import type { Reporter } from '../report.ts';

/** So many seeds in a row are rejected only where something is wrong with what was asked. */
const TRIES = 50;

export interface DrawnClip {
  readonly clip: SimulatedClip;
  readonly passes: ClipPasses;
}

/**
 * @param seed the first to be tried; rejected ones are named and passed over.
 * @throws DwmError where none is good; AbortError.
 */
export async function simulatedPair(
  device: Device,
  { seed, action }: { seed: number; action: Action },
  { width, height, numFrames: frames, fps }: RunSettings,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<{ seed: number; acting: DrawnClip; idle: DrawnClip }> {
  const maker = new ClipMaker(device);
  const size = { width, height, frames, fps };
  try {
    for (let at = seed; at < seed + TRIES; at++) {
      signal.throwIfAborted();
      reporter.progress(`simulating seed ${at}`);
      const acting = await maker.draw(at, { ...size, action });
      const idle =
        'rejected' in acting
          ? acting
          : await maker.draw(at, { ...size, action: 'touch-nothing', room: action });
      if (!('rejected' in acting) && !('rejected' in idle)) return { seed: at, acting, idle };
      reporter.say(
        `seed ${at} makes no good clips (${'rejected' in idle && idle.rejected}), so the next one`,
      );
    }
  } finally {
    maker.destroy();
  }
  throw new DwmError(
    'synth-rejected',
    `seed: none of ${seed} to ${seed + TRIES - 1} makes good clips of ${action} in ${width}x${height} pixels; choose another --seed or --action`,
  );
}
