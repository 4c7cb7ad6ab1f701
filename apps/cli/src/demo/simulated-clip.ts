/** A clip that did not exist before: simulated and drawn from the first good seed, at the size of a model. */
import { type Device, DwmError } from '@dwm/core-tensor';
import type { GenerationSettings } from '@dwm/dwm-model';
import type { Action } from '@dwm/synth';
import { ClipMaker } from '@dwm/synth/node';
import type { Reporter } from '../report.ts';

/** So many seeds in a row are rejected only where something is wrong with what was asked. */
const TRIES = 50;

/**
 * @param seed the first to be tried; rejected ones are named and passed over.
 * @throws DwmError where none is good; AbortError.
 */
export async function simulatedClip(
  device: Device,
  { seed, action }: { seed: number; action: Action },
  { width, height, numFrames: frames, fps }: GenerationSettings,
  reporter: Reporter,
  signal: AbortSignal,
) {
  const maker = new ClipMaker(device);
  try {
    for (let at = seed; at < seed + TRIES; at++) {
      signal.throwIfAborted();
      reporter.progress(`simulating seed ${at}`);
      const drawn = await maker.draw(at, { width, height, frames, fps, action });
      if (!('rejected' in drawn)) return { seed: at, ...drawn };
      reporter.say(`seed ${at} makes no good clip (${drawn.rejected}), so the next one`);
    }
  } finally {
    maker.destroy();
  }
  throw new DwmError(
    'synth-rejected',
    `seed: none of ${seed} to ${seed + TRIES - 1} makes a good clip of ${action} in ${width}x${height} pixels; choose another --seed or --action`,
  );
}
