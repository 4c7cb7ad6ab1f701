/**
 * How far an outcome is from a goal, where the goal differs from the scene as it was. Everywhere else the outcome is
 * given the goal's pixels, so that only the changed region counts.
 *
 * In latent space: the root mean square of the difference between the modes of the VAE's posteriors of the two pictures,
 * over the latent cells that the region touches. Pixels one by one would punish a drawer that is a little further out
 * as much as one that is shut; a latent cell sees eight by eight pixels and what is around them.
 */
import { changedRegion, type Lpips, type MetricClip } from '../metrics/index.ts';
import type { CogVideoXVae } from '../vae/index.ts';

/** One frame, [1, height, width, 3]. */
export type Distance = (outcome: MetricClip, goal: MetricClip, region: Uint8Array) => Promise<number>;

/** Where the goal differs from the scene, dilated; all of it where nothing does. [height, width] of 0 and 1. */
export function goalRegion(goal: MetricClip, still: MetricClip): Uint8Array {
  const region = changedRegion(goal, still);
  return region.includes(1) ? region : region.fill(1);
}

/** The outcome within the region, the goal around it. */
export function within(outcome: MetricClip, goal: MetricClip, region: Uint8Array): MetricClip {
  const data = goal.data.map((value, i) => (region[Math.floor(i / 3)] === 1 ? outcome.data[i] : value));
  return { ...goal, data };
}

export function lpipsDistance(lpips: Lpips): Distance {
  return async (outcome, goal, region) => (await lpips.frames(within(outcome, goal, region), goal))[0];
}

/** @param vae of the model, whose sizes the pictures must fit. */
export function latentDistance(vae: CogVideoXVae): Distance {
  const known = new WeakMap<MetricClip, Float32Array>();
  const encode = async ({ data, height, width }: MetricClip) => {
    const pixels = height * width;
    const video = new Float32Array(3 * pixels);
    for (let i = 0; i < data.length; i++) video[(i % 3) * pixels + Math.floor(i / 3)] = data[i] / 127.5 - 1;
    return vae.encode(video, [1, 3, 1, height, width]);
  };
  return async (outcome, goal, region) => {
    const made = await encode(within(outcome, goal, region));
    const wanted = known.get(goal) ?? (await encode(goal)).mean;
    known.set(goal, wanted);
    const [, channels, , height, width] = made.shape;
    const cells = touched(region, goal, height, width);
    let sum = 0;
    let count = 0;
    for (let cell = 0; cell < cells.length; cell++) {
      if (cells[cell] === 0) continue;
      count += channels;
      for (let i = cell; i < made.mean.length; i += cells.length) sum += (made.mean[i] - wanted[i]) ** 2;
    }
    return Math.sqrt(sum / count);
  };
}

/** Latent cells [height, width] with a pixel of the region. */
function touched(region: Uint8Array, size: MetricClip, height: number, width: number): Uint8Array {
  const cells = new Uint8Array(height * width);
  for (let p = 0; p < region.length; p++) {
    if (region[p] === 0) continue;
    const row = Math.floor((Math.floor(p / size.width) * height) / size.height);
    cells[row * width + Math.floor(((p % size.width) * width) / size.width)] = 1;
  }
  return cells;
}
