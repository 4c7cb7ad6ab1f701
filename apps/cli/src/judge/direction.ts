/**
 * Whether pulling opens and not pulling does not: the generated last frame is compared with the simulated one, open and
 * shut, both with the clip's own hand, over the pixels in which these two differ.
 */
import type { Video } from '@dwm/dwm-model';
import { changedRegion, frameOf, regionPsnr } from '@dwm/dwm-model/metrics';
import { drawEnd, openingRoom, type SimulatedClip, type Unusable } from '@dwm/synth';
import { type Captions, captionFor } from './captions.ts';
import type { Setup } from './setup.ts';

export interface OpeningRoom {
  /** dB of the last frame to the open picture less dB to the shut one: above 0 it is open. */
  readonly pulled: number;
  readonly left: number;
  /** Both for a copy of the static video. */
  readonly copied: { readonly pulled: number; readonly left: number };
}

export async function directionOfRoom(
  setup: Setup,
  seed: number,
  captions: Captions,
): Promise<OpeningRoom | Unusable> {
  const room = await openingRoom(seed, setup.size);
  if ('rejected' in room) return room;
  const { pulled, left } = room;
  const drawn = await setup.draw(pulled);
  if ('rejected' in drawn) return drawn;
  const { staticVideo } = drawn;
  const { frames, height, width } = staticVideo;
  const staticLatents = await setup.model.encodeStatic(staticVideo, staticVideo, setup.signal);

  const openness = async (clip: SimulatedClip, handVideo: typeof staticVideo) => {
    const prompt = captionFor(captions, clip.caption, pulled.caption);
    const made = await setup.model.generate({
      ...{ staticVideo, handVideo, prompt, staticLatents, height, width, numFrames: frames },
      ...setup.sampling,
    });
    const data = made.data.subarray(0, staticVideo.data.length);
    const open = await drawEnd(setup.passes, clip, pulled.moving);
    const shut = await drawEnd(setup.passes, clip, left.moving);
    const region = changedRegion(open, shut);
    const measure = (whole: Video) => {
      const end = frameOf(whole, frames - 1);
      return regionPsnr(end, open, region, 1)! - regionPsnr(end, shut, region, 1)!;
    };
    return { made: measure({ data, frames, height, width }), copied: measure(staticVideo) };
  };
  try {
    const opens = await openness(pulled, drawn.handVideo);
    const stays = await openness(left, { ...(await setup.drawHands(left)), fps: setup.size.fps });
    return {
      ...{ pulled: opens.made, left: stays.made },
      copied: { pulled: opens.copied, left: stays.copied },
    };
  } finally {
    staticLatents.destroy();
  }
}

/** Clips of a room, of two, that end as they should. */
export const rightOf = ({ pulled, left }: Pick<OpeningRoom, 'pulled' | 'left'>): number =>
  Number(pulled > 0) + Number(left < 0);
