/**
 * A world model that knows: it answers hand videos with the simulation's own last frame. What it does not reach is not
 * the model's fault but that of the distance, the goal or the search: its score is the ceiling of a judgement.
 */
import { DeviceTensor, InvalidArgumentError, spec } from '@dwm/core-tensor';
import type { Video } from '@dwm/dwm-model';
import type { WorldModel } from '@dwm/dwm-model/ranking';

export class Oracle implements WorldModel {
  readonly vae: WorldModel['vae'];
  readonly encodeStatic: WorldModel['encodeStatic'] = async () =>
    new DeviceTensor(this.vae.device, spec([1]), 'nothing');
  readonly #outcomes = new WeakMap<Uint8Array, () => Promise<Video>>();

  /** @param vae what distances are measured with. */
  constructor(vae: WorldModel['vae']) {
    this.vae = vae;
  }

  /** What these hands lead to: frames of which the last one counts. */
  know(handVideo: Video, outcome: () => Promise<Video>): void {
    this.#outcomes.set(handVideo.data, outcome);
  }

  readonly generate: WorldModel['generate'] = async ({ staticVideo, handVideo }) => {
    const outcome = this.#outcomes.get(handVideo.data);
    if (!outcome) throw new InvalidArgumentError('handVideo', 'is of hands that the oracle was not told of');
    const { data, height, width } = await outcome();
    const video = staticVideo.data.slice();
    const bytes = height * width * 3;
    video.set(data.subarray(data.length - bytes), video.length - bytes);
    const run = { latentShape: [], timesteps: [], guidance: [], calculated: [] };
    return { data: video, frames: staticVideo.frames, height, width, ...run };
  };
}
