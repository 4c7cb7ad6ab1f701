/**
 * How far an outcome is from a goal, where the goal differs from the scene as it was. Everywhere else the outcome is
 * given the goal's pixels, so that only the changed region counts.
 *
 * In latent space: one minus the cosine between the change that the outcome makes and the change that the goal asks
 * for, which are differences between the modes of the VAE's posteriors of single frames, over the latent cells that the
 * region touches. A model that is unsure shows half of a change, and softly: the mean error of that is larger than of
 * no change at all, and its direction is right.
 */
import { changedRegion, type Lpips } from '../metrics/index.ts';
import type { ClipCodec, VaeOptions } from '../vae/index.ts';
import { encodeVideo, type FileLatents, fileLatents } from '../video/codec.ts';
import type { Video } from '../video/video.ts';

/** What a goal asks of a scene, single frames [1, height, width, 3]. */
interface WantedChange {
  readonly still: Video;
  readonly goal: Video;
  /** `goalRegion` of both. */
  readonly region: Uint8Array;
}

/** From one frame, small is good. */
export type Distance = (outcome: Video, wanted: WantedChange) => Promise<number>;

/** Where the goal differs from the scene, dilated; all of it where nothing does. [height, width] of 0 and 1. */
export function goalRegion(goal: Video, still: Video): Uint8Array {
  const region = changedRegion(goal, still);
  return region.includes(1) ? region : region.fill(1);
}

/** What a goal asks of a scene, with the region that it changes. */
export const wantedChange = (still: Video, goal: Video): WantedChange => ({
  ...{ still, goal },
  region: goalRegion(goal, still),
});

/** The outcome within the region, the goal around it. */
function within(outcome: Video, { goal, region }: WantedChange): Video {
  const data = goal.data.map((value, i) => (region[Math.floor(i / 3)] === 1 ? outcome.data[i] : value));
  return { ...goal, data };
}

/** LPIPS between the outcome and the goal, within the region. */
export function lpipsDistance(lpips: Lpips): Distance {
  return async (outcome, wanted) => (await lpips.frames(within(outcome, wanted), wanted.goal))[0];
}

/**
 * @param vae of the model, whose sizes the pictures must fit.
 * @param tiling of the pictures; whole ones where left out.
 */
export function latentDistance(
  vae: Pick<ClipCodec, 'device' | 'encode'>,
  tiling?: VaeOptions['tiling'],
): Distance {
  const encode = async (frame: Video): Promise<FileLatents> => {
    const posterior = await encodeVideo(vae, frame, { tiling });
    return fileLatents(vae.device, posterior.mode()).finally(() => posterior.destroy());
  };
  const known = new WeakMap<WantedChange, Promise<{ from: Float32Array; to: Float32Array }>>();
  const endsOf = async (wanted: WantedChange) => ({
    from: (await encode(within(wanted.still, wanted))).values,
    to: (await encode(wanted.goal)).values,
  });
  return async (outcome, wanted) => {
    const made = await encode(within(outcome, wanted));
    const ends = known.get(wanted) ?? endsOf(wanted);
    known.set(wanted, ends);
    const { from, to } = await ends;
    const [, , height, width] = made.shape;
    const cells = touched(wanted, height, width);
    let [along, ofMade, ofWanted] = [0, 0, 0];
    for (let i = 0; i < made.values.length; i++) {
      if (cells[i % cells.length] === 0) continue;
      const [change, goal] = [made.values[i] - from[i], to[i] - from[i]];
      along += change * goal;
      ofMade += change ** 2;
      ofWanted += goal ** 2;
    }
    // Nothing has changed, or nothing was to change.
    if (ofMade === 0 || ofWanted === 0) return Number(ofMade !== ofWanted);
    return 1 - along / Math.sqrt(ofMade * ofWanted);
  };
}

/** Latent cells [height, width] with a pixel of the region. */
function touched({ region, goal }: WantedChange, height: number, width: number): Uint8Array {
  const cells = new Uint8Array(height * width);
  for (let p = 0; p < region.length; p++) {
    if (region[p] === 0) continue;
    const row = Math.floor((Math.floor(p / goal.width) * height) / goal.height);
    cells[row * width + Math.floor(((p % goal.width) * width) / goal.width)] = 1;
  }
  return cells;
}
