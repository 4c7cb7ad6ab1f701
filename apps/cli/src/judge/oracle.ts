/**
 * A world model that knows: it answers hand videos with the simulation's own last frame. What it does not reach is not
 * the model's fault but that of the distance, the goal or the search: its score is the ceiling of a judgement.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { MetricClip, WorldModel } from '@dwm/dwm-model';
import type { SimulatedClip } from '@dwm/synth';
import type { PassRenderer } from '@dwm/synth/node';

export class Oracle implements WorldModel {
  readonly vae: WorldModel['vae'];
  readonly encodeStatic: WorldModel['encodeStatic'] = async () => new Float32Array(0);
  readonly #outcomes = new WeakMap<Uint8Array, () => Promise<MetricClip>>();

  /** @param vae what distances are measured with. */
  constructor(vae: WorldModel['vae']) {
    this.vae = vae;
  }

  /** What these hands lead to: frames of which the last one counts. */
  know(handVideo: MetricClip, outcome: () => Promise<MetricClip>): void {
    this.#outcomes.set(handVideo.data, outcome);
  }

  readonly generate: WorldModel['generate'] = async ({ staticVideo, handVideo }) => {
    const outcome = this.#outcomes.get(handVideo.data as Uint8Array);
    if (!outcome) throw new InvalidArgumentError('handVideo', 'is of hands that the oracle was not told of');
    const { data, height, width } = await outcome();
    const video = Float32Array.from(staticVideo.data, (value) => (value + 0.5) / 255);
    const bytes = height * width * 3;
    const last = data.subarray(data.length - bytes);
    for (let i = 0; i < bytes; i++) video[video.length - bytes + i] = (last[i] + 0.5) / 255;
    const { frames } = staticVideo;
    const latents = { latents: new Float32Array(0), latentShape: [], timesteps: [], guidance: [] };
    return { video, frames, height, width, ...latents };
  };
}

/** A clip's last frame as a clip, with things as they are at the end, or as another clip of the room leaves them. */
export function endOf(clip: SimulatedClip, moving = clip.moving): SimulatedClip {
  const last = <T>(list: readonly T[]) => list.slice(-1);
  const alone = (path: SimulatedClip['acting']) => ({ ...path, frames: last(path.frames) });
  const forearms = Object.entries(clip.forearms).map(([side, arm]) => [
    side,
    { ...arm, elbows: last(arm.elbows), shoulders: last(arm.shoulders) },
  ]);
  return {
    ...clip,
    moving: moving.map((part) => ({ ...part, worlds: last(part.worlds) })),
    trajectory: alone(clip.acting),
    acting: alone(clip.acting),
    forearms: Object.fromEntries(forearms),
  };
}

/** The picture of a clip's end, with hands and arms. */
export const drawEnd = async (passes: PassRenderer, clip: SimulatedClip, moving = clip.moving) =>
  (await passes.render(endOf(clip, moving))).interaction;
