/**
 * Whether a model that runs live keeps the state of a room: hands touch nothing, open a thing, leave it open, and shut
 * it again. At the end of each act the generated frame is compared with the simulated one, open and shut, both with the
 * hand of that moment. After the last the run goes on without hands.
 */
import type { Video } from '@dwm/dwm-model';
import { DwmStream, playVideos } from '@dwm/dwm-model/live';
import { changedRegion, frameOf, regionPsnr } from '@dwm/dwm-model/metrics';
import {
  drawEnd,
  LIVE_ACTS,
  type LiveRoom,
  liveRoom,
  type PassRenderer,
  type SimulatedClip,
  type Unusable,
  until,
  withoutHands,
} from '@dwm/synth';
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
    const { clip, opening } = room;
    const { staticVideo: scene } = await setup.passes.render(until(clip, 1));
    const { width, height } = scene;
    const acted = await setup.drawHands(clip);
    const hands = new Uint8Array(RUN_FRAMES * height * width * 3);
    hands.set(acted.data);
    const prompt = captionFor(captions, clip.caption, opening);
    const made = await this.#run({ scene, prompt }, { data: hands, frames: RUN_FRAMES, height, width });
    return stateOf(setup.passes, room, made);
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

/** How `made`, a run in `room`, compares with the simulation. */
export async function stateOf(
  passes: PassRenderer,
  { clip, acts }: LiveRoom,
  made: Video,
): Promise<LiveRoomResult> {
  const [shut, open] = [acts[0], acts[1]].map(({ moving }) => moving);
  /** A frame beside the simulation's of that moment, open and shut. */
  const compare = async (frame: number, moment: SimulatedClip) => {
    const pictures = [await drawEnd(passes, moment, open), await drawEnd(passes, moment, shut)];
    const region = changedRegion(pictures[0], pictures[1]);
    const end = frameOf(made, frame);
    const [toOpen, toShut] = pictures.map((picture) => regionPsnr(end, picture, region, 1)!);
    return { openness: toOpen - toShut, unchanged: () => regionPsnr(end, pictures[1], region, 0)! };
  };
  const margins: number[] = [];
  for (const [k, moment] of acts.entries()) {
    const { openness } = await compare(moment.acting.frames.length - 1, moment);
    margins.push(LIVE_ACTS[k].isOpen ? openness : -openness);
  }
  const { openness, unchanged } = await compare(made.frames - 1, withoutHands(clip));
  return { acts: margins, end: -openness, unchanged: unchanged() };
}
