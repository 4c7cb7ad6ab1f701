/**
 * Whether a hand that does not take hold leaves the scene as it was: over the pixels that would change if the thing
 * opened, without those where the simulation has the hand, its arm and their shadows, the generated last frame is
 * compared with the static video's.
 */
import type { Video } from '@dwm/dwm-model';
import { CHANGE_DILATION, changedRegion, differs, dilate, frameOf, regionPsnr } from '@dwm/dwm-model/metrics';
import { missRoom, type Unusable } from '@dwm/synth';
import { type Captions, captionFor } from './captions.ts';
import type { Setup } from './setup.ts';

export interface MissedRoom {
  readonly action: string;
  /** dB to the static video. */
  readonly still: number;
  /** dB to it of what the simulation shows there when the thing opens: what a model gives that always opens it. */
  readonly opened: number;
}

/** dB from which on the scene is as it was. */
export const AS_IT_WAS = 30;
/** Pixels that have to be left to look at. */
const LEAST = 30;

export async function missedRoom(
  setup: Setup,
  seed: number,
  captions: Captions,
): Promise<MissedRoom | Unusable> {
  const room = await missRoom(seed, setup.size);
  if ('rejected' in room) return room;
  const { pulled, missed } = room;
  const open = await setup.draw(pulled);
  if ('rejected' in open) return open;
  const drawn = await setup.draw(missed);
  if ('rejected' in drawn) return drawn;
  const { staticVideo, handVideo, interaction } = drawn;
  const { frames, height, width } = staticVideo;
  const still = frameOf(staticVideo, frames - 1);
  const arms = dilate(differs(frameOf(interaction, frames - 1), still), height, width, CHANGE_DILATION);
  const region = changedRegion(open.after, still).map((value, p) => Number(value === 1 && arms[p] === 0));
  if (region.reduce((sum, value) => sum + value, 0) < LEAST) return { rejected: 'the hand hides all of it' };
  const { data } = await setup.model.generate({
    ...{ staticVideo, handVideo, height, width, numFrames: frames },
    prompt: captionFor(captions, missed.caption, pulled.caption),
    ...setup.sampling,
  });
  const bytes = height * width * 3;
  const last = data.subarray((frames - 1) * bytes, frames * bytes);
  const near = (data: Uint8Array) =>
    regionPsnr({ data, frames: 1, height, width } satisfies Video, still, region, 1)!;
  return { action: missed.action, still: near(last), opened: near(open.after.data) };
}
