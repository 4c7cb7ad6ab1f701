/** What every judgement needs, opened once: the model, the renderers, and the oracle in the model's place if wanted. */
import type { Device } from '@dwm/core-tensor';
import type { Video } from '@dwm/dwm-model';
import type { WorldModel } from '@dwm/dwm-model/ranking';
import { PosedHands, renderHandClip } from '@dwm/renderer';
import { decodeImage } from '@dwm/renderer/node';
import {
  type ClipPasses,
  type ClipSize,
  drawEnd,
  handScene,
  PassRenderer,
  passesProblem,
  type SimulatedClip,
  type Unusable,
} from '@dwm/synth';
import type { Generator } from '../eval/models.ts';
import { Oracle } from './oracle.ts';

export class Setup {
  readonly device: Device;
  readonly generator: Generator;
  readonly size: ClipSize;
  readonly passes: PassRenderer;
  readonly oracle: Oracle | undefined;
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly #hands: PosedHands;

  /** @param seed of the noise. */
  constructor(device: Device, generator: Generator, oracle: boolean, seed: number, signal: AbortSignal) {
    const { width, height, numFrames: frames, fps } = generator.settings;
    this.device = device;
    this.generator = generator;
    this.size = { width, height, frames, fps };
    this.passes = new PassRenderer(device, decodeImage);
    this.oracle = oracle ? new Oracle(generator.pipeline.vae) : undefined;
    this.seed = seed;
    this.signal = signal;
    this.#hands = new PosedHands(device, { rigs: { left: handScene('left'), right: handScene('right') } });
  }

  get model(): WorldModel {
    return this.oracle ?? this.generator.pipeline;
  }

  get sampling() {
    return { ...this.generator.sampling, seed: this.seed, signal: this.signal };
  }

  /** All passes of a clip, or what is wrong with them. The oracle knows what comes of its hands. */
  async draw(clip: SimulatedClip): Promise<ClipPasses | Unusable> {
    const passes = await this.passes.render(clip);
    const rejected = passesProblem(clip, passes);
    if (rejected) return { rejected };
    this.oracle?.know(passes.handVideo, async () => passes.interaction);
    return passes;
  }

  /** The hands of a clip alone; the oracle knows what comes of them. */
  async drawHands(clip: SimulatedClip): Promise<Video> {
    const video = await renderHandClip(this.device, this.#hands, clip.acting, { signal: this.signal });
    this.oracle?.know(video, () => drawEnd(this.passes, clip));
    return video;
  }

  destroy(): void {
    this.#hands.destroy();
    this.passes.destroy();
    this.generator.pipeline.destroy();
  }
}
