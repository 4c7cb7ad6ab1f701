/**
 * Whether a model that runs live keeps the state of a room: hands touch nothing, open a thing, leave it open, and shut
 * it again. At the end of each act the generated frame is compared with the simulated one, open and shut, both with the
 * hand of that moment. After the last the run goes on without hands.
 */
import { changedRegion, DwmStream, frameOf, playVideos, regionPsnr, type Video } from '@dwm/dwm-model';
import { drawEnd, liveRoom, type Unusable, until, withoutHands } from '@dwm/synth';
import { type Captions, captionFor } from './captions.ts';
import type { Setup } from './setup.ts';

export interface LiveRoomResult {
  /** After each of `LIVE_ACTS`: dB to the right picture less dB to the other; above 0 it is right. */
  readonly acts: readonly number[];
  /** Likewise at the end of the run. */
  readonly end: number;
  /** dB at the end of the run, where nothing changes. */
  readonly unchanged: number;
}

/** Frames of the acts, and of the run with what follows them. */
const ACTS_FRAMES = 129;
export const RUN_FRAMES = 301;

export class LiveRooms {
  readonly #setup: Setup;
  /** One run for all rooms, so that it is compiled once. */
  #live: DwmStream | undefined;

  constructor(setup: Setup) {
    this.#setup = setup;
  }

  async room(seed: number, captions: Captions): Promise<LiveRoomResult | Unusable> {
    const setup = this.#setup;
    const room = await liveRoom(seed, { ...setup.size, frames: ACTS_FRAMES });
    if ('rejected' in room) return room;
    const { clip, acts, opening } = room;
    const { staticVideo: scene } = await setup.passes.render(until(clip, 1));
    const { width, height } = scene;
    const acted = await setup.drawHands(clip);
    const hands = new Uint8Array(RUN_FRAMES * height * width * 3);
    hands.set(acted.data);
    const prompt = captionFor(captions, clip.caption, opening);
    const made = await this.#run({ scene, prompt }, { data: hands, frames: RUN_FRAMES, height, width });

    const [shut, open] = [acts[0], acts[1]].map(({ moving }) => moving);
    const compare = async (moment: typeof clip, frame: number, isOpen: boolean) => {
      const [asOpen, asShut] = [
        await drawEnd(setup.passes, moment, open),
        await drawEnd(setup.passes, moment, shut),
      ];
      const region = changedRegion(asOpen, asShut);
      const end = frameOf(made, frame);
      const [toOpen, toShut] = [asOpen, asShut].map((picture) => regionPsnr(end, picture, region, 1)!);
      const unchanged = regionPsnr(end, asShut, region, 0)!;
      return { margin: isOpen ? toOpen - toShut : toShut - toOpen, unchanged };
    };
    const margins: number[] = [];
    for (const [k, moment] of acts.entries())
      margins.push((await compare(moment, moment.acting.frames.length - 1, k === 1 || k === 2)).margin);
    const last = await compare(withoutHands(clip), RUN_FRAMES - 1, false);
    return { acts: margins, end: last.margin, unchanged: last.unchanged };
  }

  async #run(start: { scene: Video; prompt: string }, handVideo: Video): Promise<Video> {
    const { generator, seed, sampling, signal } = this.#setup;
    const { numInferenceSteps, composite } = sampling;
    if (this.#live) await this.#live.reset({ ...start, seed });
    else
      this.#live = await DwmStream.open(generator.pipeline, { ...start, seed, numInferenceSteps, composite });
    return playVideos(this.#live, { staticVideo: start.scene, handVideo, times: 1, still: true }, { signal });
  }

  async destroy(): Promise<void> {
    await this.#live?.destroy();
  }
}
